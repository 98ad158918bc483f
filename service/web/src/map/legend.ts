/** The legend of the chosen color layer: scale and colormaps, or classes to hide and solo. */

import type { ColorLayer, LegendClass, MapInfo, ValueScale } from "../api/types";
import { fill, h } from "../lib/dom";
import { formatCount } from "../lib/format";
import { icon } from "../lib/icons";
import { radioGroup } from "../lib/radio";
import { COLORMAPS } from "../tiles/colormap-tables";
import { type ColormapName, divergingTable, isColormap, lookupTable, type Theme } from "../tiles/colormaps";
import { valueLegend } from "./value-legend";
import { type Range, shownRange } from "./value-scale";

/** Above this many classes the legend has a field to find one. */
const FIND_FROM = 14;

export interface LegendView {
  layer: ColorLayer;
  /** Classes that the chosen layer's colors stand for; for thumbnails those of the points beneath. */
  classes: readonly LegendClass[];
  colormap: ColormapName;
  hidden: ReadonlySet<number>;
  theme: Theme;
  /** Values that the colors of a value layer span. */
  range: Range | null;
  /** Largest count that a dot shows at the present zoom. */
  max: number;
  /** Whether one pixel is drawn per pixel of data, or a dot. */
  dotted: boolean;
}

export interface LegendActions {
  onColormap(name: ColormapName): void;
  onHidden(hidden: ReadonlySet<number>): void;
  onRange(range: Range | null): void;
}

/** The classes hidden after "only this one" is asked for; asked again, all are shown. */
export function soloed(indices: readonly number[], hidden: ReadonlySet<number>, index: number): Set<number> {
  const others = indices.filter((other) => other !== index);
  const alone = !hidden.has(index) && others.every((other) => hidden.has(other));
  return new Set(alone ? [] : others);
}

/** The classes hidden after one is switched. */
export function toggled(hidden: ReadonlySet<number>, index: number): Set<number> {
  const next = new Set(hidden);
  if (!next.delete(index)) next.add(index);
  return next;
}

/** Counts to write on a log scale from 1 to `max`: 1, powers of ten, and the end. */
export function scaleTicks(max: number): number[] {
  if (max <= 1) return [1];
  const ticks = [1];
  for (let tick = 10; tick < max * 0.6; tick *= 10) ticks.push(tick);
  const step = Math.ceil(ticks.length / 4);
  return [...ticks.filter((_, i) => i % step === 0), max];
}

export function gradient(table: Uint32Array, className: string): HTMLCanvasElement {
  const canvas = h("canvas", { class: className, attrs: { "aria-hidden": "true" } });
  canvas.width = table.length;
  canvas.height = 1;
  const image = new ImageData(new Uint8ClampedArray(table.buffer as ArrayBuffer), table.length, 1);
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/** Of examples without a label. */
export const NO_LABEL_COLOR = "#8a8a8a";

/** The classes that points have: of the color layer whose classes are the map's. */
export function labelClasses(info: MapInfo): readonly LegendClass[] {
  const fits = (classes: readonly LegendClass[]) =>
    info.classes.length > 0 && info.classes.every((name, i) => classes[i]?.name === name);
  return info.layers.find(({ legend }) => legend.kind === "category" && fits(legend.classes))?.legend.classes ?? [];
}

/** Of the layers with classes, those of the one with most: what can be hidden at all. */
export function longestLegend(info: MapInfo): readonly LegendClass[] {
  return info.layers
    .map((layer) => layer.legend.classes)
    .reduce((most, each) => (each.length > most.length ? each : most), []);
}

export class Legend {
  readonly element = h("section", { class: "legend", testid: "legend", label: "Legend" });
  private rows = new Map<number, HTMLElement>();
  private shownKey = "";
  private readonly reset = h(
    "button",
    { type: "button", class: "text-button", on: { click: () => this.showAll() } },
    "Show all",
  );
  private view: LegendView | null = null;

  constructor(private readonly actions: LegendActions) {}

  update(view: LegendView): void {
    this.view = view;
    const { layer, theme, colormap, max, dotted } = view;
    const density = layer.legend.kind === "density";
    const { value } = layer.legend;
    let key = layer.name;
    if (density) key = `${layer.name}/${theme}/${colormap}/${max}/${dotted}`;
    else if (value) key = `${layer.name}/${theme}/${colormap}/${shownRange(value, view.range)}`;
    if (key !== this.shownKey) {
      const focused =
        this.element.contains(document.activeElement) && document.activeElement?.getAttribute("data-value");
      this.shownKey = key;
      if (density) this.buildDensity(view);
      else if (value) this.buildValue(view, value);
      else this.buildClasses(view);
      if (focused) this.element.querySelector<HTMLElement>(`[data-value="${CSS.escape(focused)}"]`)?.focus();
    }
    this.markHidden();
  }

  private buildDensity({ colormap, theme, max, dotted }: LegendView): void {
    this.rows.clear();
    const ticks = scaleTicks(max).map((tick) => {
      const label = h("span", { class: "tick" }, formatCount(tick));
      label.style.left = `${max <= 1 ? 50 : (100 * Math.log(tick)) / Math.log(max)}%`;
      return label;
    });
    fill(
      this.element,
      h(
        "div",
        { class: "legend-head" },
        h("h2", {}, dotted ? "Examples per dot" : "Examples per pixel"),
        h("span", { class: "faint" }, "log scale"),
      ),
      gradient(lookupTable(colormap, theme), "scale"),
      h("div", { class: max <= 1 ? "ticks lone" : "ticks" }, ...ticks),
      ...this.colormaps(colormap, theme),
    );
  }

  private buildValue({ layer, range, colormap, theme }: LegendView, value: ValueScale): void {
    this.rows.clear();
    const table = value.diverging ? divergingTable(theme) : lookupTable(colormap, theme);
    const bar = gradient(table, "scale");
    fill(
      this.element,
      ...valueLegend(layer, value, shownRange(value, range), bar, (asked) => this.actions.onRange(asked)),
      ...(value.diverging ? [] : this.colormaps(colormap, theme)),
    );
  }

  /** The choice of a sequential colormap. */
  private colormaps(colormap: ColormapName, theme: Theme): HTMLElement[] {
    const names = Object.keys(COLORMAPS) as ColormapName[];
    const choices = names.map((name) => ({
      value: name,
      label: name,
      title: name,
      testid: `colormap-${name}`,
      content: [gradient(lookupTable(name, theme), "swatch")],
    }));
    const group = radioGroup("Colormap", "colormaps", choices, (value) => {
      if (isColormap(value)) this.actions.onColormap(value);
    });
    group.select(colormap);
    return [
      h("div", { class: "legend-head second" }, h("h2", {}, "Colormap"), h("span", { class: "faint" }, colormap)),
      group.element,
    ];
  }

  private buildClasses({ layer, classes }: LegendView): void {
    this.rows = new Map(classes.map((each) => [each.index, this.classRow(each)]));
    const list = h("ul", { class: "classes" }, ...this.rows.values());
    const images = layer.legend.kind === "images";
    const note = "A hidden class has no images and no points; what lies beneath is seen.";
    if (classes.length === 0) {
      fill(
        this.element,
        h("p", { class: "faint" }, "Images that the network sees as alike mostly lie near each other."),
      );
      return;
    }
    fill(
      this.element,
      h(
        "div",
        { class: "legend-head" },
        h("h2", {}, layer.legend.kind === "category" ? layer.title : "Classes"),
        this.reset,
      ),
      classes.length >= FIND_FROM && this.finder(classes),
      list,
      images && h("p", { class: "faint note" }, note),
    );
  }

  private finder(classes: readonly LegendClass[]): HTMLElement {
    const input = h("input", {
      type: "search",
      class: "field",
      label: "Find a class",
      attrs: { placeholder: `Find in ${formatCount(classes.length)} classes`, spellcheck: "false" },
    });
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const each of classes) this.rows.get(each.index)!.hidden = !each.name.toLowerCase().includes(wanted);
    });
    return input;
  }

  private classRow({ index, name, color, count }: LegendClass): HTMLElement {
    const dot = h("span", { class: "dot" });
    dot.style.setProperty("--dot", color);
    const toggle = h(
      "button",
      {
        type: "button",
        class: "class-toggle",
        title: name,
        testid: `class-${index}`,
        on: {
          click: (event) => (event.altKey ? this.solo(index) : this.toggle(index)),
          dblclick: () => this.solo(index),
        },
      },
      dot,
      h("span", { class: "class-name" }, name),
      h("span", { class: "class-count" }, formatCount(count)),
    );
    const only = h(
      "button",
      {
        type: "button",
        class: "only",
        label: `Only ${name}`,
        title: "Only this class",
        testid: `only-${index}`,
        on: { click: () => this.solo(index) },
      },
      "only",
    );
    return h("li", {}, toggle, only);
  }

  private markHidden(): void {
    const { hidden, classes } = this.view!;
    for (const [index, row] of this.rows) {
      row.classList.toggle("off", hidden.has(index));
      row.firstElementChild!.setAttribute("aria-pressed", String(!hidden.has(index)));
    }
    this.reset.hidden = !classes.some((each) => hidden.has(each.index));
  }

  private toggle(index: number): void {
    this.actions.onHidden(toggled(this.view!.hidden, index));
  }

  private solo(index: number): void {
    const { classes, hidden } = this.view!;
    this.actions.onHidden(
      soloed(
        classes.map((each) => each.index),
        hidden,
        index,
      ),
    );
  }

  private showAll(): void {
    this.actions.onHidden(new Set());
    this.element.querySelector<HTMLElement>(".class-toggle")?.focus();
  }
}

/** Icon of a kind of color layer. */
export function layerIcon(layer: ColorLayer): SVGSVGElement {
  return icon(layer.legend.kind);
}
