/** Point tiles: parsing, and finding the example under the cursor. Coordinates: unit square, y down. */

export const NO_LABEL = 65535;

export interface PointTile {
  count: number;
  x: Float32Array;
  y: Float32Array;
  row: Uint32Array;
  /** Class index, or `NO_LABEL`. */
  label: Uint16Array;
}

export interface Point {
  row: number;
  x: number;
  y: number;
  label: number;
  /** Center of its cell in the filled grid, where that is known. */
  grid_x?: number | null;
  grid_y?: number | null;
}

const BYTES_PER_POINT = 14;

/** Reads one tile: uint32 n, float32 x[n], float32 y[n], uint32 row[n], uint16 class[n]. */
export function parsePointTile(buffer: ArrayBuffer): PointTile {
  const count = buffer.byteLength >= 4 ? new DataView(buffer).getUint32(0, true) : -1;
  if (count < 0 || buffer.byteLength !== 4 + count * BYTES_PER_POINT) {
    throw new RangeError(`a point tile of ${buffer.byteLength} bytes cannot hold ${count} points`);
  }
  const at = (column: number) => 4 + 4 * column * count;
  return {
    count,
    x: new Float32Array(buffer, at(0), count),
    y: new Float32Array(buffer, at(1), count),
    row: new Uint32Array(buffer, at(2), count),
    label: new Uint16Array(buffer, at(3), count),
  };
}

export type Accepts = (label: number) => boolean;

function pointAt(tile: PointTile, i: number): Point {
  return { row: tile.row[i]!, x: tile.x[i]!, y: tile.y[i]!, label: tile.label[i]! };
}

/** The points of a tile, one by one. */
export function pointsOf(tile: PointTile): Point[] {
  return Array.from({ length: tile.count }, (_, i) => pointAt(tile, i));
}

/** How far a point is from where the search starts. */
type Distance = (x: number, y: number) => number;

function best(tiles: PointTile[], limit: number, ok: Accepts, far: Distance): Point | null {
  let found: Point | null = null;
  let least = limit;
  for (const tile of tiles) {
    for (let i = 0; i < tile.count; i += 1) {
      const distance = far(tile.x[i]!, tile.y[i]!);
      if (distance > least || (found && distance === least)) continue;
      if (!ok(tile.label[i]!)) continue;
      least = distance;
      found = pointAt(tile, i);
    }
  }
  return found;
}

/** The nearest accepted point within `radius`. */
export function nearest(tiles: PointTile[], x: number, y: number, radius: number, ok: Accepts): Point | null {
  return best(tiles, radius, ok, (px, py) => Math.hypot(px - x, py - y));
}

/** The point whose image, a square of half side `half` around it, contains (x, y); nearest center first. */
export function containing(tiles: PointTile[], x: number, y: number, half: number, ok: Accepts): Point | null {
  return best(tiles, half, ok, (px, py) => Math.max(Math.abs(px - x), Math.abs(py - y)));
}

/** Tiles at zoom `z` that a square around (x, y) touches: at most 3 × 3, nearest the center first. */
export function tilesAround(z: number, x: number, y: number, radius: number): [number, number][] {
  const side = 2 ** z;
  const clamp = (value: number) => Math.min(side - 1, Math.max(0, value));
  const column = clamp(Math.floor(x * side));
  const row = clamp(Math.floor(y * side));
  const low = (value: number, center: number) => Math.max(center - 1, clamp(Math.floor((value - radius) * side)));
  const high = (value: number, center: number) => Math.min(center + 1, clamp(Math.floor((value + radius) * side)));
  const tiles: [number, number][] = [];
  for (let r = low(y, row); r <= high(y, row); r += 1) {
    for (let c = low(x, column); c <= high(x, column); c += 1) tiles.push([c, r]);
  }
  const far = ([c, r]: [number, number]) => Math.abs(c - column) + Math.abs(r - row);
  return tiles.sort((a, b) => far(a) - far(b));
}
