/**
 * Which example each cell of a thumbnails tile shows. Such a tile may carry, after its image, one
 * RIFF chunk `FSRW` (decoders skip chunks they do not know): uint32 rows of its cells, row by row
 * from the top left, 0xffffffff where a cell is empty.
 */

export const EMPTY_CELL = 0xffffffff;

/** The rows of the cells, or null where the tile does not say. */
export function cellRows(buffer: ArrayBuffer): Uint32Array | null {
  const view = new DataView(buffer);
  const tag = (at: number) => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (buffer.byteLength < 12 || tag(0) !== "RIFF" || tag(8) !== "WEBP") return null;
  let at = 12;
  while (at + 8 <= buffer.byteLength) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > buffer.byteLength) return null;
    if (tag(at) === "FSRW" && length % 4 === 0) return new Uint32Array(buffer.slice(at + 8, at + 8 + length));
    at += 8 + length + (length % 2);
  }
  return null;
}

/** The row drawn in the cell that contains (u, v), both 0…1 within the tile; null: none or unknown. */
export function rowInCell(rows: Uint32Array, u: number, v: number): number | null {
  const side = Math.round(Math.sqrt(rows.length));
  if (side === 0 || side * side !== rows.length) return null;
  const index = (value: number) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
  const row = rows[index(v) * side + index(u)]!;
  return row === EMPTY_CELL ? null : row;
}
