/** Activations: the maps of a layer for one image, to zoom into; its strongest channels by name. */

import type { Row, StoredImage } from "../api/types";
import { fill, h, setText } from "../lib/dom";
import { formatFigure, joined } from "../lib/format";
import { type TileGrid, tileAt, tileCorner } from "../lib/tile-grid";
import { unitLinks } from "../lib/unit-links";
import { colorAt, type Drawn, largestOf, type Normalization, type Pixels, pixelsOf, valueOfColor } from "./gray-values";
import { imageElement } from "./image";
import {
  EXAMPLE_COLUMNS,
  type ExampleValues,
  exampleFacts,
  factList,
  keyIndex,
  names,
  section,
  segments,
} from "./parts";
import { type About, type Opened, rowGallery } from "./types";
import { loadImage, Zoomable } from "./zoomable";

interface Channel {
  channel: number;
  largest: number | null;
  mean: number | null;
  y: number;
  x: number;
}

interface Layer {
  layer: string;
  shape: [number, number, number];
  grid: StoredImage | null;
  low: number | null;
  high: number | null;
  strongest: Channel[];
}

interface Activations extends ExampleValues {
  image: StoredImage | null;
  layers: Layer[];
}

const FIELDS = ["layer", "shape", "grid", "low", "high", "strongest"].map((field) => `layers.${field}`);

/** What the mouse is over: the channel, its strongest value, and the value of the cell. */
export function hoverText(channel: number, strongest: string, cell: string): string {
  return joined(`channel ${channel}`, strongest && `strongest ${strongest}`, cell && `here ${cell}`);
}

class ActivationsView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly zoomable: Zoomable;
  private readonly hover = h("p", { class: "hover-line", testid: "hover-line", role: "status" });
  private readonly strongest = h("div", {});
  private readonly layers;
  private readonly values: Activations;
  private shown = 0;
  private pixels: Pixels | null = null;
  private turn = 0;

  constructor(
    row: Row<Activations>,
    private readonly about: About,
  ) {
    this.values = row.values;
    const { details } = about.manifest;
    this.title = row.values.example_id;
    this.detail = typeof details["model"] === "string" ? details["model"] : "";
    this.zoomable = new Zoomable({
      onHover: (pixel) => this.say(pixel),
      onPick: (pixel) => this.pick(pixel),
    });
    const choices = this.values.layers.map((each, i) => [String(i), each.layer] as const);
    this.layers = segments("Layer", choices, (value) => void this.show(Number(value)), "layer");
    const seen = h(
      "div",
      { class: "seen" },
      imageElement(row.values.image, { alt: `${row.values.example_id} as the network sees it` }),
    );
    const side = h(
      "div",
      { class: "side" },
      seen,
      section("Strongest channels", this.strongest),
      section("Example", factList(exampleFacts(row.values, names(details, "classes")))),
    );
    this.element = h(
      "div",
      { class: "opened" },
      h("div", { class: "wide" }, this.layers.element, this.zoomable.element, this.hover),
      side,
    );
    void this.show(0);
  }

  onKey(key: string): boolean {
    const index = keyIndex(key, this.values.layers.length);
    if (index !== null) void this.show(index);
    return index !== null;
  }

  destroy(): void {
    this.turn += 1;
    this.zoomable.destroy();
  }

  private get layer(): Layer {
    return this.values.layers[this.shown]!;
  }

  private get tiles(): TileGrid {
    const [count, height, width] = this.layer.shape;
    return { count, height, width };
  }

  private get drawn(): Drawn {
    const normalization = this.about.manifest.details["normalization"] as Normalization;
    return { normalization, low: this.layer.low ?? 0, high: this.layer.high ?? 0 };
  }

  private async show(index: number): Promise<void> {
    const turn = ++this.turn;
    this.shown = index;
    this.pixels = null;
    this.layers.select(String(index));
    this.zoomable.mark(null);
    this.describe();
    this.list(null);
    void unitLinks(this.about.job.spec["model"], this.layer.layer)
      .catch(() => null)
      .then((links) => links && turn === this.turn && this.list(links));
    try {
      if (!this.layer.grid) throw new Error("This layer has no image.");
      const image = await loadImage(this.layer.grid.url);
      if (turn !== this.turn) return;
      this.pixels = pixelsOf(image);
      this.zoomable.show(image);
    } catch (error) {
      if (turn === this.turn) setText(this.hover, (error as Error).message);
    }
  }

  private list(links: ((channel: number) => string) | null): void {
    const items = this.layer.strongest.map((each) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "channel",
            title: "Show it in the grid",
            testid: "channel",
            on: { click: () => this.zoomable.goTo(this.box(each.channel)) },
          },
          h("span", {}, `channel ${each.channel}`),
          h("span", { class: "faint" }, each.largest === null ? "" : formatFigure(each.largest)),
        ),
        links && h("a", { class: "text-button", href: links(each.channel), testid: "to-unit" }, "its page"),
      ),
    );
    fill(this.strongest, h("ol", { class: "channels" }, ...items));
  }

  private box(channel: number) {
    const [left, top] = tileCorner(this.tiles, channel);
    return { left, top, width: this.tiles.width, height: this.tiles.height };
  }

  private pick(pixel: [number, number]): void {
    const found = tileAt(this.tiles, ...pixel);
    if (found && found.index < this.tiles.count) this.zoomable.goTo(this.box(found.index));
  }

  private say(pixel: [number, number] | null): void {
    const found = pixel && tileAt(this.tiles, ...pixel);
    if (!found || !this.pixels) return this.describe();
    const [left, top] = tileCorner(this.tiles, found.index);
    const cell = valueOfColor(colorAt(this.pixels, left + found.x, top + found.y), this.drawn);
    setText(
      this.hover,
      hoverText(found.index, this.largest(found.index), cell === null ? "" : `about ${formatFigure(cell)}`),
    );
    this.zoomable.mark(this.box(found.index));
  }

  /** Exact for the channels that the job named, else as it was drawn. */
  private largest(channel: number): string {
    const named = this.layer.strongest.find((each) => each.channel === channel)?.largest ?? null;
    if (named !== null) return formatFigure(named);
    const read = this.pixels && largestOf(this.pixels, this.tiles, channel, this.drawn);
    return read === null ? "" : `about ${formatFigure(read)}`;
  }

  private describe(): void {
    const { shape, low, high } = this.layer;
    const range = low === null || high === null ? "" : `from ${formatFigure(low)} to ${formatFigure(high)}`;
    const [channels, height, width] = shape;
    setText(this.hover, joined(`${channels} channels of ${height} × ${width}`, range));
  }
}

export const gallery = rowGallery<Activations>({
  kind: "activations",
  noun: "image",
  wallColumns: ["example_id", "image", "layers.layer", "layers.strongest.channel"],
  columns: [...EXAMPLE_COLUMNS, "image", ...FIELDS],
  hints: [
    [["1", "…", "9"], "layer"],
    [["+", "−"], "zoom"],
    [["0"], "all of it"],
  ],
  tile({ values }) {
    const first = values.layers[0];
    const strongest = first?.strongest[0]?.channel;
    return {
      image: values.image,
      name: values.example_id,
      caption: strongest === undefined ? "" : `${first!.layer}: channel ${strongest}`,
    };
  },
  open: (row, about) => new ActivationsView(row, about),
});
