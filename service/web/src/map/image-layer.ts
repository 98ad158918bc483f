/** The thumbnails layer: image tiles, and which example each image shows. */

import TileLayer from "ol/layer/Tile";
import ImageTileSource from "ol/source/ImageTile";
import type { ColorLayer } from "../api/types";
import { Lru } from "../lib/lru";
import { type Archive, createContext, decodeImage } from "../tiles/archive";
import { createGrid, projection, resolutionOf } from "./grid";
import { cellRows, rowInCell } from "./webp";

const CACHED_TILES = 96;

export class ImageLayer {
  readonly olLayer: TileLayer<ImageTileSource>;
  private readonly rows = new Lru<string, Uint32Array>(4 * CACHED_TILES);
  private readonly grid;

  constructor(
    readonly info: ColorLayer,
    archive: Archive,
    onError: (error: unknown) => void,
  ) {
    const blank = createContext(1, false).canvas;
    this.grid = createGrid(info.min_zoom, info.max_zoom);
    const source = new ImageTileSource({
      projection,
      tileGrid: this.grid,
      wrapX: false,
      transition: 0,
      loader: async (z, x, y, { signal }) => {
        try {
          const bytes = await archive.tile(z, x, y, signal);
          if (!bytes) return blank;
          const rows = z < info.max_zoom ? cellRows(bytes) : null;
          if (rows) this.rows.set(`${z}/${x}/${y}`, rows);
          return await decodeImage(bytes, info.media_type);
        } catch (error) {
          if (!signal.aborted) onError(error);
          throw error;
        }
      },
    });
    this.olLayer = new TileLayer({ source, cacheSize: CACHED_TILES });
  }

  /** Tile zoom that a view zoom is drawn from. */
  tileZoom(zoom: number): number {
    return this.grid.getZForResolution(resolutionOf(zoom));
  }

  /**
   * The row of the image drawn at (x, y) of the unit square; null: no image there; undefined: the
   * tile does not say (at the deepest zoom images lie at their exact places instead).
   */
  rowAt(x: number, y: number, zoom: number): number | null | undefined {
    const z = this.tileZoom(zoom);
    const side = 2 ** z;
    const [column, row] = [Math.floor(x * side), Math.floor(y * side)];
    const rows = this.rows.get(`${z}/${column}/${row}`);
    return rows && rowInCell(rows, x * side - column, y * side - row);
  }
}
