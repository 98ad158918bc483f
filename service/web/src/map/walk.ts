/** In which order the lightbox goes from image to image. */

export interface Walk {
  /** What the rows are: "what the search found", … */
  of: string;
  rows: readonly number[];
}

/** Rows of an open strip that has the row; else the row itself and its neighbors, nearest first. */
export function walkFrom(row: number, strip: readonly number[], neighbors: readonly { row: number }[]): Walk {
  if (strip.includes(row)) return { of: "of what was found", rows: strip };
  const others = neighbors.map((each) => each.row).filter((each) => each !== row);
  return { of: `of row ${row} and its nearest neighbors`, rows: [row, ...others] };
}

/** The place after or before `at`; it stays at the ends. */
export function stepped(walk: Walk, at: number, by: number): number {
  return Math.min(walk.rows.length - 1, Math.max(0, at + by));
}
