/**
 * A density or category layer: tiles of numbers, painted here. OpenLayers draws one canvas per tile;
 * the canvases are repainted in place when colors change, so a recoloring shows in the next frame.
 * Memory: at most `CACHED_TILES` tiles of 2 MiB (words and canvas) per layer.
 */

import { intersects } from "ol/extent";
import TileLayer from "ol/layer/Tile";
import type RenderEvent from "ol/render/Event";
import ImageTileSource from "ol/source/ImageTile";
import type { ColorLayer } from "../api/types";
import { type Archive, createContext, decodeDataTile } from "./archive";
import { createGrid, projection, WORLD, zoomOf } from "./grid";
import type { DataTile } from "./paint";

const CACHED_TILES = 64;

/** How tiles get their colors. `cell` is in tile pixels. */
export interface Painter {
  cell(z: number, over: number): number;
  paint(tile: DataTile, out: Uint32Array, z: number, cell: number): void;
}

interface Painted {
  z: number;
  extent: number[];
  tile: DataTile;
  canvas: CanvasRenderingContext2D;
  /** Version and cell size of what the canvas shows. */
  shows: string;
}

/** Smooth while tiles are near their own scale, hard cells when the view is deeper than the data. */
class DataSource extends ImageTileSource {
  smooth = true;

  override getInterpolate(): boolean {
    return this.smooth;
  }
}

export class DataLayer {
  readonly olLayer: TileLayer<DataSource>;
  private readonly source: DataSource;
  private readonly blank = createContext(1, false).canvas;
  private readonly painted = new Set<WeakRef<Painted>>();
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
  ) {
    const grid = createGrid(info.min_zoom, info.max_zoom);
    this.source = new DataSource({
      projection,
      tileGrid: grid,
      wrapX: false,
      transition: 0,
      loader: async (z, x, y, { signal }) => {
        try {
          const bytes = await archive.tile(z, x, y, signal);
          if (!bytes) return this.blank;
          return this.adopt(z, grid.getTileCoordExtent([z, x, y]), await decodeDataTile(bytes, info.media_type));
        } catch (error) {
          if (!signal.aborted) onError(error);
          throw error;
        }
      },
    });
    this.olLayer = new TileLayer({ source: this.source, cacheSize: CACHED_TILES });
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

  /** Called before a frame at this zoom is drawn. */
  prepare(zoom: number): void {
    this.source.smooth = zoom <= this.info.max_zoom + 0.5;
    this.viewZoom = zoom;
  }

  private adopt(z: number, extent: number[], tile: DataTile): HTMLCanvasElement {
    const canvas = createContext(tile.size, false);
    const painted: Painted = { z, extent, tile, canvas, shows: "" };
    this.painted.add(new WeakRef(painted));
    this.owners.set(canvas.canvas, painted);
    this.repaint(painted);
    return canvas.canvas;
  }

  private repaint(painted: Painted): void {
    const { tile, z } = painted;
    const over = Math.round(this.viewZoom) - z;
    const cell = this.painter.cell(z, z === this.info.max_zoom ? over : 0);
    const shows = `${this.version}/${cell}`;
    if (painted.shows === shows) return;
    if (this.output.width !== tile.size) this.output = new ImageData(tile.size, tile.size);
    this.painter.paint(tile, new Uint32Array(this.output.data.buffer), z, cell);
    painted.canvas.putImageData(this.output, 0, 0);
    painted.shows = shows;
  }

  /** Brings the tiles of this frame up to date; those out of sight wait until they are seen. */
  private refresh(event: RenderEvent): void {
    const frame = event.frameState;
    if (!frame?.extent) return;
    this.viewZoom = zoomOf(frame.viewState.resolution);
    for (const reference of this.painted) {
      const painted = reference.deref();
      if (!painted) this.painted.delete(reference);
      else if (intersects(painted.extent, frame.extent)) this.repaint(painted);
    }
  }
}
