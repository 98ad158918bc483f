/**
 * How large an occupied pixel is drawn. One example in one pixel is too small to be seen on a sparse
 * map: there it becomes a dot of a few screen pixels. On a dense map a pixel stays a pixel.
 */

import type { ColorLayer } from "../api/types";
import type { DataTile } from "./paint";

const TILE_PX = 512;
/** Part of the unit square that the examples of a typical map cover. */
const COVERED = 0.3;
const LARGEST_PX = 2.8;
const GROWTH_PX = 0.7;
/** Smaller dots than this are plain pixels. */
const LEAST_PX = 0.8;
const MAX_SCALE = 4;

export interface Dots {
  /** Output pixels; 0: plain pixels. */
  radius: number;
  /** Output pixels per tile pixel: 1, 2 or 4. */
  scale: number;
}

/** Radius on the screen, such that neighboring dots of a typical map just meet. */
function screenRadius(examples: number, z: number, over: number): number {
  const perPixel = examples / (COVERED * TILE_PX ** 2 * 4 ** (z + over));
  return Math.min(LARGEST_PX, Math.sqrt(1 / (Math.PI * perPixel))) + GROWTH_PX * over;
}

/** The dots of tile zoom `z` in a view that is `over` levels deeper, at a device pixel ratio. */
export function dotsAt(examples: number, z: number, over: number, pixelRatio: number): Dots {
  const radius = screenRadius(examples, z, over);
  if (radius < LEAST_PX) return { radius: 0, scale: 1 };
  const wanted = 2 ** over * (pixelRatio > 1.4 ? 2 : 1);
  const scale = Math.min(MAX_SCALE, wanted);
  return { radius: Math.max(0.5, (radius * scale) / 2 ** over), scale };
}

/** Largest sum over any cell × cell block of a tile. */
export function blockMax(tile: DataTile, cell: number): number {
  const columns = tile.size / cell;
  const sums = new Float64Array(columns * columns);
  let max = 0;
  for (let i = 0; i < tile.words.length; i += 1) {
    const block = Math.floor(tile.y[i]! / cell) * columns + Math.floor(tile.x[i]! / cell);
    sums[block]! += tile.words[i]!;
    if (sums[block]! > max) max = sums[block]!;
  }
  return max;
}

/**
 * The largest count that dots show at tile zoom `z`. A dot of about 2^k tile pixels holds what a pixel
 * holds k levels above, so the legend's own figures serve; above zoom 0 the root tile is summed.
 */
export function dotMax(density: ColorLayer | undefined, root: DataTile | null, z: number, dots: Dots): number {
  const counts = density?.legend.count_max ?? [];
  const across = (Math.sqrt(Math.PI) * dots.radius) / dots.scale;
  const level = z - Math.max(0, Math.round(Math.log2(Math.max(1, across))));
  if (level >= 0) return counts[level] ?? counts.at(-1) ?? 1;
  return root ? blockMax(root, 2 ** -level) : (counts[0] ?? 1);
}
