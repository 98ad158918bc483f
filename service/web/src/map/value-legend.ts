/** The legend of a value layer: a color bar with ticks, what lies beyond it, and its range to be moved. */

import type { ColorLayer, ValueScale } from "../api/types";
import { h, setText } from "../lib/dom";
import { formatCount } from "../lib/format";
import { barText, beyondText, limits, type Range, unitText, valueText, valueTicks } from "./value-scale";

const SLIDER_STEPS = 500;

/** A slider's place of a value, and back. */
function sliderScale(scale: ValueScale): { toPlace(value: number): number; toValue(place: number): number } {
  const [start, end] = limits(scale);
  const span = end - start || 1;
  return {
    toPlace: (value) => Math.round(((value - start) / span) * SLIDER_STEPS),
    toValue: (place) => start + (place / SLIDER_STEPS) * span,
  };
}

/** How many examples have which value, above a bar of their colors; null: the map does not say. */
export function histogram(scale: ValueScale, [low, high]: Range): HTMLElement | null {
  // Maps of earlier versions have no counts.
  const { counts = [], range } = scale;
  const most = Math.max(0, ...counts);
  if (most === 0 || low !== range[0] || high !== range[1]) return null;
  const at = counts.indexOf(most);
  const width = (high - low) / counts.length;
  const say = (value: number) => valueText(scale, value, high - low);
  const label = `Histogram: most examples, ${formatCount(most)}, from ${say(low + at * width)} to ${say(low + (at + 1) * width)}`;
  const bars = counts.map((count) => {
    const bar = h("i", {});
    bar.style.height = `${count > 0 ? Math.max(3, (100 * count) / most) : 0}%`;
    return bar;
  });
  return h("div", { class: "histogram", role: "img", label, title: label, testid: "histogram" }, ...bars);
}

/** The ticks below a bar of colors. */
export function valueTickLabels(scale: ValueScale, range: Range): HTMLElement {
  const ticks = valueTicks(scale, range).map(({ text, at }) => {
    const label = h("span", { class: "tick" }, text);
    label.style.left = `${100 * at}%`;
    if (at < 0.08) label.classList.add("first");
    if (at > 0.92) label.classList.add("last");
    return label;
  });
  return h("div", { class: "ticks values", testid: "value-ticks", attrs: { "aria-hidden": "true" } }, ...ticks);
}

/** The parts of the legend: head, histogram, bar, ticks, notes, and the range. */
export function valueLegend(
  layer: ColorLayer,
  scale: ValueScale,
  range: Range,
  bar: HTMLCanvasElement,
  onRange: (range: Range | null) => void,
): HTMLElement[] {
  const unit = unitText(scale);
  bar.setAttribute("role", "img");
  bar.setAttribute("aria-label", barText(scale, range));
  bar.removeAttribute("aria-hidden");
  const own = range[0] === scale.range[0] && range[1] === scale.range[1];
  const beyond = beyondText(scale, own);
  const bars = histogram(scale, range);
  return [
    h(
      "div",
      { class: "legend-head" },
      h("h2", { title: layer.title, attrs: { dir: "auto" } }, layer.title),
      h("span", { class: "faint" }, unit ? `mean, ${unit}` : "mean"),
    ),
    ...(scale.about ? [h("p", { class: "faint about" }, scale.about)] : []),
    ...(bars ? [bars] : []),
    bar,
    valueTickLabels(scale, range),
    ...(beyond ? [h("p", { class: "faint beyond", testid: "value-beyond" }, beyond)] : []),
    ...(scale.extent[0] < scale.extent[1] ? [rangeSliders(scale, range, own, onRange)] : []),
  ];
}

function rangeSliders(
  scale: ValueScale,
  range: Range,
  own: boolean,
  onRange: (range: Range | null) => void,
): HTMLElement {
  const places = sliderScale(scale);
  const say = (value: number) => valueText(scale, value, range[1] - range[0]);
  const slider = (end: 0 | 1): HTMLElement => {
    const value = h("output", { class: "faint" }, say(range[end]));
    const input = h("input", {
      type: "range",
      label: end === 0 ? "Lowest color at" : "Highest color at",
      testid: end === 0 ? "range-low" : "range-high",
      attrs: {
        min: "0",
        max: String(SLIDER_STEPS),
        value: String(places.toPlace(range[end])),
        "aria-valuetext": say(range[end]),
        "data-value": `range-${end}`,
      },
    });
    const asked = (): Range => {
      const moved = places.toValue(Number(input.value));
      return end === 0 ? [Math.min(moved, range[1]), range[1]] : [range[0], Math.max(moved, range[0])];
    };
    input.addEventListener("input", () => setText(value, say(asked()[end])));
    input.addEventListener("change", () => onRange(asked()));
    return h("label", {}, h("span", {}, end === 0 ? "From" : "To"), input, value);
  };
  const reset = h(
    "button",
    { type: "button", class: "text-button", testid: "range-reset", on: { click: () => onRange(null) } },
    "Reset",
  );
  reset.hidden = own;
  return h(
    "div",
    { class: "value-range", role: "group", label: "Range of the colors" },
    h("div", { class: "legend-head second" }, h("h2", {}, "Range"), reset),
    slider(0),
    slider(1),
  );
}
