/**
 * From data tiles to pixels. A data tile holds one 24-bit word per pixel, as its lossless PNG has it:
 * a count (density), or class, share and log count (category). Painting reads the words and writes
 * RGBA, so a change of colormap or of hidden classes needs neither network nor decoding.
 *
 * On a dense map a pixel of data is a pixel of color. On a sparse one every occupied pixel becomes a
 * round dot, as in a scatter plot; counts of dots that overlap add up.
 */

import type { Dots } from "./dots";

/** The pixels of one tile that hold anything, in row order; then those of an apron, if it has one. */
export interface DataTile {
  size: number;
  /** Column and row of each; outside 0…size - 1 in the apron. */
  x: Int16Array;
  y: Int16Array;
  /** The 24-bit word of each. */
  words: Uint32Array;
}

/** RGBA bytes of an opaque square image → its words other than 0. */
export function sparseTile(rgba: Uint8ClampedArray, size: number): DataTile {
  const x = new Int16Array(size * size);
  const y = new Int16Array(size * size);
  const words = new Uint32Array(size * size);
  let n = 0;
  for (let i = 0, j = 0; i < words.length; i += 1, j += 4) {
    const word = (rgba[j]! << 16) | (rgba[j + 1]! << 8) | rgba[j + 2]!;
    if (word === 0) continue;
    x[n] = i % size;
    y[n] = (i - x[n]!) / size;
    words[n] = word;
    n += 1;
  }
  return { size, x: x.slice(0, n), y: y.slice(0, n), words: words.slice(0, n) };
}

/** A tile beside another: `column` and `row` are -1, 0 or 1. */
export interface NeighborTile {
  column: number;
  row: number;
  tile: DataTile;
}

/** The tile with those pixels of its neighbors that lie within `margin` of it, so dots cross the seams. */
export function withApron(tile: DataTile, neighbors: readonly NeighborTile[], margin: number): DataTile {
  const { size } = tile;
  const x = Array.from(tile.x);
  const y = Array.from(tile.y);
  const words = Array.from(tile.words);
  const near = (value: number) => value >= -margin && value < size + margin;
  for (const { column, row, tile: other } of neighbors) {
    for (let i = 0; i < other.words.length; i += 1) {
      const [left, top] = [other.x[i]! + column * size, other.y[i]! + row * size];
      if (!near(left) || !near(top)) continue;
      x.push(left);
      y.push(top);
      words.push(other.words[i]!);
    }
  }
  return { size, x: Int16Array.from(x), y: Int16Array.from(y), words: Uint32Array.from(words) };
}

export interface CategoryPixel {
  index: number;
  /** Part of the pixel's examples that are of this class, 0…1. */
  share: number;
  /** Examples in the pixel, to about 6 %; 0: none. */
  count: number;
}

/** Reads one word of a category tile. */
export function categoryPixel(word: number): CategoryPixel {
  const level = word & 255;
  return {
    index: ((word >> 16) & 255) | (((word >> 12) & 15) << 8),
    share: ((word >> 8) & 15) / 15,
    count: level === 0 ? 0 : 2 ** ((level - 1) / 12),
  };
}

/** Position of a count on a log scale from 1 to `max`, 0…1. */
export function logScale(count: number, max: number): number {
  if (max <= 1) return 0.5;
  return Math.min(1, Math.max(0, Math.log(count) / Math.log(max)));
}

export interface Kernel {
  dx: Int32Array;
  dy: Int32Array;
  /** How much of the pixel the dot covers, 0…1. */
  cover: Float32Array;
  reach: number;
}

/** A disc of `radius` output pixels; `half` is where its center lies within a pixel (0 or 0.5). */
export function discKernel(radius: number, half: number): Kernel {
  const reach = Math.ceil(radius + 0.5);
  const dx: number[] = [];
  const dy: number[] = [];
  const cover: number[] = [];
  for (let y = -reach; y <= reach; y += 1) {
    for (let x = -reach; x <= reach; x += 1) {
      const part = radius + 0.5 - Math.hypot(x + 0.5 - half, y + 0.5 - half);
      if (part <= 0) continue;
      dx.push(x);
      dy.push(y);
      cover.push(Math.min(1, part));
    }
  }
  return { dx: Int32Array.from(dx), dy: Int32Array.from(dy), cover: Float32Array.from(cover), reach };
}

/** Calls `put` with each output pixel that the dot of tile pixel `i` covers. */
export function eachCovered(
  tile: DataTile,
  dots: Dots,
  kernel: Kernel,
  i: number,
  put: (j: number, cover: number) => void,
): void {
  const side = tile.size * dots.scale;
  const half = dots.scale >> 1;
  const cx = tile.x[i]! * dots.scale + half;
  const cy = tile.y[i]! * dots.scale + half;
  const { reach } = kernel;
  const whole = cx >= reach && cy >= reach && cx < side - reach && cy < side - reach;
  for (let k = 0; k < kernel.cover.length; k += 1) {
    const x = cx + kernel.dx[k]!;
    const y = cy + kernel.dy[k]!;
    if (whole || (x >= 0 && y >= 0 && x < side && y < side)) put(y * side + x, kernel.cover[k]!);
  }
}

/** The disc of dots. */
export function kernelOf(dots: Dots): Kernel {
  return discKernel(dots.radius, dots.scale === 1 ? 0.5 : 0);
}

let sums = new Float32Array(0);
let covers = new Float32Array(0);

export interface DensityPaint {
  table: Uint32Array;
  /** Largest count that is expected: the upper end of the scale. */
  max: number;
  dots: Dots;
}

/** Paints counts into `out`, (size · scale)² pixels; where there is nothing, it stays transparent. */
export function paintDensity(tile: DataTile, out: Uint32Array, { table, max, dots }: DensityPaint): void {
  const { size, x, y, words } = tile;
  const color = (count: number) => table[Math.round(logScale(count, max) * (table.length - 1))]!;
  out.fill(0);
  if (dots.radius === 0) {
    for (let i = 0; i < words.length; i += 1) out[y[i]! * size + x[i]!] = color(words[i]!);
    return;
  }
  const kernel = kernelOf(dots);
  if (sums.length < out.length) {
    sums = new Float32Array(out.length);
    covers = new Float32Array(out.length);
  }
  sums.fill(0, 0, out.length);
  covers.fill(0, 0, out.length);
  for (let i = 0; i < words.length; i += 1) {
    eachCovered(tile, dots, kernel, i, (j, cover) => {
      sums[j]! += words[i]! * cover;
      if (cover > covers[j]!) covers[j] = cover;
    });
  }
  for (let j = 0; j < out.length; j += 1) {
    const cover = covers[j]!;
    if (cover === 0) continue;
    out[j] = ((color(Math.max(1, sums[j]!)) & 0xffffff) | (Math.round(255 * cover) << 24)) >>> 0;
  }
}

export interface CategoryPaint {
  /** Packed opaque color of every class. */
  colors: Uint32Array;
  /** 1 for the classes that are not drawn. */
  hidden: Uint8Array;
  max: number;
  dots: Dots;
}

/** Opacity of a category pixel: more examples and a purer pixel are stronger; a lone one is still seen. */
export function categoryAlpha(count: number, share: number, max: number): number {
  const strength = 0.8 + 0.2 * logScale(Math.max(1, count), Math.max(2, max));
  return Math.round(255 * strength * (0.55 + 0.45 * share));
}

/** `top` over `bottom`, both packed; `cover` 0…1 is how much of the pixel the top one has. */
function over(bottom: number, top: number, alpha: number, cover: number): number {
  const a = alpha * cover;
  const below = (bottom >>> 24) * (1 - cover);
  const total = a + below;
  const mix = (shift: number) => Math.round((((top >> shift) & 255) * a + ((bottom >> shift) & 255) * below) / total);
  return ((Math.round(total) << 24) | (mix(16) << 16) | (mix(8) << 8) | mix(0)) >>> 0;
}

/** Paints each occupied pixel in the color of its most frequent class, unless that class is hidden. */
export function paintCategory(tile: DataTile, out: Uint32Array, { colors, hidden, max, dots }: CategoryPaint): void {
  const kernel = kernelOf(dots);
  out.fill(0);
  for (let i = 0; i < tile.words.length; i += 1) {
    const { index, share, count } = categoryPixel(tile.words[i]!);
    if (index >= colors.length || hidden[index]) continue;
    const alpha = categoryAlpha(count, share, max);
    const color = colors[index]! & 0xffffff;
    const solid = (color | (alpha << 24)) >>> 0;
    if (dots.radius === 0) {
      out[tile.y[i]! * tile.size + tile.x[i]!] = solid;
      continue;
    }
    eachCovered(tile, dots, kernel, i, (j, cover) => {
      out[j] = cover === 1 ? solid : over(out[j]!, color, alpha, cover);
    });
  }
}
