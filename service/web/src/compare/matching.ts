/** The same example in several maps: rows by the ids of examples. At most 2,048 ids of each map are kept. */

import { findExamples } from "../api/client";
import type { Example, MapInfo } from "../api/types";
import { Lru } from "../lib/lru";
import { Examples } from "../map/examples";

const KEPT = 2048;

export interface Matched {
  readonly id: string;
  readonly info: Pick<MapInfo, "features" | "examples" | "step_unit">;
}

/** Whether the rows of two maps are those of the same examples: both have all examples of one features job. */
export function sameRows(one: Matched["info"], other: Matched["info"]): boolean {
  const whole = one.step_unit === null && other.step_unit === null;
  return whole && one.features !== "" && one.features === other.features && one.examples === other.examples;
}

/** Of an example's neighbors in one map, how many are its neighbors in another. */
export function inCommon(one: Pick<Example, "neighbors">, other: Pick<Example, "neighbors">): number {
  const ids = new Set(other.neighbors.map((each) => each.example_id));
  return one.neighbors.filter((each) => ids.has(each.example_id)).length;
}

/** The examples of one map, by row and by id. */
export class Rows {
  private readonly examples: Examples;
  private readonly byId = new Lru<string, Promise<number | null>>(KEPT);

  constructor(readonly map: Matched) {
    this.examples = new Examples(map.id);
  }

  get(row: number): Promise<Example> {
    return this.examples.get(row);
  }

  /** The row of the example that another map has at a row of its own; null: this map does not have it. */
  async rowLike(other: Rows, row: number): Promise<number | null> {
    if (other === this || sameRows(this.map.info, other.map.info)) return row;
    return this.rowOf((await other.get(row)).example_id);
  }

  /** The row of an id; null: this map does not have it. */
  rowOf(exampleId: string): Promise<number | null> {
    const known = this.byId.get(exampleId);
    if (known !== undefined) return known;
    const loading = findExamples(this.map.id, exampleId).then(
      (found) => found.find((each) => each.example_id === exampleId)?.row ?? null,
    );
    this.byId.set(exampleId, loading);
    loading.catch(() => this.byId.delete(exampleId));
    return loading;
  }
}
