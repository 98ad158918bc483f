/** Values read back from a drawn grid: a pixel is one of 256 steps of the range it was drawn with. */

import type { TileGrid } from "../lib/tile-grid";
import { tileCorner } from "../lib/tile-grid";

export type Normalization = "layer" | "channel" | "signed";

export interface Drawn {
  normalization: Normalization;
  /** Smallest and largest value of the layer. */
  low: number;
  high: number;
}

/** The value that a pixel stands for; null where the drawing does not say: each channel on its own scale. */
export function valueOfColor(
  [red, green]: readonly [red: number, green: number],
  { normalization, low, high }: Drawn,
): number | null {
  if (normalization === "channel") return null;
  if (normalization === "layer") return low + (red / 255) * (high - low);
  const largest = Math.max(-low, high);
  return ((green > 0 ? green : -red) / 255) * largest;
}

export interface Pixels {
  data: Uint8ClampedArray;
  width: number;
}

/** The colors of a pixel of an image. */
export function colorAt({ data, width }: Pixels, x: number, y: number): [number, number] {
  const at = 4 * (y * width + x);
  return [data[at] ?? 0, data[at + 1] ?? 0];
}

/** The largest value of a tile as it was drawn. */
export function largestOf(pixels: Pixels, grid: TileGrid, index: number, drawn: Drawn): number | null {
  const [left, top] = tileCorner(grid, index);
  let largest: number | null = null;
  for (let y = top; y < top + grid.height; y += 1) {
    for (let x = left; x < left + grid.width; x += 1) {
      const value = valueOfColor(colorAt(pixels, x, y), drawn);
      if (value !== null && (largest === null || value > largest)) largest = value;
    }
  }
  return largest;
}

/** All pixels of an image. */
export function pixelsOf(image: HTMLImageElement): Pixels {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
