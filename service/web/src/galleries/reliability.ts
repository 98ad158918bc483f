/** The reliability diagram: of each bin of confidence how often it was right, beside the diagonal. */

import { drawing, type Shape, s } from "../charts/svg";
import { h } from "../lib/dom";
import { formatCount } from "../lib/format";
import { percent } from "./percent";
import type { Bin } from "./predictions-data";

const WIDTH = 340;
const HEIGHT = 330;
const MARGIN = { left: 46, right: 10, top: 10, bottom: 74 };
const SIDE = { x: WIDTH - MARGIN.left - MARGIN.right, y: HEIGHT - MARGIN.top - MARGIN.bottom };
const COUNTS = 26;

/** What a bin says, for a title and for who does not see it. */
export function binSentence(bin: Bin): string {
  const range = `${percent(bin.low)} to ${percent(bin.high)} sure`;
  if (bin.accuracy === null || bin.confidence === null) return `${range}: no example`;
  const examples = `${formatCount(bin.examples)} ${bin.examples === 1 ? "example" : "examples"}`;
  return `${range}: ${examples}, ${percent(bin.confidence)} sure in the mean, ${percent(bin.accuracy)} right`;
}

export function reliabilityDiagram(bins: readonly Bin[]): HTMLElement {
  const svg = drawing(WIDTH, HEIGHT, "Reliability: accuracy by confidence");
  svg.setAttribute("class", "reliability");
  const x = (value: number) => MARGIN.left + SIDE.x * value;
  const y = (value: number) => MARGIN.top + SIDE.y * (1 - value);
  const most = Math.max(1, ...bins.map((bin) => bin.examples));
  svg.append(...axes(x, y));
  for (const bin of bins) svg.append(bar(bin, x, y), count(bin, x, most));
  svg.append(s("line", { class: "plot-level", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
  return h("figure", { class: "chart", testid: "reliability" }, svg, table(bins));
}

type Axis = (value: number) => number;

function bar(bin: Bin, x: Axis, y: Axis): Shape {
  const group = s("g", {}, s("title", {}, binSentence(bin)));
  if (bin.accuracy === null || bin.confidence === null) return group;
  const width = x(bin.high) - x(bin.low) - 1.5;
  const [low, high] = [Math.min(bin.accuracy, bin.confidence), Math.max(bin.accuracy, bin.confidence)];
  const box = (kind: string, from: number, to: number) =>
    s("rect", { class: kind, x: x(bin.low), width, y: y(to), height: Math.max(0, y(from) - y(to)) });
  group.append(box("reliability-bar", 0, bin.accuracy), box("reliability-gap", low, high));
  return group;
}

/** How many examples a bin has, under the axis. */
function count(bin: Bin, x: Axis, most: number): Shape {
  const height = bin.examples > 0 ? Math.max(1, (COUNTS * bin.examples) / most) : 0;
  const top = HEIGHT - COUNTS - 4;
  return s("rect", {
    class: "reliability-count",
    x: x(bin.low),
    width: x(bin.high) - x(bin.low) - 1.5,
    y: top,
    height,
  });
}

function axes(x: Axis, y: Axis): Shape[] {
  const title = { class: "plot-title", "text-anchor": "middle" };
  const turned = `translate(11 ${MARGIN.top + SIDE.y / 2}) rotate(-90)`;
  const ticks = [0, 0.5, 1].flatMap((value) => [
    s("line", { class: "plot-grid", x1: x(0), x2: x(1), y1: y(value), y2: y(value) }),
    s("text", { class: "plot-tick", x: x(0) - 6, y: y(value) + 4, "text-anchor": "end" }, percent(value)),
    s(
      "text",
      { class: "plot-tick", x: x(value), y: y(0) + 16, "text-anchor": value === 1 ? "end" : "middle" },
      percent(value),
    ),
  ]);
  return [
    ...ticks,
    s("text", { ...title, x: x(0.5), y: y(0) + 33 }, "confidence; examples below"),
    s("text", { ...title, transform: turned }, "accuracy"),
  ];
}

/** The same as words, for who does not see the bars. */
function table(bins: readonly Bin[]): HTMLElement {
  const filled = bins.filter((bin) => bin.examples > 0);
  return h("ul", { class: "visually-hidden" }, ...filled.map((bin) => h("li", {}, binSentence(bin))));
}
