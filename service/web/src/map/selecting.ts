/** What selecting works with: one map, or several maps of the same examples that show one selection. */

import type { LegendClass, MapInfo } from "../api/types";
import type { SelectionQuery } from "./selection-query";
import type { Stage } from "./stage";

export interface SelectedMap {
  /** Job that drew it. */
  readonly id: string;
  readonly stage: Stage;
  /** Element that a lasso is drawn over; null: that of the page. */
  readonly over: HTMLElement | null;
  /** The color layer that is shown. */
  layer(): string;
  /** What was drawn or chosen on this map, as the selection of the page has it. */
  meant(query: SelectionQuery): SelectionQuery;
  /** Says how many are selected here; empty: nothing is. */
  counted(text: string): void;
}

export interface Selecting {
  /** The first is the one whose classes and saved selections are offered, and which is summed up. */
  readonly maps: readonly [SelectedMap, ...SelectedMap[]];
  readonly info: Pick<MapInfo, "classes" | "features">;
  readonly classes: readonly LegendClass[];
  /** Element of the page. */
  readonly root: HTMLElement;
  /** The map that was pointed at last. */
  active(): SelectedMap;
  selection(): SelectionQuery | null;
  setSelection(selection: SelectionQuery | null): void;
  /** Row of the example that is open in the first map. */
  row(): number | null;
  open(row: number): void;
  complain(error: unknown): void;
}

/** Whether each point has an example, and so neighbors: those of an atlas are cells. */
export function hasNeighbors({ maps, info }: Selecting): boolean {
  return info.features !== maps[0].id;
}
