/**
 * A density or category layer: tiles of numbers, painted here. OpenLayers draws one canvas per tile;
 * the canvases are repainted in place when colors change, so a recoloring shows in the next frame.
 * The words are never interpolated: only their colors are, when a canvas is scaled to the screen.
 * Memory: at most `CACHED_TILES` tiles of 3 MiB (words and canvas) per layer; 16 MiB for each of the few
 * tiles in sight when the view is deeper than the data.
 */

import { intersects } from "ol/extent";
import TileLayer from "ol/layer/Tile";
import type RenderEvent from "ol/render/Event";
import ImageTileSource from "ol/source/ImageTile";
import type { ColorLayer } from "../api/types";
import { type Archive, createContext, decodeDataTile } from "../tiles/archive";
import type { Dots } from "../tiles/dots";
import { type DataTile, type NeighborTile, withApron } from "../tiles/paint";
import { createGrid, projection, WORLD, zoomOf } from "./grid";

const CACHED_TILES = 64;
const AROUND = [-1, 0, 1]
  .flatMap((dy) => [-1, 0, 1].map((dx) => [dx, dy] as const))
  .filter(([dx, dy]) => dx !== 0 || dy !== 0);

/** How tiles get their colors. */
export interface Painter {
  /** The dots of tile zoom `z` in a view that is `over` levels deeper. */
  dots(z: number, over: number): Dots;
  /** Fills `out`, (tile size · dots.scale)² pixels. */
  paint(tile: DataTile, out: Uint32Array, z: number, dots: Dots): void;
}

interface Painted {
  z: number;
  column: number;
  row: number;
  extent: number[];
  tile: DataTile;
  canvas: CanvasRenderingContext2D;
  /** Version and dots of what the canvas shows. */
  shows: string;
}

export class DataLayer {
  readonly olLayer: TileLayer<ImageTileSource>;
  private readonly blank = createContext(1, false).canvas;
  private readonly painted = new Map<string, WeakRef<Painted>>();
  // A painted tile lives as long as OpenLayers keeps its canvas.
  private readonly owners = new WeakMap<HTMLCanvasElement, Painted>();
  private output = new ImageData(WORLD, WORLD);
  private rootTile: Promise<DataTile | null> | null = null;
  private version = 0;
  private viewZoom = 0;

  constructor(
    private readonly info: ColorLayer,
    private readonly archive: Archive,
    private painter: Painter,
    onError: (error: unknown) => void,
    interpolate = true,
  ) {
    const grid = createGrid(info.min_zoom, info.max_zoom);
    const source = new ImageTileSource({
      projection,
      tileGrid: grid,
      wrapX: false,
      transition: 0,
      interpolate,
      loader: async (z, x, y, { signal }) => {
        try {
          const bytes = await archive.tile(z, x, y, signal);
          if (!bytes) return this.blank;
          const tile = await decodeDataTile(bytes, info.media_type);
          return this.adopt({ z, column: x, row: y, extent: grid.getTileCoordExtent([z, x, y]), tile });
        } catch (error) {
          if (!signal.aborted) onError(error);
          throw error;
        }
      },
    });
    this.olLayer = new TileLayer({ source, cacheSize: CACHED_TILES });
    this.olLayer.on("prerender", (event) => this.refresh(event));
  }

  /** Paints with `painter` from now on. */
  setPainter(painter: Painter): void {
    this.painter = painter;
    this.version += 1;
    this.olLayer.changed();
  }

  /** The one tile of zoom 0, decoded; null where the archive has none. Kept. */
  root(): Promise<DataTile | null> {
    this.rootTile ??= this.archive
      .tile(0, 0, 0)
      .then((bytes) => (bytes ? decodeDataTile(bytes, this.info.media_type) : null));
    return this.rootTile;
  }

  private adopt(loaded: Omit<Painted, "canvas" | "shows">): HTMLCanvasElement {
    const canvas = createContext(loaded.tile.size, false);
    const painted: Painted = { ...loaded, canvas, shows: "" };
    this.painted.set(`${painted.z}/${painted.column}/${painted.row}`, new WeakRef(painted));
    this.owners.set(canvas.canvas, painted);
    // Its dots may reach into the tiles around it.
    for (const { painted: other } of this.around(painted)) other.shows = "";
    this.repaint(painted);
    return canvas.canvas;
  }

  private around({ z, column, row }: Painted): (NeighborTile & { painted: Painted })[] {
    return AROUND.flatMap(([dx, dy]) => {
      const painted = this.painted.get(`${z}/${column + dx}/${row + dy}`)?.deref();
      return painted ? [{ column: dx, row: dy, tile: painted.tile, painted }] : [];
    });
  }

  private repaint(painted: Painted): void {
    const { tile, z } = painted;
    const over = z === this.info.max_zoom ? Math.max(0, Math.round(this.viewZoom) - z) : 0;
    const dots = this.painter.dots(z, over);
    const shows = `${this.version}/${dots.radius}/${dots.scale}`;
    if (painted.shows === shows) return;
    const side = tile.size * dots.scale;
    if (this.output.width !== side) this.output = new ImageData(side, side);
    if (painted.canvas.canvas.width !== side) {
      painted.canvas.canvas.width = side;
      painted.canvas.canvas.height = side;
    }
    const margin = Math.ceil(dots.radius / dots.scale) + 1;
    const whole = dots.radius === 0 ? tile : withApron(tile, this.around(painted), margin);
    this.painter.paint(whole, new Uint32Array(this.output.data.buffer), z, dots);
    painted.canvas.putImageData(this.output, 0, 0);
    painted.shows = shows;
  }

  /** Brings the tiles of this frame up to date; those out of sight wait until they are seen. */
  private refresh(event: RenderEvent): void {
    const frame = event.frameState;
    if (!frame?.extent) return;
    this.viewZoom = zoomOf(frame.viewState.resolution);
    for (const [key, reference] of this.painted) {
      const painted = reference.deref();
      if (!painted) this.painted.delete(key);
      else if (intersects(painted.extent, frame.extent)) this.repaint(painted);
      else if (painted.canvas.canvas.width > painted.tile.size) this.shrink(painted);
    }
  }

  /** A tile out of sight does not keep its enlarged canvas. */
  private shrink(painted: Painted): void {
    painted.canvas.canvas.width = 1;
    painted.canvas.canvas.height = 1;
    painted.shows = "";
  }
}
