/** The thumbnails layer: image tiles, and which example each image shows. */

import TileLayer from "ol/layer/Tile";
import ImageTileSource from "ol/source/ImageTile";
import type { ColorLayer } from "../api/types";
import { Lru } from "../lib/lru";
import { type Archive, createContext, decodeImage } from "../tiles/archive";
import { createGrid, projection, resolutionOf, WORLD } from "./grid";
import { imageAt, type PlacedImages, placedImages } from "./webp";

const CACHED_TILES = 96;

/** Where the image of a row lies, in the unit square. */
export interface PlacedRow {
  row: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

export class ImageLayer {
  readonly olLayer: TileLayer<ImageTileSource>;
  private readonly placed = new Lru<string, PlacedImages>(4 * CACHED_TILES);
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
          const placed = placedImages(bytes, WORLD);
          if (placed) this.placed.set(`${z}/${x}/${y}`, placed);
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

  /** The images that are loaded of the tiles that a view zoom is drawn from, in a box of the unit square; each once. */
  inSight([left, top, right, bottom]: readonly number[], zoom: number): PlacedRow[] {
    const z = this.tileZoom(zoom);
    const side = 2 ** z;
    const found = new Map<number, PlacedRow>();
    const tiles = (low: number, high: number) => {
      const [first, last] = [Math.max(0, Math.floor(low * side)), Math.min(side - 1, Math.floor(high * side))];
      return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
    };
    for (const row of tiles(top!, bottom!)) {
      for (const column of tiles(left!, right!)) {
        const placed = this.placed.get(`${z}/${column}/${row}`);
        for (let i = 0; placed && i < placed.count; i += 1) {
          const [x, y] = [(column + placed.left[i]! / WORLD) / side, (row + placed.top[i]! / WORLD) / side];
          const [width, height] = [placed.width[i]! / WORLD / side, placed.height[i]! / WORLD / side];
          if (x > right! || y > bottom! || x + width < left! || y + height < top!) continue;
          found.set(placed.row[i]!, { row: placed.row[i]!, x, y, width, height });
        }
      }
    }
    return [...found.values()];
  }

  /**
   * The row of the image drawn at (x, y) of the unit square; null: no image there; undefined: the tile does not say.
   */
  rowAt(x: number, y: number, zoom: number): number | null | undefined {
    const z = this.tileZoom(zoom);
    const side = 2 ** z;
    const [column, row] = [Math.floor(x * side), Math.floor(y * side)];
    const placed = this.placed.get(`${z}/${column}/${row}`);
    if (!placed) return undefined;
    const at = imageAt(placed, (x * side - column) * WORLD, (y * side - row) * WORLD);
    return at < 0 ? null : placed.row[at]!;
  }
}
