/** Maps of attention: the weights of a grid of cells, enlarged to pixels and colored. */

/** Of the cells of a grid, row by row. */
export type Weights = readonly (number | null)[];
export type Grid = readonly [rows: number, columns: number];

/** Colors of the heat legend from nothing to full strength; opacity grows evenly. */
const HEAT: readonly (readonly [red: number, green: number, blue: number])[] = [
  [120, 0, 60],
  [230, 45, 20],
  [255, 170, 0],
  [255, 250, 160],
];

/** The largest weight of some maps; 0 where there is none. */
export function largestWeight(maps: readonly Weights[]): number {
  return maps.reduce((most, map) => map.reduce<number>((found, weight) => Math.max(found, weight ?? 0), most), 0);
}

/** Values of a grid at the pixels of an image, linear between the centers of the cells, constant beyond. */
export function enlarge(values: Weights, [rows, columns]: Grid, height: number, width: number): Float32Array {
  const across = Array.from({ length: width }, (_, x) => between(x, width, columns));
  const enlarged = new Float32Array(height * width);
  for (let y = 0; y < height; y += 1) {
    const down = between(y, height, rows);
    across.forEach(([left, right, part], x) => {
      const at = (row: number) =>
        (1 - part) * (values[row * columns + left] ?? 0) + part * (values[row * columns + right] ?? 0);
      enlarged[y * width + x] = (1 - down[2]) * at(down[0]) + down[2] * at(down[1]);
    });
  }
  return enlarged;
}

/** The two cells whose centers a pixel lies between, and how far it is from the first to the second. */
function between(pixel: number, pixels: number, cells: number): [first: number, second: number, part: number] {
  const at = Math.min(cells - 1, Math.max(0, ((pixel + 0.5) * cells) / pixels - 0.5));
  const first = Math.floor(at);
  return [first, Math.min(cells - 1, first + 1), at - first];
}

/** Red, green, blue and opacity, 0 to 255, of a strength from 0 to 1. */
export function heat(strength: number): [red: number, green: number, blue: number, alpha: number] {
  const held = Math.min(1, Math.max(0, strength));
  const at = held * (HEAT.length - 1);
  const first = Math.min(HEAT.length - 2, Math.floor(at));
  const mixed = (part: 0 | 1 | 2) =>
    Math.round(HEAT[first]![part] + (at - first) * (HEAT[first + 1]![part] - HEAT[first]![part]));
  return [mixed(0), mixed(1), mixed(2), Math.round(255 * held)];
}

/** The RGBA bytes of a map of attention; at the weight `full` it is at full strength. */
export function alphaMap(
  weights: Weights,
  grid: Grid,
  height: number,
  width: number,
  full: number,
): Uint8ClampedArray<ArrayBuffer> {
  const bytes = new Uint8ClampedArray(4 * height * width);
  if (full <= 0) return bytes;
  enlarge(weights, grid, height, width).forEach((weight, i) => {
    bytes.set(heat(weight / full), 4 * i);
  });
  return bytes;
}

/** Where most of the attention is, in words: "row 2 of 3, column 1 of 4". */
export function strongestCell(weights: Weights, [rows, columns]: Grid): string {
  const at = weights.reduce<number>((best, weight, i) => ((weight ?? 0) > (weights[best] ?? 0) ? i : best), 0);
  return `row ${Math.floor(at / columns) + 1} of ${rows}, column ${(at % columns) + 1} of ${columns}`;
}
