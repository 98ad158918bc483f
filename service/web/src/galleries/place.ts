/** Where an opened image is among its neighbors: the order of the wall it was opened from. */

export interface Place {
  /** As of the rows API; empty: the artifact's own. */
  order: string;
  /** Position in that order, from 0. */
  index: number;
}

/** Reads the query of an opened image's address; null: it says nothing of use. */
export function parsePlace(search: string): Place | null {
  const query = new URLSearchParams(search);
  const order = query.get("order") ?? "";
  const index = query.get("at") ?? "";
  return order !== "" && /^\d{1,10}$/.test(index) ? { order, index: Number(index) } : null;
}

/** The query that `parsePlace` reads; empty for the artifact's own order, where the row says it all. */
export function formatPlace({ order, index }: Place): string {
  return order === "" ? "" : `?${new URLSearchParams({ order, at: String(index) })}`;
}

/** Rows to ask for around a position: the one before it, itself, and the one after it. */
export function around(index: number): { offset: number; limit: number } {
  return index === 0 ? { offset: 0, limit: 2 } : { offset: index - 1, limit: 3 };
}
