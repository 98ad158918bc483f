/** Finds the example under the cursor, through point tiles that are fetched as they are needed. */

import type { Example, MapInfo } from "../api/types";
import { Lru } from "../lib/lru";
import type { Archive } from "../tiles/archive";
import type { ImageLayer } from "./image-layer";
import {
  type Accepts,
  containing,
  NO_LABEL,
  nearest,
  type Point,
  type PointTile,
  parsePointTile,
  pointsOf,
  tilesAround,
} from "./points";

/** How near the cursor must be to a point, in screen pixels. */
export const REACH_PX = 14;
const CACHED_TILES = 128;
const MOST_TILES = 32;

export interface PickQuery {
  x: number;
  y: number;
  zoom: number;
  reachPx: number;
  ok: Accepts;
  /** The thumbnails layer, where it is the one on top. */
  images: ImageLayer | null;
}

export class Picker {
  private tiles = new Lru<string, Promise<PointTile | null>>(CACHED_TILES);
  private zoom: number;

  constructor(
    readonly info: MapInfo,
    private archive: Archive,
    private readonly thumbnailPx: number,
    private readonly example: (row: number) => Promise<Example>,
  ) {
    this.zoom = info.points_zoom;
  }

  /** Looks among the points of another arrangement from now on. */
  use(archive: Archive, zoom: number): void {
    this.archive = archive;
    this.zoom = zoom;
    this.tiles = new Lru(CACHED_TILES);
  }

  /** The example at a place of the map, or null. */
  async pick(query: PickQuery): Promise<Point | null> {
    const { x, y, zoom, ok, images } = query;
    const perPixel = 1 / (this.info.tile_px * 2 ** zoom);
    if (!images) return this.nearest(query, query.reachPx * perPixel);
    const row = images.rowAt(x, y, zoom);
    if (row === null) return null;
    if (row === undefined) {
      const z = images.tileZoom(zoom);
      const half = this.thumbnailPx / 2 / this.info.tile_px / 2 ** z;
      if (z < images.info.max_zoom) return this.nearest(query, half);
      return containing(await this.around(x, y, half), x, y, half, ok);
    }
    const shown = await this.example(row);
    const { x: px, y: py, grid_x, grid_y, label } = shown;
    return { row, x: px, y: py, grid_x, grid_y, label: label ?? NO_LABEL };
  }

  private async nearest(query: PickQuery, radius: number): Promise<Point | null> {
    const { x, y, ok } = query;
    return nearest(await this.around(x, y, radius), x, y, radius, ok);
  }

  private async around(x: number, y: number, radius: number): Promise<PointTile[]> {
    const z = this.zoom;
    const loads = tilesAround(z, x, y, radius).map(([column, row]) => this.load(z, column, row));
    return (await Promise.all(loads)).filter((tile) => tile !== null);
  }

  /** The points within a part of the unit square; empty where that touches more than `MOST_TILES` tiles. */
  async within(left: number, top: number, right: number, bottom: number): Promise<Point[]> {
    const z = this.zoom;
    const last = 2 ** z - 1;
    const tile = (value: number) => Math.min(last, Math.max(0, Math.floor(value * 2 ** z)));
    const [columns, rows] = [tile(right) - tile(left) + 1, tile(bottom) - tile(top) + 1];
    if (columns * rows > MOST_TILES) return [];
    const places = Array.from({ length: columns * rows }, (_, i) => [
      tile(left) + (i % columns),
      tile(top) + Math.floor(i / columns),
    ]);
    const tiles = await Promise.all(places.map(([column, row]) => this.load(z, column!, row!)));
    const inside = ({ x, y }: Point) => x >= left && x <= right && y >= top && y <= bottom;
    return tiles.flatMap((each) => (each ? pointsOf(each).filter(inside) : []));
  }

  private load(z: number, x: number, y: number): Promise<PointTile | null> {
    const key = `${x}/${y}`;
    const known = this.tiles.get(key);
    if (known) return known;
    const load = this.archive.tile(z, x, y).then((bytes) => (bytes ? parsePointTile(bytes) : null));
    this.tiles.set(key, load);
    load.catch(() => this.tiles.delete(key));
    return load;
  }
}
