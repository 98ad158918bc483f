/** What is said of a selection: counts as bars, numbers, frequent values, and the contact sheet. */

import { showImage, thumbnailUrl } from "../api/client";
import type { LegendClass, SelectionSummary } from "../api/types";
import { type Child, h } from "../lib/dom";
import { formatCount, formatFigure, joined } from "../lib/format";

const SHOWN_CLASSES = 12;
const SHOWN_NUMBERS = 8;
const SHOWN_CATEGORIES = 6;
const SHOWN_VALUES = 3;

export interface SummaryActions {
  classes: readonly LegendClass[];
  onOpen(row: number): void;
}

function section(title: string, ...children: Child[]): HTMLElement {
  return h("section", { class: "selection-part" }, h("h3", {}, title), ...children);
}

function bars(summary: SelectionSummary, classes: readonly LegendClass[]): HTMLElement | null {
  const labeled = summary.classes.some(({ label }) => label !== null);
  if (!labeled) return null;
  const most = Math.max(...summary.classes.map(({ count }) => count));
  const rows = summary.classes.slice(0, SHOWN_CLASSES).map(({ label, class_name, count }) => {
    const bar = h("span", { class: "selection-bar-fill" });
    bar.style.setProperty("--share", `${(100 * count) / most}%`);
    bar.style.setProperty("--dot", classes.find(({ index }) => index === label)?.color ?? "var(--quiet)");
    return h(
      "li",
      {},
      h("span", { class: "selection-bar-name" }, class_name ?? (label === null ? "no label" : `class ${label}`)),
      h("span", { class: "selection-bar-count" }, formatCount(count)),
      h("span", { class: "selection-bar-track", attrs: { "aria-hidden": "true" } }, bar),
    );
  });
  const more = summary.classes.length - rows.length;
  return section(
    "Classes",
    h("ul", { class: "selection-bars", testid: "selection-classes" }, ...rows),
    more > 0 && h("p", { class: "faint" }, `and ${formatCount(more)} more`),
  );
}

function figures(summary: SelectionSummary): HTMLElement | null {
  const numbers = summary.numbers.slice(0, SHOWN_NUMBERS).map(({ name, unit, mean, min, max }) => {
    const span = `${formatFigure(min)} to ${formatFigure(max)}`;
    return [name, joined(`mean ${formatFigure(mean)}${unit && ` ${unit}`}`, span)] as const;
  });
  const times = summary.times
    .slice(0, SHOWN_NUMBERS)
    .map(({ name, min, max }) => [name, `${min.slice(0, 10)} to ${max.slice(0, 10)}`] as const);
  const categories = summary.categories.slice(0, SHOWN_CATEGORIES).map(({ name, distinct, values }) => {
    const shown = values.slice(0, SHOWN_VALUES).map(({ value, count }) => `${value} ${formatCount(count)}`);
    return [name, joined(...shown, distinct > SHOWN_VALUES && `${formatCount(distinct)} in all`)] as const;
  });
  const all = [...numbers, ...times, ...categories];
  if (all.length === 0) return null;
  const rows = all.map(([name, said]) => h("div", {}, h("dt", {}, name), h("dd", {}, said)));
  return section("Attributes", h("dl", { class: "facts selection-facts", testid: "selection-figures" }, ...rows));
}

function sheet(map: string, title: string, rows: readonly number[], onOpen: (row: number) => void): HTMLElement | null {
  if (rows.length === 0) return null;
  const images = rows.map((row) => {
    const image = h("img", { class: "image", attrs: { alt: "", loading: "lazy" } });
    showImage(image, thumbnailUrl(map, row));
    image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
    image.addEventListener("error", () => image.replaceWith(h("code", { class: "image" }, formatCount(row))));
    const open = { click: () => onOpen(row) };
    return h("button", { type: "button", label: `Open row ${formatCount(row)}`, on: open }, image);
  });
  return section(title, h("div", { class: "selection-sheet" }, ...images));
}

/** Everything that is said of a selection, the counts first. */
export function summaryParts(map: string, summary: SelectionSummary, actions: SummaryActions): HTMLElement[] {
  const { classes, onOpen } = actions;
  const central = summary.centrality === "features" ? "Most central, by features" : "Most central, on the map";
  const parts = [
    bars(summary, classes),
    figures(summary),
    sheet(map, central, summary.central, onOpen),
    summary.count > summary.central.length ? sheet(map, "Outermost", summary.outermost, onOpen) : null,
  ];
  return parts.filter((part) => part !== null);
}

/** "12,000 of 1,050,000 selected · 1.1 %". */
export function countText({ count, of }: Pick<SelectionSummary, "count" | "of">): string {
  const share = of > 0 ? (100 * count) / of : 0;
  const percent = share > 0 && share < 0.1 ? "less than 0.1" : String(Number(share.toPrecision(3)));
  return joined(`${formatCount(count)} of ${formatCount(of)}`, `${percent} %`);
}
