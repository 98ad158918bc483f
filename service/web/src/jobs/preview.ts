/**
 * A small image of a finished map, when it comes into sight: its own images where it draws any, else its dots,
 * painted from the data tile of zoom 0.
 */

import { getManifest, mapInfo, previewUrl } from "../api/client";
import type { ColorLayer } from "../api/types";
import { currentTheme, onTheme } from "../app/theme";
import { h } from "../lib/dom";
import { createContext, decodeDataTile, openArchive } from "../tiles/archive";
import { DEFAULT_COLORMAP, lookupTable, pack, parseHex } from "../tiles/colormaps";
import { blockMax } from "../tiles/dots";
import { type DataTile, paintCategory, paintDensity } from "../tiles/paint";

const CANVAS_PX = 512;
const DOTS = { radius: 2.6, scale: 1 };

interface Source {
  tile: DataTile;
  layer: ColorLayer;
}

async function load(id: string): Promise<Source | "images" | null> {
  const { layers } = mapInfo(await getManifest(id));
  const of = (kind: string) => layers.find((layer) => layer.legend.kind === kind);
  if (of("images")) return "images";
  const layer = of("category") ?? of("density");
  const bytes = layer && (await openArchive(id, layer.path).tile(0, 0, 0));
  return bytes ? { layer, tile: await decodeDataTile(bytes, layer.media_type) } : null;
}

function paint({ tile, layer }: Source, canvas: HTMLCanvasElement): void {
  const pixels = new ImageData(tile.size, tile.size);
  const out = new Uint32Array(pixels.data.buffer);
  if (layer.legend.kind === "category") {
    const colors = new Uint32Array(layer.legend.classes.reduce((most, each) => Math.max(most, each.index + 1), 0));
    for (const each of layer.legend.classes) colors[each.index] = pack(...parseHex(each.color), 255);
    paintCategory(tile, out, { colors, hidden: new Uint8Array(colors.length), max: 16, dots: DOTS });
  } else {
    paintDensity(tile, out, {
      table: lookupTable(DEFAULT_COLORMAP, currentTheme()),
      max: blockMax(tile, 4),
      dots: DOTS,
    });
  }
  const whole = createContext(tile.size, false);
  whole.putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  if (!context) return;
  context.imageSmoothingQuality = "high";
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(whole.canvas, 0, 0, canvas.width, canvas.height);
}

export class MapPreview {
  readonly element: HTMLAnchorElement;
  private readonly canvas = h("canvas", { attrs: { "aria-hidden": "true" } });
  private source: Source | null = null;
  private readonly seen: IntersectionObserver;
  private readonly endTheme: () => void;

  constructor(private readonly id: string) {
    this.canvas.width = CANVAS_PX;
    this.canvas.height = CANVAS_PX;
    this.element = h(
      "a",
      { class: "preview", href: `/maps/${encodeURIComponent(id)}`, label: "Open the map", attrs: { tabindex: "-1" } },
      this.canvas,
    );
    this.seen = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) void this.start();
    });
    this.seen.observe(this.element);
    this.endTheme = onTheme(() => this.source && paint(this.source, this.canvas));
  }

  private async start(): Promise<void> {
    this.seen.disconnect();
    const found = await load(this.id).catch(() => null);
    if (found === "images") {
      const attrs = { src: previewUrl(this.id), alt: "" };
      this.element.replaceChildren(h("img", { attrs }));
    } else if (found) {
      this.source = found;
      paint(found, this.canvas);
    }
  }

  destroy(): void {
    this.seen.disconnect();
    this.endTheme();
  }
}
