/** Where an opened image is among its neighbors: the order of the wall it was opened from. */

export interface Place {
  /** As of the rows API; empty: the artifact's own. */
  order: string;
  /** Conditions of the rows API; none: all rows. */
  where?: readonly string[];
  /** Position in that order, from 0. */
  index: number;
}

/** Reads the query of an opened image's address; null: it says nothing of use. */
export function parsePlace(search: string): Place | null {
  const query = new URLSearchParams(search);
  const order = query.get("order") ?? "";
  const where = query.getAll("where");
  const index = query.get("at") ?? "";
  const known = order !== "" || where.length > 0;
  if (!known || !/^\d{1,10}$/.test(index)) return null;
  return { order, index: Number(index), ...(where.length > 0 ? { where } : {}) };
}

/** The query that `parsePlace` reads; empty for the artifact's own order, where the row says it all. */
export function formatPlace({ order, where = [], index }: Place): string {
  if (order === "" && where.length === 0) return "";
  const parts = [...(order === "" ? [] : [["order", order]]), ...where.map((each) => ["where", each])];
  return `?${new URLSearchParams([...parts, ["at", String(index)]])}`;
}

/** Rows to ask for around a position: the one before it, itself, and the one after it. */
export function around(index: number): { offset: number; limit: number } {
  return index === 0 ? { offset: 0, limit: 2 } : { offset: index - 1, limit: 3 };
}
