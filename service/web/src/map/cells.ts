/**
 * How large a cell is drawn. One example in one pixel is too small to be seen on a sparse map, so
 * cells grow to 2 or 4 tile pixels there (counts are summed: nothing is dropped); on a dense map a
 * cell is a pixel. Beyond the deepest data zoom cells shrink again, so they keep their size on screen.
 */

import type { ColorLayer } from "../api/types";
import type { DataTile } from "./paint";

const TILE_PX = 512;
/** Part of the unit square that the examples of a typical map cover. */
const COVERED = 0.3;

/** Side of a cell at tile zoom `z`, in tile pixels; `over` is how many levels the view is deeper. */
export function cellSize(examples: number, z: number, over: number): number {
  const perPixel = examples / (COVERED * TILE_PX ** 2 * 4 ** z);
  const wanted = perPixel < 0.035 ? 2 : perPixel < 0.3 ? 1 : 0;
  return 2 ** Math.max(0, wanted - Math.max(0, over));
}

/** Largest sum over any cell × cell block of a tile. */
export function blockMax(tile: DataTile, cell: number): number {
  const { size, words } = tile;
  let max = 0;
  for (let y = 0; y < size; y += cell) {
    for (let x = 0; x < size; x += cell) {
      let sum = 0;
      for (let row = y; row < y + cell; row += 1) {
        for (let i = row * size + x; i < row * size + x + cell; i += 1) sum += words[i]!;
      }
      if (sum > max) max = sum;
    }
  }
  return max;
}

/**
 * Largest count of a cell, per zoom. A cell of 2 px at zoom z is a pixel at zoom z - 1, so the
 * legend's own figures serve; below zoom 0 they are counted from the one tile there is.
 */
export function cellMax(density: ColorLayer | undefined, root: DataTile | null, z: number, cell: number): number {
  const counts = density?.legend.count_max ?? [];
  const level = z - Math.log2(cell);
  if (level >= 0) return counts[level] ?? counts.at(-1) ?? 1;
  return root ? blockMax(root, 2 ** -level) : (counts[0] ?? 1);
}
