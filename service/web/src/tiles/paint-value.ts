/**
 * Painting of the means of a number. A word holds the mean in 65,535 steps (R, G) and 1 + 12 log2 of the count
 * (B). Where dots overlap, the color is that of the mean over them, weighted by count and cover.
 */

import type { Dots } from "./dots";
import { categoryAlpha, type DataTile, eachCovered, kernelOf } from "./paint";

export const STEPS = 65535;

export interface ValuePixel {
  /** Of the mean between the ends of what is encoded, 0…65535. */
  step: number;
  /** Examples in the pixel, to about 6 %; 0: none. */
  count: number;
}

/** Reads one word of a value tile. */
export function valuePixel(word: number): ValuePixel {
  const level = word & 255;
  return { step: word >>> 8, count: level === 0 ? 0 : 2 ** ((level - 1) / 12) };
}

export interface ValuePaint {
  table: Uint32Array;
  /** Steps of the first and the last color; what lies beyond has theirs. */
  from: number;
  to: number;
  /** Largest count that is expected. */
  max: number;
  dots: Dots;
}

/** The packed color of a mean step. */
export function colorOf({ table, from, to }: Pick<ValuePaint, "table" | "from" | "to">, step: number): number {
  const part = to > from ? (step - from) / (to - from) : 0.5;
  return table[Math.round(Math.min(1, Math.max(0, part)) * (table.length - 1))]!;
}

let weights = new Float32Array(0);
let sums = new Float64Array(0);
let covers = new Float32Array(0);

/** Paints means into `out`, (size · scale)² pixels; where there is nothing, it stays transparent. */
export function paintValue(tile: DataTile, out: Uint32Array, paint: ValuePaint): void {
  const { max, dots } = paint;
  const put = (j: number, step: number, count: number, cover: number) => {
    const alpha = Math.round(categoryAlpha(count, 1, max) * cover);
    out[j] = ((colorOf(paint, step) & 0xffffff) | (alpha << 24)) >>> 0;
  };
  out.fill(0);
  if (dots.radius === 0) {
    for (let i = 0; i < tile.words.length; i += 1) {
      const { step, count } = valuePixel(tile.words[i]!);
      if (count > 0) put(tile.y[i]! * tile.size + tile.x[i]!, step, count, 1);
    }
    return;
  }
  if (weights.length < out.length) {
    weights = new Float32Array(out.length);
    sums = new Float64Array(out.length);
    covers = new Float32Array(out.length);
  }
  for (const each of [weights, sums, covers]) each.fill(0, 0, out.length);
  const kernel = kernelOf(dots);
  for (let i = 0; i < tile.words.length; i += 1) {
    const { step, count } = valuePixel(tile.words[i]!);
    eachCovered(tile, dots, kernel, i, (j, cover) => {
      weights[j]! += count * cover;
      sums[j]! += step * count * cover;
      if (cover > covers[j]!) covers[j] = cover;
    });
  }
  for (let j = 0; j < out.length; j += 1) {
    const weight = weights[j]!;
    if (weight > 0) put(j, sums[j]! / weight, Math.max(1, weight), covers[j]!);
  }
}
