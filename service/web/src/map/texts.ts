/** Texts of examples, in place of images that they do not have: fetched by row, once. */

import { getRow } from "../api/client";
import type { Example } from "../api/types";
import { Lru } from "../lib/lru";

const CACHED = 1024;

/** The text among the attributes of an example; null where it has none. */
export function textOf(attributes: Example["attributes"], name: string): string | null {
  const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}

export class Texts {
  private readonly known = new Lru<number, Promise<string | null>>(CACHED);

  /**
   * @param map job id of the map
   * @param name the attribute that is the text
   */
  constructor(
    private readonly map: string,
    readonly name: string,
  ) {}

  /** The text of a row. */
  get(row: number): Promise<string | null> {
    const known = this.known.get(row);
    if (known !== undefined) return known;
    const load = this.load(row);
    this.known.set(row, load);
    load.catch(() => this.known.delete(row));
    return load;
  }

  private async load(row: number): Promise<string | null> {
    const found = await getRow<{ attributes: string | null }>(this.map, "points", row, ["attributes"]);
    const said: unknown = JSON.parse(found.values.attributes ?? "{}");
    return typeof said === "object" && said !== null ? textOf(said as Example["attributes"], this.name) : null;
  }
}
