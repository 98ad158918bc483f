/** Selections as queries: what is asked of the service, put together from what was drawn or chosen. */

export type Corner = readonly [x: number, y: number];
export type Arrangement = "exact" | "grid";

export type SelectionQuery =
  | { class: number | null }
  | { cluster: string }
  | { attribute: string; value: string }
  | { words?: string; where?: string }
  | { polygon: readonly Corner[]; arrangement?: Arrangement }
  | { box: readonly [number, number, number, number]; arrangement?: Arrangement }
  | { neighbors_of: number; k?: number }
  | { rows: readonly number[] }
  | { saved: string }
  | { of: string; selection: SelectionQuery }
  | { union: readonly SelectionQuery[] }
  | { intersection: readonly SelectionQuery[] }
  | { minus: readonly SelectionQuery[] }
  | { invert: SelectionQuery };

/** What becomes of a selection with what is selected next. */
export type How = "new" | "add" | "remove";

/** Fired on the element of the page by whoever selects something; its detail is a `SelectionQuery`. */
export const SELECT_EVENT = "featurescape:select";

/** The service takes so many queries in one. */
const MOST_PARTS = 64;
/** An address stays short enough to be passed on. */
const LONGEST = 1500;
const KINDS = [
  ...["class", "cluster", "attribute", "words", "where", "polygon", "box", "neighbors_of", "rows", "saved", "of"],
  ...["union", "intersection", "minus", "invert"],
];

/** A selection with what is selected next; runs of the same kind stay flat. */
export function combined(before: SelectionQuery | null, next: SelectionQuery, how: How): SelectionQuery {
  if (how === "new") return next;
  if (how === "add") {
    if (!before) return next;
    const parts = "union" in before && before.union.length < MOST_PARTS ? before.union : [before];
    return { union: [...parts, next] };
  }
  if (!before) return { invert: next };
  const parts = "minus" in before && before.minus.length < MOST_PARTS ? before.minus : [before];
  return { minus: [...parts, next] };
}

/** All other points; what was inverted comes back. */
export function inverted(query: SelectionQuery): SelectionQuery {
  return "invert" in query ? query.invert : { invert: query };
}

/** A number of an address: a ten-thousandth of the map at most beside where it was. */
export function rounded(value: number): number {
  return Number(value.toFixed(5));
}

/** The text of an address that stands for a selection; empty where there is none, or it would be too long. */
export function toAddress(query: SelectionQuery | null): string {
  const text = query === null ? "" : JSON.stringify(query);
  return text.length <= LONGEST ? text : "";
}

/** The selection that an address has; null: none, or something else. The service looks at it more closely. */
export function fromAddress(text: string | null): SelectionQuery | null {
  if (!text || text.length > LONGEST) return null;
  try {
    const found: unknown = JSON.parse(text);
    const named = typeof found === "object" && found !== null && KINDS.some((kind) => Object.hasOwn(found, kind));
    return named ? (found as SelectionQuery) : null;
  } catch {
    return null;
  }
}

/** Distance of a point from the line through two others, or from the first where they are one. */
function away([x, y]: Corner, [x0, y0]: Corner, [x1, y1]: Corner): number {
  const length = Math.hypot(x1 - x0, y1 - y0);
  return length === 0 ? Math.hypot(x - x0, y - y0) : Math.abs((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / length;
}

/** A path with the corners that it needs to stay within `tolerance` of what was drawn (Douglas and Peucker, 1973). */
export function simplified(path: readonly Corner[], tolerance: number): Corner[] {
  const keep = new Uint8Array(path.length);
  const spans: [number, number][] = [[0, path.length - 1]];
  while (spans.length > 0) {
    const [first, last] = spans.pop()!;
    keep[first] = keep[last] = 1;
    let [farthest, most] = [-1, tolerance];
    for (let i = first + 1; i < last; i += 1) {
      const distance = away(path[i]!, path[first]!, path[last]!);
      if (distance > most) [farthest, most] = [i, distance];
    }
    if (farthest > 0) spans.push([first, farthest], [farthest, last]);
  }
  return path.filter((_, i) => keep[i]);
}

/** A selection in a few words. */
export function spoken(query: SelectionQuery, className: (label: number) => string): string {
  if ("class" in query) return query.class === null ? "no label" : className(query.class);
  if ("cluster" in query) return query.cluster;
  if ("attribute" in query) return `${query.attribute}: ${query.value || "none"}`;
  if ("words" in query || "where" in query) return [query.words, query.where].filter(Boolean).join(", ");
  if ("polygon" in query) return "lasso";
  if ("box" in query) return "box";
  if ("neighbors_of" in query) return `neighbors of row ${query.neighbors_of}`;
  if ("rows" in query) return "chosen examples";
  if ("saved" in query) return query.saved;
  if ("of" in query) return spoken(query.selection, className);
  if ("invert" in query) return `all but ${spoken(query.invert, className)}`;
  if ("minus" in query) {
    const [first, ...rest] = query.minus.map((part) => spoken(part, className));
    return `${first} without ${rest.join(", ")}`;
  }
  const all = (parts: readonly SelectionQuery[]) => parts.map((part) => spoken(part, className));
  if ("union" in query) return all(query.union).join(" or ");
  return "intersection" in query ? all(query.intersection).join(" and ") : "";
}
