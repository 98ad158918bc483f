/**
 * The images of a map. Tiles of a level deeper than the view are drawn smaller, so that as many images are seen as can
 * be told apart. Beyond its own pixels no image is enlarged: a thumbnail stays as it is in a frame, until the full image
 * has come; those are fetched once few images are in sight.
 * Memory, per arrangement: 96 MiB of tiles, 96 MiB of full images, 16 MiB of thumbnails.
 */

import Layer from "ol/layer/Layer";
import type { FrameState } from "ol/Map";
import Source from "ol/source/Source";
import { imageUrl, thumbnailUrl } from "../api/client";
import type { Archive } from "../api/source";
import type { ColorLayer } from "../api/types";
import { h } from "../lib/dom";
import { projection, WORLD, zoomOf } from "./grid";
import {
  type Least,
  leastSide,
  levelFor,
  nearestFirst,
  type Part,
  scaleOf,
  type TileRange,
  tilesIn,
} from "./image-levels";
import { type Coordinate, ImageTiles } from "./image-tiles";
import { boxOf, type Hides, type MaskedTile, seenAt } from "./masked-tile";
import { loadFrom, RowImages } from "./row-images";

/** Images in sight up to which full ones are fetched. */
export const MOST_FULL = 120;
/** Covered thumbnails that are fetched at once, of the images in sight. */
const MOST_THUMBNAILS = 400;
const FULL_BYTES = 96 * 2 ** 20;
const THUMBNAIL_BYTES = 16 * 2 ** 20;
/** Beyond this scale single images are drawn; a hair, for rounding. */
const OWN_SIZE = 1.001;
/** Scale from which a thumbnail at its own size has a frame around it. */
const FRAMED = 1.15;
/** An image of fewer pixels is enlarged with sharp ones. */
const SHARP_PX = 128;
const FRAME = "rgba(128,134,142,0.42)";

export interface ImageOptions {
  /** Map whose full images and thumbnails are fetched; null: the tiles are all there is. */
  map: string | null;
  /** Side of an image's cell in the tiles. */
  cellPx: number;
  /** Whether images of the deepest level may lie over each other. */
  overlaps: boolean;
}

/** What one frame is drawn with. */
interface Drawing {
  context: CanvasRenderingContext2D;
  range: TileRange;
  /** Screen pixels per pixel of a tile. */
  scale: number;
  part: Part;
  toScreen(x: number, y: number): [number, number];
  rows: Set<number>;
  covered: number[];
  drawnFull: Set<number>;
}

/** Where the image of a row lies, in the unit square. */
export interface PlacedRow {
  row: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

export class ImageLayer {
  readonly olLayer: Layer<Source>;
  private readonly source = new Source({ projection });
  private readonly canvas = h("canvas");
  private readonly element = h("div", { class: "image-tiles" }, this.canvas);
  private readonly context = this.canvas.getContext("2d")!;
  private readonly tiles: ImageTiles;
  private readonly full: RowImages | null;
  private readonly thumbnails: RowImages;
  private hidden: ReadonlySet<number> = new Set();
  private hiddenVersion = 0;
  private size = 0;
  private last: { zoom: number; z: number; rows: ReadonlySet<number> } | null = null;
  private readonly hides: Hides = (label) => this.hidden.has(label);

  constructor(
    readonly info: Pick<ColorLayer, "min_zoom" | "max_zoom" | "media_type" | "legend">,
    archive: Archive,
    onError: (error: unknown) => void,
    private readonly options: ImageOptions,
  ) {
    const changed = () => this.olLayer.changed();
    this.tiles = new ImageTiles(archive, info.media_type, changed, onError);
    const { map } = options;
    const from = (url: (map: string, row: number) => string) => loadFrom((row) => url(map ?? "", row));
    this.full = map === null ? null : new RowImages(from(imageUrl), FULL_BYTES, changed);
    this.thumbnails = new RowImages(from(thumbnailUrl), THUMBNAIL_BYTES, changed);
    this.olLayer = new Layer({ source: this.source, render: (frame) => this.render(frame as FrameState) });
  }

  /** Draws no image of these classes from now on. */
  setHidden(hidden: ReadonlySet<number>): void {
    if (hidden === this.hidden) return;
    this.hidden = hidden;
    this.hiddenVersion += 1;
    this.olLayer.changed();
  }

  /** Draws images smaller or larger, as far as there are levels for it. */
  setSize(size: number): void {
    if (size === this.size) return;
    this.size = size;
    this.last = null;
    this.olLayer.changed();
  }

  /** Images that the last frame shows, each counted once; null where the tiles do not say. */
  get count(): number | null {
    return this.last && this.last.rows.size > 0 ? this.last.rows.size : null;
  }

  /** Whether full images were asked for and none can be read. */
  get unreadable(): boolean {
    return this.full?.givenUp ?? false;
  }

  /** Tile zoom that a view zoom is drawn from. */
  tileZoom(zoom: number): number {
    if (this.last && Math.abs(this.last.zoom - zoom) < 1e-6) return this.last.z;
    return levelFor(this.levels, zoom, { left: 0.5, top: 0.5, right: 0.5, bottom: 0.5 }, this.least(this.canvas));
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
        const placed = this.tiles.get([z, column, row])?.placed;
        for (let i = 0; placed && i < placed.count; i += 1) {
          if (this.hides(placed.label[i]!)) continue;
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
    const placed = this.tiles.get([z, column, row])?.placed;
    if (!placed) return undefined;
    const at = seenAt(placed, (x * side - column) * WORLD, (y * side - row) * WORLD, this.hides);
    return at < 0 ? null : placed.row[at]!;
  }

  destroy(): void {
    this.last = null;
    this.tiles.destroy();
    this.full?.destroy();
    this.thumbnails.destroy();
  }

  private get levels() {
    const { min_zoom: minZoom, max_zoom: maxZoom } = this.info;
    return { minZoom, maxZoom, cellPx: this.options.cellPx, overlaps: this.options.overlaps };
  }

  private least({ clientWidth, clientHeight }: { clientWidth: number; clientHeight: number }): Least {
    return this.leastOn(Math.min(clientWidth, clientHeight), window.devicePixelRatio);
  }

  /** Icons speak for more examples the coarser they are: each level is drawn at its own size, not the deepest that fits. */
  private leastOn(shorter: number, pixelRatio: number): Least {
    const { icons } = this.info.legend;
    if (icons && icons.length > 0) {
      const side = this.options.cellPx * Math.SQRT1_2;
      return { side, ofAll: side };
    }
    return leastSide(shorter, pixelRatio, this.size);
  }

  private render(frame: FrameState): HTMLElement {
    const { size, pixelRatio, viewState, extent } = frame;
    const [width, height] = size as [number, number];
    this.canvas.width = Math.round(width * pixelRatio);
    this.canvas.height = Math.round(height * pixelRatio);
    const zoom = zoomOf(viewState.resolution);
    const [x0, y0, x1, y1] = extent as [number, number, number, number];
    const part = { left: x0 / WORLD, right: x1 / WORLD, top: 1 - y1 / WORLD, bottom: 1 - y0 / WORLD };
    const least = this.leastOn(Math.min(width, height), pixelRatio);
    const range = tilesIn(part, levelFor(this.levels, zoom, part, least));
    const wanted = nearestFirst(range);
    this.tiles.want(wanted);
    this.context.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    this.context.imageSmoothingQuality = "medium";
    const perUnit = WORLD * 2 ** zoom;
    const drawing: Drawing = {
      context: this.context,
      range,
      part,
      scale: scaleOf(zoom, range.z),
      toScreen: (x, y) => [(x - part.left) * perUnit, (y - part.top) * perUnit],
      rows: new Set(),
      covered: [],
      drawnFull: new Set(),
    };
    // In the order of the map, not of loading: images over the edge of two tiles lie over each other as before.
    for (const at of inOrder(wanted)) this.drawTile(drawing, at);
    this.last = { zoom, z: range.z, rows: drawing.rows };
    this.fetchFor(drawing);
    this.source.loading = this.tiles.loading;
    return this.element;
  }

  /** Fetches full images where few are in sight and drawn larger than their thumbnails. */
  private fetchFor({ rows, covered, scale }: Drawing): void {
    const pixels = this.options.cellPx * scale * window.devicePixelRatio;
    const few = scale > OWN_SIZE && rows.size <= MOST_FULL;
    this.full?.want(few ? [...rows] : [], pixels);
    const without = covered.filter((row) => !few || !this.full?.get(row));
    this.thumbnails.want(this.options.map === null ? [] : without.slice(0, MOST_THUMBNAILS), this.options.cellPx);
  }

  private drawTile(drawing: Drawing, at: Coordinate): void {
    const tile = this.tiles.get(at);
    if (tile) {
      if (drawing.scale > OWN_SIZE && tile.placed) this.drawSingly(drawing, tile, at, drawing.scale);
      else this.drawWhole(drawing, tile, at);
    } else if (tile === undefined) this.drawCoarser(drawing, at);
  }

  private drawWhole(drawing: Drawing, tile: MaskedTile, [z, x, y]: Coordinate): void {
    const { context, part, rows, covered, toScreen, scale } = drawing;
    const { image, waits } = tile.without(this.hides, this.hiddenVersion, this.thumbnails);
    const [left, top] = toScreen(x / 2 ** z, y / 2 ** z);
    context.drawImage(image, left, top, WORLD * scale, WORLD * scale);
    covered.push(...waits);
    const { placed } = tile;
    for (let i = 0; placed && i < placed.count; i += 1) {
      if (this.hides(placed.label[i]!)) continue;
      const [u, v] = middle(tile, i, [z, x, y]);
      if (inside(part, u, v)) rows.add(placed.row[i]!);
    }
  }

  /** Until a tile has come: the images of a coarser one that lie in it, at no more than their own size. */
  private drawCoarser(drawing: Drawing, [z, x, y]: Coordinate): void {
    for (let up = 1; z - up >= this.info.min_zoom; up += 1) {
      const at: Coordinate = [z - up, x >> up, y >> up];
      const tile = this.tiles.get(at);
      if (!tile?.placed) continue;
      const side = 2 ** -z;
      const part = { left: x * side, top: y * side, right: (x + 1) * side, bottom: (y + 1) * side };
      this.drawSingly({ ...drawing, rows: new Set(), covered: [] }, tile, at, drawing.scale * 2 ** up, part);
      return;
    }
  }

  /** Draws the images of a tile one by one: the full one where it has come, else the thumbnail at its own size. */
  private drawSingly(drawing: Drawing, tile: MaskedTile, at: Coordinate, scale: number, only?: Part): void {
    const placed = tile.placed!;
    const perUnit = WORLD * 2 ** at[0];
    for (let i = 0; i < placed.count; i += 1) {
      if (this.hides(placed.label[i]!)) continue;
      const { width, height } = boxOf(placed, i);
      const [u, v] = middle(tile, i, at);
      if (only && !inside(only, u, v)) continue;
      const { left, top, right, bottom } = drawing.part;
      const [half, down] = [width / 2 / perUnit, height / 2 / perUnit];
      if (u + half < left || u - half > right || v + down < top || v - down > bottom) continue;
      const row = placed.row[i]!;
      const first = !drawing.rows.has(row);
      drawing.rows.add(row);
      const [cx, cy] = drawing.toScreen(u, v);
      const area = {
        left: cx - (width * scale) / 2,
        top: cy - (height * scale) / 2,
        width: width * scale,
        height: height * scale,
      };
      if (this.drawFull(drawing, row, area)) continue;
      const by = Math.min(1, scale);
      const own = { left: cx - (width * by) / 2, top: cy - (height * by) / 2, width: width * by, height: height * by };
      if (first && scale >= FRAMED) frame(drawing.context, area);
      if (!tile.draw(drawing.context, i, own, tile.over(i), this.thumbnails)) drawing.covered.push(row);
    }
  }

  private drawFull({ context, drawnFull }: Drawing, row: number, area: Area): boolean {
    const image = this.full?.get(row);
    if (!image) return false;
    if (drawnFull.has(row)) return true;
    drawnFull.add(row);
    context.imageSmoothingEnabled = Math.max(image.width, image.height) >= SHARP_PX;
    context.drawImage(image.bitmap, area.left, area.top, area.width, area.height);
    context.imageSmoothingEnabled = true;
    return true;
  }
}

interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

function frame(context: CanvasRenderingContext2D, { left, top, width, height }: Area): void {
  context.strokeStyle = FRAME;
  context.lineWidth = 1;
  context.strokeRect(Math.round(left) + 0.5, Math.round(top) + 0.5, Math.round(width) - 1, Math.round(height) - 1);
}

function inOrder(tiles: readonly Coordinate[]): Coordinate[] {
  return [...tiles].sort((a, b) => a[2] - b[2] || a[1] - b[1]);
}

/** Middle of an image in the unit square. */
function middle(tile: MaskedTile, i: number, [z, x, y]: Coordinate): [number, number] {
  const { left, top, width, height } = boxOf(tile.placed!, i);
  return [(x + (left + width / 2) / WORLD) / 2 ** z, (y + (top + height / 2) / WORLD) / 2 ** z];
}

function inside({ left, top, right, bottom }: Part, x: number, y: number): boolean {
  return x >= left && x < right && y >= top && y < bottom;
}
