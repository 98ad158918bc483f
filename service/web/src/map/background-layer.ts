/** An image beneath all layers, in tiles, as a floor plan. */

import TileLayer from "ol/layer/Tile";
import ImageTileSource from "ol/source/ImageTile";
import type { Archive } from "../api/source";
import type { MapInfo } from "../api/types";
import { createContext, decodeImage } from "../tiles/archive";
import { createGrid, projection } from "./grid";

const CACHED_TILES = 64;

export function backgroundLayer(
  info: NonNullable<MapInfo["background"]>,
  archive: Archive,
  onError: (error: unknown) => void,
): TileLayer<ImageTileSource> {
  const blank = createContext(1, false).canvas;
  const source = new ImageTileSource({
    projection,
    tileGrid: createGrid(info.min_zoom, info.max_zoom),
    wrapX: false,
    transition: 0,
    loader: async (z, x, y, { signal }) => {
      try {
        const bytes = await archive.tile(z, x, y, signal);
        return bytes ? await decodeImage(bytes, info.media_type) : blank;
      } catch (error) {
        if (!signal.aborted) onError(error);
        throw error;
      }
    },
  });
  return new TileLayer({ source, cacheSize: CACHED_TILES });
}
