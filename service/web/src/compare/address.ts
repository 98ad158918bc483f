/** What the address of a comparison says: the maps, their color layers, the example, whether views move together. */

export const MOST_MAPS = 4;

export interface Comparison {
  maps: readonly { id: string; layer: string | null }[];
  /** Id of the example that is marked in all maps. */
  example: string | null;
  linked: boolean;
}

const JOB_ID = /^[a-z0-9-]{1,40}$/;

/** Reads a query string; what is malformed, named twice or beyond `MOST_MAPS` is left out. */
export function parseComparison(search: string): Comparison {
  const query = new URLSearchParams(search);
  const ids = (query.get("maps") ?? "").split(",").filter((id) => JOB_ID.test(id));
  const layers = query.getAll("layer");
  const maps = [...new Set(ids)].slice(0, MOST_MAPS).map((id, i) => ({ id, layer: layers[i] || null }));
  return { maps, example: query.get("example") || null, linked: query.get("views") !== "apart" };
}

/** Writes the address; `parseComparison` reads it back. */
export function formatComparison({ maps, example, linked }: Comparison): string {
  const parts = [`maps=${maps.map(({ id }) => id).join(",")}`];
  if (maps.some(({ layer }) => layer)) {
    parts.push(...maps.map(({ layer }) => `layer=${encodeURIComponent(layer ?? "")}`));
  }
  if (example !== null) parts.push(`example=${encodeURIComponent(example)}`);
  if (!linked) parts.push("views=apart");
  return `/compare?${parts.join("&")}`;
}
