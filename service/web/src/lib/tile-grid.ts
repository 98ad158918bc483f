/** Where a channel lies in a grid of tiles: ceil(sqrt(n)) columns, a line of one pixel between and around. */

export interface TileGrid {
  /** Tiles. */
  count: number;
  /** Pixels of a tile. */
  height: number;
  width: number;
}

const LINE_PX = 1;

export function columnsOf(count: number): number {
  return Math.max(1, Math.ceil(Math.sqrt(count)));
}

/** Pixels of the whole grid. */
export function gridSize({ count, height, width }: TileGrid): [width: number, height: number] {
  const columns = columnsOf(count);
  const rows = Math.max(1, Math.ceil(count / columns));
  return [LINE_PX + columns * (width + LINE_PX), LINE_PX + rows * (height + LINE_PX)];
}

/** Left and top of a tile, in pixels of the grid. */
export function tileCorner({ count, height, width }: TileGrid, index: number): [left: number, top: number] {
  const columns = columnsOf(count);
  return [LINE_PX + (index % columns) * (width + LINE_PX), LINE_PX + Math.floor(index / columns) * (height + LINE_PX)];
}

/** The tile at a pixel of the grid and the pixel within it; a line belongs to the tile before it. */
export function tileAt(grid: TileGrid, x: number, y: number): { index: number; x: number; y: number } | null {
  const columns = columnsOf(grid.count);
  const column = Math.floor((x - LINE_PX) / (grid.width + LINE_PX));
  const row = Math.floor((y - LINE_PX) / (grid.height + LINE_PX));
  const index = row * columns + column;
  if (column < 0 || row < 0 || column >= columns || index >= grid.count) return null;
  const [left, top] = tileCorner(grid, index);
  return {
    index,
    x: Math.min(grid.width - 1, Math.floor(x - left)),
    y: Math.min(grid.height - 1, Math.floor(y - top)),
  };
}
