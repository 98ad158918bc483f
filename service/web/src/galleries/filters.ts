/** Filters: the weights of a convolution, sorted by norm, each to zoom into. */

import { getRow } from "../api/client";
import type { Row, StoredImage } from "../api/types";
import { h, setText } from "../lib/dom";
import { formatCount, formatFigure, joined } from "../lib/format";
import { type TileGrid, tileAt } from "../lib/tile-grid";
import { factList, section } from "./parts";
import { type About, type Opened, rowGallery } from "./types";
import { loadImage, Zoomable } from "./zoomable";

interface Filter {
  index: number;
  norm: number | null;
  is_dead: boolean;
  bias: number | null;
  tile: StoredImage | null;
  /** Inputs, height and width. */
  shape: [number, number, number];
}

/** The weights under a pixel of a filter's tile, by input: of an RGB tile three, else one. */
export function weightsAt(
  weights: readonly (number | null)[],
  shape: readonly [number, number, number],
  x: number,
  y: number,
): [input: number, weight: number | null][] {
  const [inputs, height, width] = shape;
  const at = (input: number, row: number, column: number) => weights[(input * height + row) * width + column] ?? null;
  if (inputs === 3 || inputs === 1) {
    if (x < 0 || y < 0 || x >= width || y >= height) return [];
    return Array.from({ length: inputs }, (_, input) => [input, at(input, Math.floor(y), Math.floor(x))]);
  }
  const grid: TileGrid = { count: inputs, height, width };
  const found = tileAt(grid, x, y);
  return found ? [[found.index, at(found.index, found.y, found.x)]] : [];
}

class FilterView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly hover = h("p", { class: "hover-line", testid: "hover-line", role: "status" });
  private readonly zoomable: Zoomable;
  private weights: readonly (number | null)[] = [];
  private ended = false;

  constructor(
    private readonly row: Row<Filter>,
    private readonly about: About,
  ) {
    const { values } = row;
    const { details } = about.manifest;
    const [inputs, height, width] = values.shape;
    this.title = `Filter ${values.index}`;
    this.detail = joined(String(details["model"] ?? ""), String(details["layer"] ?? ""), values.is_dead && "dead");
    this.zoomable = new Zoomable({ onHover: (pixel) => this.say(pixel) });
    const drawn =
      typeof details["low"] === "number" && typeof details["high"] === "number"
        ? `black ${formatFigure(details["low"])}, white ${formatFigure(details["high"])}`
        : "black and white at its own ends";
    const facts = factList([
      ["Norm", values.norm === null ? "" : formatFigure(values.norm)],
      ["Bias", values.bias === null ? "none" : formatFigure(values.bias)],
      ["Weights", `${formatCount(inputs)} inputs of ${height} × ${width}`],
      ["Drawn", drawn],
      ["Dead", values.is_dead ? "yes" : "no"],
    ]);
    this.element = h(
      "div",
      { class: "opened" },
      h("div", { class: "wide" }, this.zoomable.element, this.hover),
      h("div", { class: "side" }, section("Filter", facts)),
    );
    void this.load();
  }

  destroy(): void {
    this.ended = true;
    this.zoomable.destroy();
  }

  private async load(): Promise<void> {
    try {
      if (!this.row.values.tile) throw new Error("This filter has no image.");
      const image = await loadImage(this.row.values.tile.url);
      if (this.ended) return;
      this.zoomable.show(image);
      const found = await getRow<{ weights: (number | null)[] }>(this.about.job.id, "filters", this.row.row, [
        "weights",
      ]);
      this.weights = found.values.weights;
    } catch (error) {
      setText(this.hover, (error as Error).message);
    }
  }

  private say(pixel: [number, number] | null): void {
    const found = pixel ? weightsAt(this.weights, this.row.values.shape, ...pixel) : [];
    const colors = found.length === 3 ? ["red", "green", "blue"] : null;
    setText(
      this.hover,
      found
        .map(
          ([input, weight]) => `${colors?.[input] ?? `input ${input}`} ${weight === null ? "–" : formatFigure(weight)}`,
        )
        .join("  ·  "),
    );
  }
}

export const gallery = rowGallery<Filter>({
  kind: "filters",
  noun: "filter",
  wallColumns: ["index", "norm", "is_dead", "tile"],
  columns: ["index", "norm", "is_dead", "bias", "tile", "shape"],
  pixelated: true,
  orders: [
    { value: "", label: "By number" },
    { value: "-norm", label: "Largest norm first" },
    { value: "norm", label: "Smallest norm first" },
  ],
  hints: [
    [["+", "−"], "zoom"],
    [["0"], "all of it"],
  ],
  tile({ values }) {
    const norm = values.norm === null ? "" : `norm ${formatFigure(values.norm)}`;
    return {
      image: values.tile,
      name: `Filter ${values.index}`,
      caption: norm,
      ...(values.is_dead ? { badge: "dead" } : {}),
    };
  },
  open: (row, about) => new FilterView(row, about),
});
