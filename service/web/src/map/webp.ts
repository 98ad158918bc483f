/**
 * Which examples an image tile shows, and where. Such a tile carries, after its image, one RIFF chunk (decoders
 * skip chunks they do not know). `FSIP` has the images that touch the tile, in the order in which they were painted:
 * uint32 n, uint32 row[n], int16 left[n], int16 top[n], uint16 width[n], uint16 height[n], uint16 class[n], in pixels
 * of the tile. Tiles of version 0.1 have `FSRW` instead: uint32 rows of their cells, row by row from the top left,
 * 0xffffffff where a cell is empty.
 */

import { NO_LABEL } from "./points";

export const EMPTY_CELL = 0xffffffff;
const BYTES_PER_IMAGE = 14;

/** Images on a tile; a later one lies over earlier ones. A part of an image may lie beside the tile. */
export interface PlacedImages {
  count: number;
  row: Uint32Array;
  left: Int16Array;
  top: Int16Array;
  width: Uint16Array;
  height: Uint16Array;
  /** Class index, or `NO_LABEL`; of tiles of version 0.1 it is not known. */
  label: Uint16Array;
}

/** The images of a tile of `tilePx` pixels; null where it does not say. */
export function placedImages(buffer: ArrayBuffer, tilePx: number): PlacedImages | null {
  const placed = chunk(buffer, "FSIP");
  if (placed) return parsed(placed);
  const cells = chunk(buffer, "FSRW");
  return cells && cells.byteLength % 4 === 0 ? ofCells(new Uint32Array(cells), tilePx) : null;
}

/** Which image is seen at (x, y), in pixels of the tile; -1: none. */
export function imageAt({ count, left, top, width, height }: PlacedImages, x: number, y: number): number {
  for (let i = count - 1; i >= 0; i -= 1) {
    const [across, down] = [x - left[i]!, y - top[i]!];
    if (across >= 0 && down >= 0 && across < width[i]! && down < height[i]!) return i;
  }
  return -1;
}

/** The body of a chunk of a WebP file; null where there is none, or the file is cut off. */
function chunk(buffer: ArrayBuffer, wanted: string): ArrayBuffer | null {
  const view = new DataView(buffer);
  const tag = (at: number) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (buffer.byteLength < 12 || tag(0) !== "RIFF" || tag(8) !== "WEBP") return null;
  let at = 12;
  while (at + 8 <= buffer.byteLength) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > buffer.byteLength) return null;
    if (tag(at) === wanted) return buffer.slice(at + 8, at + 8 + length);
    at += 8 + length + (length % 2);
  }
  return null;
}

function parsed(body: ArrayBuffer): PlacedImages | null {
  const count = body.byteLength >= 4 ? new DataView(body).getUint32(0, true) : -1;
  if (count < 0 || body.byteLength !== 4 + count * BYTES_PER_IMAGE) return null;
  const at = (column: number) => 4 + 4 * count + 2 * column * count;
  return {
    count,
    row: new Uint32Array(body, 4, count),
    left: new Int16Array(body, at(0), count),
    top: new Int16Array(body, at(1), count),
    width: new Uint16Array(body, at(2), count),
    height: new Uint16Array(body, at(3), count),
    label: new Uint16Array(body, at(4), count),
  };
}

function ofCells(rows: Uint32Array, tilePx: number): PlacedImages | null {
  const side = Math.round(Math.sqrt(rows.length));
  if (side === 0 || side * side !== rows.length) return null;
  const cell = tilePx / side;
  const shown = [...rows.keys()].filter((i) => rows[i] !== EMPTY_CELL);
  const sides = Uint16Array.from(shown, () => cell);
  return {
    count: shown.length,
    row: Uint32Array.from(shown, (i) => rows[i]!),
    left: Int16Array.from(shown, (i) => (i % side) * cell),
    top: Int16Array.from(shown, (i) => Math.floor(i / side) * cell),
    width: sides,
    height: sides,
    label: Uint16Array.from(shown, () => NO_LABEL),
  };
}
