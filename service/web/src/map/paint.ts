/**
 * From data tiles to pixels. A data tile holds one 24-bit word per pixel, as its lossless PNG has it:
 * a count (density), or class, share and log count (category). Painting reads the words and writes
 * RGBA, so a change of colormap or of hidden classes needs neither network nor decoding.
 */

/** The words of one tile; row by row from the top. */
export interface DataTile {
  size: number;
  words: Uint32Array;
}

/** RGBA bytes of an opaque picture → words, R in the high byte. */
export function wordsOf(rgba: Uint8ClampedArray): Uint32Array {
  const words = new Uint32Array(rgba.length / 4);
  for (let i = 0, j = 0; i < words.length; i += 1, j += 4) {
    words[i] = (rgba[j]! << 16) | (rgba[j + 1]! << 8) | rgba[j + 2]!;
  }
  return words;
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

const COUNT_OF_LEVEL = Float64Array.from({ length: 256 }, (_, level) =>
  level === 0 ? 0 : 2 ** ((level - 1) / 12),
);

/** Fills the cell × cell block whose top left pixel is `at`. */
function fillBlock(out: Uint32Array, at: number, size: number, cell: number, color: number): void {
  for (let y = 0; y < cell; y += 1) out.fill(color, at + y * size, at + y * size + cell);
}

/** Position of a count on a log scale from 1 to `max`, 0…1. */
export function logScale(count: number, max: number): number {
  if (max <= 1) return 0.5;
  return Math.min(1, Math.log(count) / Math.log(max));
}

export interface DensityPaint {
  table: Uint32Array;
  /** Largest count of a cell at this zoom: the upper end of the scale. */
  max: number;
  /** Side of a drawn cell, in tile pixels; counts are summed over it. */
  cell: number;
}

/** Paints counts; where there is nothing, the pixel is transparent. */
export function paintDensity(tile: DataTile, out: Uint32Array, paint: DensityPaint): void {
  const { size, words } = tile;
  const { cell, max, table } = paint;
  out.fill(0);
  for (let y = 0; y < size; y += cell) {
    for (let x = 0; x < size; x += cell) {
      const at = y * size + x;
      let count = 0;
      for (let row = at; row < at + cell * size; row += size) {
        for (let i = row; i < row + cell; i += 1) count += words[i]!;
      }
      if (count === 0) continue;
      const step = Math.round(logScale(count, max) * (table.length - 1));
      fillBlock(out, at, size, cell, table[step]!);
    }
  }
}

export interface CategoryPaint {
  /** Packed opaque color of every class. */
  colors: Uint32Array;
  /** 1 for the classes that are not drawn. */
  hidden: Uint8Array;
  max: number;
  cell: number;
}

/** Opacity of a category cell: more examples and a purer cell are stronger; a lone one is still seen. */
export function categoryAlpha(count: number, share: number, max: number): number {
  const strength = 0.72 + 0.28 * logScale(Math.max(1, count), Math.max(2, max));
  return Math.round(255 * strength * (0.55 + 0.45 * share));
}

/** Paints each cell in the color of its most frequent class that is not hidden. */
export function paintCategory(tile: DataTile, out: Uint32Array, paint: CategoryPaint): void {
  const { size, words } = tile;
  const { cell, hidden, colors, max } = paint;
  const weights = new Float64Array(colors.length);
  const seen: number[] = [];
  out.fill(0);
  for (let y = 0; y < size; y += cell) {
    for (let x = 0; x < size; x += cell) {
      const at = y * size + x;
      let count = 0;
      for (let row = at; row < at + cell * size; row += size) {
        for (let i = row; i < row + cell; i += 1) {
          const word = words[i]!;
          if (word === 0) continue;
          const index = ((word >> 16) & 255) | (((word >> 12) & 15) << 8);
          if (index >= colors.length || hidden[index]) continue;
          const here = COUNT_OF_LEVEL[word & 255]!;
          count += here;
          if (weights[index] === 0) seen.push(index);
          weights[index]! += (here * ((word >> 8) & 15)) / 15 + 1e-9;
        }
      }
      if (seen.length === 0) continue;
      let top = seen[0]!;
      for (const index of seen) if (weights[index]! > weights[top]!) top = index;
      const alpha = categoryAlpha(count, Math.min(1, weights[top]! / count), max);
      fillBlock(out, at, size, cell, ((colors[top]! & 0xffffff) | (alpha << 24)) >>> 0);
      for (const index of seen) weights[index] = 0;
      seen.length = 0;
    }
  }
}
