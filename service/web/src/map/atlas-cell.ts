/** The cell of an atlas that an example is in: its icon, the classes that it speaks for, and its commonest label. */

import { getRows, showImage } from "../api/client";
import type { ColorLayer, MapInfo, Row, StoredImage } from "../api/types";
import { fill, h } from "../lib/dom";
import { formatFigure, plural } from "../lib/format";

export interface SpokenFor {
  output: number;
  name: string | null;
  /** In logits. */
  attribution: number;
}

export interface AtlasCell {
  vectors: number;
  label: number | null;
  label_share: number | null;
  /** Null: no attribution was computed. */
  speaks_for?: SpokenFor[] | null;
  icon: StoredImage | null;
}

const COLUMNS = ["vectors", "label", "label_share", "speaks_for", "icon"];

/** Cells along a side of the map, as the icons are drawn at a view zoom; null: the layer draws no cells. */
export function sideAt(layer: ColorLayer, zoom: number): number | null {
  const sides = layer.legend.grids ?? [];
  const z = Math.min(layer.max_zoom, Math.max(layer.min_zoom, Math.round(zoom)));
  return sides[z] ?? sides.at(-1) ?? null;
}

/** The id of the cell that holds a place of the unit square, as the job names it. */
export function cellId(side: number, x: number, y: number): string {
  const bin = (value: number) => Math.min(side - 1, Math.max(0, Math.floor(value * side)));
  return `${side}/${bin(y)}/${bin(x)}`;
}

/** "goldfish", or "output 3" where the weights name no classes. */
export function outputName({ name, output }: SpokenFor): string {
  return name ?? `output ${output}`;
}

/** Why no classes are named, in a sentence's end. */
export function silence(cell: AtlasCell, reason: string | null): string | null {
  if (!cell.icon) return "too few examples for an icon";
  if (!cell.speaks_for) return reason ?? "not computed by this job";
  return cell.speaks_for.length === 0 ? "none: it lowers every logit" : null;
}

export class AtlasCells {
  private readonly layer: ColorLayer | undefined;

  /**
   * @param job id of the job that drew the map
   * @param reason why its cells are attributed to no classes
   */
  constructor(
    private readonly job: string,
    private readonly info: MapInfo,
    private readonly reason: string | null,
  ) {
    this.layer = info.layers.find((layer) => (layer.legend.grids ?? []).length > 0);
  }

  /** The cell at a place, at a view zoom; null where the map is no atlas. */
  show(place: { x: number; y: number }, zoom: number): HTMLElement | null {
    const side = this.layer && sideAt(this.layer, zoom);
    if (!side) return null;
    const element = h("section", { class: "atlas-cell", testid: "atlas-cell", attrs: { "aria-busy": "true" } });
    void this.load(element, cellId(side, place.x, place.y));
    return element;
  }

  private async load(element: HTMLElement, id: string): Promise<void> {
    try {
      const page = await getRows<AtlasCell>(this.job, "cells", { example_id: id, columns: COLUMNS });
      const found: Row<AtlasCell> | undefined = page.rows[0];
      if (found) fill(element, ...this.parts(found.values));
      else element.remove();
    } catch {
      // Artifacts of before there was an attribution have no such column.
      element.remove();
    }
    element.removeAttribute("aria-busy");
  }

  private parts(cell: AtlasCell): HTMLElement[] {
    const head = h(
      "div",
      { class: "legend-head" },
      h("h3", {}, "Cell of the atlas"),
      h("span", { class: "faint" }, plural(cell.vectors, "example")),
    );
    const icon =
      cell.icon && showImage(h("img", { class: "image", attrs: { alt: "The icon of the cell" } }), cell.icon.url);
    const facts = h("dl", {}, ...this.classes(cell), ...this.label(cell));
    return [head, h("div", { class: "atlas-cell-body" }, icon, facts)];
  }

  private classes(cell: AtlasCell): HTMLElement[] {
    const term = h(
      "dt",
      { title: "What the mean activation adds to each logit, to first order" },
      "Speaks for ",
      h("span", { class: "faint" }, "(attribution)"),
    );
    const why = silence(cell, this.reason);
    if (why !== null) return [term, h("dd", { class: "faint", testid: "speaks-for" }, why)];
    const rows = (cell.speaks_for ?? []).map((each) =>
      h("li", {}, h("span", {}, outputName(each)), h("span", { class: "faint" }, `+${formatFigure(each.attribution)}`)),
    );
    return [term, h("dd", { testid: "speaks-for" }, h("ol", {}, ...rows))];
  }

  private label(cell: AtlasCell): HTMLElement[] {
    const name = cell.label === null ? "no labels" : (this.info.classes[cell.label] ?? `class ${cell.label}`);
    const share = cell.label_share === null ? "" : `, ${Math.round(100 * cell.label_share)} % of them`;
    return [h("dt", {}, "Commonest label among its examples"), h("dd", { testid: "commonest-label" }, name + share)];
  }
}
