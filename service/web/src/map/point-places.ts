/** Places of all examples of a small map, out of its point tiles. */

import type { Archive } from "../tiles/archive";
import { parsePointTile } from "./points";

/** Deeper point tiles are too many to fetch at once: a map has then more than 4,800 examples. */
const DEEPEST = 2;

/** Places of the unit square by row. */
export type Places = ReadonlyMap<number, { x: number; y: number }>;

/** The place of each row; null: the map has too many, or they could not be fetched. */
export async function loadPlaces(archive: Archive, zoom: number): Promise<Places | null> {
  return zoom > DEEPEST ? null : fetched(archive, zoom).catch(() => null);
}

async function fetched(archive: Archive, zoom: number): Promise<Places> {
  const side = 2 ** zoom;
  const tiles = await Promise.all(
    Array.from({ length: side * side }, (_, i) => archive.tile(zoom, i % side, Math.floor(i / side))),
  );
  const places = new Map<number, { x: number; y: number }>();
  for (const bytes of tiles) {
    const tile = bytes && parsePointTile(bytes);
    for (let i = 0; tile && i < tile.count; i += 1) places.set(tile.row[i]!, { x: tile.x[i]!, y: tile.y[i]! });
  }
  return places;
}
