/** What the address of a comparison says: maps, their color layers, an example, a selection, a search, the one map. */

import { fromAddress, type SelectionQuery, toAddress } from "../map/selection-query";
import { type SavedSearch, searchFrom, searchPart } from "../map/url-state";

export const MOST_MAPS = 4;

export interface Comparison {
  maps: readonly { id: string; layer: string | null }[];
  /** Id of the example that is marked in all maps. */
  example: string | null;
  linked: boolean;
  /** Of all maps: each of its queries says of which map it is. */
  selection: SelectionQuery | null;
  search: SavedSearch | null;
  /** One map in place of all, and where it is from the first (0) to the last (their number less one). */
  morph: number | null;
}

const JOB_ID = /^[a-z0-9-]{1,40}$/;

/** Reads a query string; what is malformed, named twice or beyond `MOST_MAPS` is left out. */
export function parseComparison(search: string): Comparison {
  const query = new URLSearchParams(search);
  const ids = (query.get("maps") ?? "").split(",").filter((id) => JOB_ID.test(id));
  const layers = query.getAll("layer");
  const maps = [...new Set(ids)].slice(0, MOST_MAPS).map((id, i) => ({ id, layer: layers[i] || null }));
  return {
    maps,
    example: query.get("example") || null,
    linked: query.get("views") !== "apart",
    selection: fromAddress(query.get("sel")),
    search: searchFrom(query),
    morph: morphFrom(query.get("morph"), maps.length),
  };
}

function morphFrom(text: string | null, maps: number): number | null {
  const place = Number.parseFloat(text ?? "");
  return maps > 1 && place >= 0 && place <= maps - 1 ? place : null;
}

/** Writes the address; `parseComparison` reads it back. */
export function formatComparison({ maps, example, linked, selection, search, morph }: Comparison): string {
  const parts = [`maps=${maps.map(({ id }) => id).join(",")}`];
  if (maps.some(({ layer }) => layer)) {
    parts.push(...maps.map(({ layer }) => `layer=${encodeURIComponent(layer ?? "")}`));
  }
  if (example !== null) parts.push(`example=${encodeURIComponent(example)}`);
  if (!linked) parts.push("views=apart");
  const found = searchPart(search);
  if (found) parts.push(found);
  const selected = toAddress(selection);
  if (selected) parts.push(`sel=${encodeURIComponent(selected)}`);
  if (morph !== null) parts.push(`morph=${Number(morph.toFixed(3))}`);
  return `/compare?${parts.join("&")}`;
}
