/** The OpenLayers map: view, color layers, and what changes when the state does. */

import { containsExtent, getCenter } from "ol/extent";
import type BaseLayer from "ol/layer/Base";
import type OlMap from "ol/Map";
import type View from "ol/View";
import type { ColorLayer, MapInfo } from "../api/types";
import { reducedMotion } from "../lib/dom";
import { type Archive, openArchive } from "../tiles/archive";

import { type ColormapName, divergingTable, lookupTable, pack, parseHex, type Theme } from "../tiles/colormaps";
import { type Dots, dotMax, dotsAt } from "../tiles/dots";
import { type DataTile, paintCategory, paintDensity } from "../tiles/paint";
import { paintValue } from "../tiles/paint-value";
import { type Arranged, type ArrangementName, arrangedFor, arrangementsOf, placeIn } from "./arranged";
import { backgroundLayer } from "./background-layer";
import { DataLayer, type Painter } from "./data-layer";
import { Dimming } from "./dimming";
import { EXTENT, type Place, resolutionOf, toPlane, toUnit, WORLD, zoomOf } from "./grid";
import { Highlight } from "./highlight";
import { ImageLayer, type ImageOptions, type PlacedRow } from "./image-layer";
import { MIN_ZOOM, OVERZOOM, planeMap, planeView } from "./plane";
import type { LabelStage } from "./text-labels";
import { type Range, shownRange, stepOf } from "./value-scale";

export interface Look {
  layer: string;
  arrangement: ArrangementName;
  colormap: ColormapName;
  hidden: ReadonlySet<number>;
  /** Values that the colors of a value layer span; null: its own. */
  range: Range | null;
  theme: Theme;
  /** Images smaller (-1) or larger than they are drawn by themselves. */
  imageSize?: number;
}

const CELL_PX = 64;

/** How the images of a layer are drawn in an arrangement: the side of their cells is that of the grid's. */
function imageOptions(job: string, info: MapInfo, layer: ColorLayer, { cell }: Arranged): ImageOptions {
  const grid = arrangementsOf(info).find((each) => each.cell !== null);
  const arranged = grid?.layers.find((each) => each.name === layer.name);
  const cellPx = grid?.cell && arranged ? grid.cell * WORLD * 2 ** arranged.max_zoom : CELL_PX;
  const icons = (layer.legend.icons ?? []).length > 0;
  return { map: icons ? null : job, cellPx, overlaps: cell === null && !icons };
}

/** The layers of one arrangement. */
interface Scene {
  arrangement: Arranged;
  data: Map<string, DataLayer>;
  images: Map<string, ImageLayer>;
}

/** An image on the screen. */
export interface Seen extends PlacedRow {
  /** Left, top, width and height in pixels of the map's element. */
  screen: readonly [left: number, top: number, width: number, height: number];
}

export type Padding = [number, number, number, number];

export class Stage {
  readonly olMap: OlMap;
  readonly view: View;
  readonly highlight: Highlight;
  readonly dimming = new Dimming();
  readonly arrangements: readonly Arranged[];
  private readonly scenes = new Map<ArrangementName, Scene>();
  /** An image beneath all layers, as a floor plan. */
  private readonly background: BaseLayer | null;
  private root: DataTile | null = null;
  private fittedView: number[] | null = null;
  private readonly rootLoaded: Promise<void>;

  constructor(
    target: HTMLElement,
    private readonly job: string,
    private readonly info: MapInfo,
    private look: Look,
    private readonly onError: (error: unknown) => void,
  ) {
    this.arrangements = arrangementsOf(info);
    const { background } = info;
    this.background = background && backgroundLayer(background, openArchive(job, background.path), onError);
    this.highlight = new Highlight(look.theme);
    this.view = planeView(info.max_zoom);
    const beneath = this.background ? [this.background] : [];
    this.olMap = planeMap(target, this.view, [...beneath, this.highlight.olLayer]);
    this.applyLook(look);
    this.rootLoaded = this.loadRoot();
  }

  get zoom(): number {
    return zoomOf(this.view.getResolution() ?? 1);
  }

  /** Center of the view in the unit square. */
  get center(): [number, number] {
    return toUnit(this.view.getCenter() ?? getCenter(EXTENT));
  }

  /** The arrangement that is shown: the one of the look, where the chosen layer is drawn so. */
  get arrangement(): Arranged {
    return arrangedFor(this.arrangements, this.look.arrangement, this.look.layer);
  }

  /** Where an example lies in the arrangement that is shown. */
  placeOf(place: Place): { x: number; y: number } {
    return placeIn(this.arrangement, place);
  }

  /** The thumbnails layer where it is the chosen one. */
  get activeImages(): ImageLayer | null {
    return this.scene.images.get(this.look.layer) ?? null;
  }

  /** The layers of the arrangement that is shown, made when it is shown first. */
  private get scene(): Scene {
    const { arrangement } = this;
    const known = this.scenes.get(arrangement.name);
    if (known) return known;
    const made: Scene = { arrangement, data: new Map(), images: new Map() };
    for (const layer of arrangement.layers) {
      const archive = openArchive(this.job, layer.path);
      if (layer.legend.kind === "images") {
        const options = imageOptions(this.job, this.info, layer, arrangement);
        made.images.set(layer.name, new ImageLayer(layer, archive, this.onError, options));
      } else made.data.set(layer.name, this.dataLayer(layer, archive, arrangement));
    }
    for (const each of [...made.data.values(), ...made.images.values()]) this.olMap.addLayer(each.olLayer);
    this.scenes.set(arrangement.name, made);
    return made;
  }

  /** Cells of a grid are seen as they are; at exact places pixels become dots, whose edges are smooth. */
  private dataLayer(layer: ColorLayer, archive: Archive, { cell }: Arranged): DataLayer {
    return new DataLayer(layer, archive, this.painter(layer), this.onError, cell === null);
  }

  /** A layer in the arrangement that is shown. */
  layerInfo(name: string): ColorLayer {
    const { layers } = this.arrangement;
    return layers.find((layer) => layer.name === name) ?? this.info.layers[0]!;
  }

  /** The layer whose numbers lie beneath the thumbnails: category where there is one. */
  private get underlay(): ColorLayer | undefined {
    const of = (kind: string) => this.arrangement.layers.find((layer) => layer.legend.kind === kind);
    return of("category") ?? of("density");
  }

  /** Shows the chosen color layer in its colors; nothing is fetched again. */
  applyLook(look: Look): void {
    this.look = look;
    const { scene } = this;
    for (const other of this.scenes.values()) {
      if (other === scene) continue;
      for (const each of [...other.data.values(), ...other.images.values()]) each.olLayer.setVisible(false);
    }
    const images = scene.images.has(look.layer);
    for (const [name, layer] of scene.data) {
      // The images of a grid cover their cells.
      const beneath = images && scene.arrangement.cell === null && name === this.underlay?.name;
      layer.olLayer.setVisible(name === look.layer || beneath);
      layer.olLayer.setOpacity(beneath ? 0.34 : 1);
      layer.setPainter(this.painter(this.layerInfo(name)));
    }
    for (const [name, layer] of scene.images) {
      layer.olLayer.setVisible(name === look.layer);
      layer.setHidden(look.hidden);
      layer.setSize(look.imageSize ?? 0);
    }
    // It has the coordinates of the embedding.
    this.background?.setVisible(scene.arrangement.name === "exact");
    this.highlight.setTheme(look.theme);
    this.highlight.arrange(scene.arrangement);
  }

  private get density(): ColorLayer | undefined {
    return this.info.layers.find((layer) => layer.legend.kind === "density");
  }

  /** What the legend says at a view zoom: the tile zoom, its dots, and the largest count they show. */
  scaleAt(layer: ColorLayer, zoom: number): { z: number; dots: Dots; max: number } {
    const images = this.scene.images.get(layer.name);
    const z = images?.tileZoom(zoom) ?? Math.min(layer.max_zoom, Math.max(layer.min_zoom, Math.round(zoom)));
    const dots = this.dots(z, Math.max(0, Math.round(zoom) - z));
    return { z, dots, max: dotMax(this.density, this.root, z, dots) };
  }

  private dots(z: number, over: number): Dots {
    if (this.arrangement.cell !== null) return { radius: 0, scale: 1 };
    return dotsAt(this.info.examples, z, over, window.devicePixelRatio);
  }

  private painter(layer: ColorLayer): Painter {
    const dots = (z: number, over: number) => this.dots(z, over);
    const max = (z: number, drawn: Dots) => dotMax(this.density, this.root, z, drawn);
    if (layer.legend.kind === "density") {
      const table = lookupTable(this.look.colormap, this.look.theme);
      return {
        dots,
        paint: (tile, out, z, drawn) => paintDensity(tile, out, { table, dots: drawn, max: max(z, drawn) }),
      };
    }
    const { classes, value } = layer.legend;
    if (value) {
      const table = value.diverging
        ? divergingTable(this.look.theme)
        : lookupTable(this.look.colormap, this.look.theme);
      const [from, to] = shownRange(value, this.look.range).map((at) => stepOf(value, at)) as [number, number];
      return {
        dots,
        paint: (tile, out, z, drawn) => paintValue(tile, out, { table, from, to, dots: drawn, max: max(z, drawn) }),
      };
    }
    const length = classes.reduce((most, each) => Math.max(most, each.index + 1), 0);
    const colors = new Uint32Array(length);
    for (const each of classes) colors[each.index] = pack(...parseHex(each.color), 255);
    const hidden = Uint8Array.from({ length }, (_, index) => (this.look.hidden.has(index) ? 1 : 0));
    return {
      dots,
      paint: (tile, out, z, drawn) => paintCategory(tile, out, { colors, hidden, dots: drawn, max: max(z, drawn) }),
    };
  }

  /** The zoom 0 tile gives the scale of dots that are larger than a pixel there. */
  private async loadRoot(): Promise<void> {
    const { scene } = this;
    const density = this.density && scene.data.get(this.density.name);
    if (!density || this.dots(0, 0).radius === 0) return;
    this.root = await density.root().catch(() => null);
    for (const [name, layer] of this.scene.data) layer.setPainter(this.painter(this.layerInfo(name)));
    this.view.changed();
  }

  /** The whole square in the present colors, 512 × 512; null where there is no data layer. */
  async paintOverview(): Promise<ImageData | null> {
    const { scene } = this;
    const chosen = scene.data.has(this.look.layer) ? this.layerInfo(this.look.layer) : this.underlay;
    const tile =
      chosen &&
      (await scene.data
        .get(chosen.name)!
        .root()
        .catch(() => null));
    await this.rootLoaded;
    if (!tile) return null;
    const pixels = new ImageData(tile.size, tile.size);
    const radius = scene.arrangement.cell === null ? Math.max(1.6, this.dots(0, 0).radius) : 0;
    const dots = { radius, scale: 1 };
    this.painter(chosen).paint(tile, new Uint32Array(pixels.data.buffer), 0, dots);
    return pixels;
  }

  /** Shows the whole map within the part of the screen that panels leave free. */
  fit(padding: Padding, animate: boolean): void {
    const duration = animate && !reducedMotion() ? 320 : 0;
    const remember = () => {
      this.fittedView = [...this.center, this.zoom];
    };
    const [left, top, right, bottom] = this.arrangement.extent;
    const extent = [...toPlane(left, bottom), ...toPlane(right, top)];
    this.view.cancelAnimations(); // a map that was thrown would move on beside it
    this.view.fit(extent, { padding, duration, callback: remember });
    if (duration === 0) remember();
  }

  /** Whether the view is still the one that shows the whole map. */
  get fitted(): boolean {
    const now = [...this.center, this.zoom];
    return this.fittedView?.every((value, i) => Math.abs(value - now[i]!) < 1e-6) ?? false;
  }

  /** The point tiles of an arrangement. */
  pointsOf({ points }: Arranged): Archive {
    return openArchive(this.job, points);
  }

  /** The part of the unit square in sight: left, top, right, bottom; it may reach beyond. */
  get box(): [number, number, number, number] {
    const [left, bottom, right, top] = this.view.calculateExtent(this.olMap.getSize() ?? [1, 1]);
    return [...toUnit([left!, top!]), ...toUnit([right!, bottom!])];
  }

  /** The images of the chosen layer that are in sight, as an arrangement has them, with their boxes on the screen. */
  imagesOf({ name }: Arranged): Seen[] {
    const layer = this.scenes.get(name)?.images.get(this.look.layer);
    return (layer?.inSight(this.box, this.zoom) ?? []).flatMap((image) => {
      const start = this.pixelOf(image.x, image.y);
      const end = this.pixelOf(image.x + image.width, image.y + image.height);
      return start && end ? [{ ...image, screen: [...start, end[0] - start[0], end[1] - start[1]] as const }] : [];
    });
  }

  /** Where a place is on the screen, or null before the first frame. */
  pixelOf(x: number, y: number): [number, number] | null {
    const pixel = this.olMap.getPixelFromCoordinate(toPlane(x, y)) as number[] | null;
    return pixel && [pixel[0]!, pixel[1]!];
  }

  /** What labels over the map are placed by. */
  labelParts(): LabelStage {
    return {
      olMap: this.olMap,
      zoom: () => this.zoom,
      pixelOf: (x, y) => this.pixelOf(x, y),
      placeOf: (pixel) => {
        const at = this.olMap.getCoordinateFromPixel(pixel) as number[] | null;
        return at && toUnit(at);
      },
    };
  }

  zoomBy(delta: number): void {
    const zoom = Math.min(this.info.max_zoom + OVERZOOM, Math.max(MIN_ZOOM, Math.round((this.zoom + delta) * 2) / 2));
    this.view.animate({ resolution: resolutionOf(zoom), duration: reducedMotion() ? 0 : 200 });
  }

  moveTo(x: number, y: number, zoom: number): void {
    this.view.setCenter(toPlane(x, y));
    this.view.setResolution(resolutionOf(zoom));
  }

  /** Flies to a place, shifted by `offset` screen pixels so that an open panel does not cover it. */
  flyTo(x: number, y: number, zoom: number, offset: [number, number]): void {
    const resolution = resolutionOf(zoom);
    const [px, py] = toPlane(x, y);
    const center = [px + offset[0] * resolution, py - offset[1] * resolution];
    const size = this.olMap.getSize() ?? [1, 1];
    const far = !containsExtent(this.view.calculateExtent(size), [px, py, px, py]);
    this.view.cancelAnimations();
    this.view.animate({ center, resolution, duration: reducedMotion() ? 0 : far ? 700 : 420 });
  }

  destroy(): void {
    for (const { images } of this.scenes.values()) for (const layer of images.values()) layer.destroy();
    this.olMap.setTarget(undefined);
    this.olMap.dispose();
  }
}
