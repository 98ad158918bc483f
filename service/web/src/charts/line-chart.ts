/** Lines over a whole-numbered axis, with a reading line that the pointer and the arrow keys move. */

import { h, setText } from "../lib/dom";
import { at, extent, type Scale, ticks, valueAt, wholeTicks } from "./scale";
import { drawing, onWidth, pathThrough, type Shape, s } from "./svg";

export interface Line {
  name: string;
  /** Class of its color. */
  color: string;
  /** y at x = 0, 1, 2, …; NaN where there is none. */
  values: readonly number[];
  /** Drawn beside it: dotted, of the same color. */
  beside?: readonly number[];
  /** Between these, lightly filled. */
  band?: readonly [low: readonly number[], high: readonly number[]];
}

export interface LineChartOptions {
  /** What is shown, for who does not see it. */
  label: string;
  xTitle: string;
  yTitle: string;
  /** A level that is marked. */
  level?: { value: number; name: string };
  yTick(value: number): string;
  /** A value as the reading line says it. */
  read(value: number): string;
  /** Whether ticks of y are whole numbers. */
  whole?: boolean;
  testid: string;
}

const HEIGHT = 300;
const MARGIN = { top: 14, right: 16, bottom: 40, left: 58 };

export class LineChart {
  readonly element: HTMLElement;
  private readonly host = h("div", { class: "plot", tabIndex: 0 });
  private readonly reading = h("p", { class: "reading", role: "status", testid: "reading" });
  private readonly last: number;
  private readonly stop: () => void;
  private x: Scale = { from: 0, to: 1, start: 0, end: 1 };
  private cursor: Shape | null = null;
  private index: number | null = null;

  constructor(
    private readonly lines: readonly Line[],
    private readonly options: LineChartOptions,
  ) {
    this.last = Math.max(1, ...lines.map((line) => line.values.length - 1));
    this.element = h("div", { class: "line-chart", testid: options.testid }, this.host, this.reading);
    this.host.addEventListener("pointermove", (event) => this.point(event));
    this.host.addEventListener("pointerleave", () => this.move(null));
    this.host.addEventListener("keydown", (event) => this.key(event));
    this.stop = onWidth(this.host, (width) => this.draw(width));
  }

  destroy(): void {
    this.stop();
  }

  private draw(width: number): void {
    const { options, lines } = this;
    const every = lines.flatMap((line) => [
      ...line.values,
      ...(line.beside ?? []),
      ...(line.band ? [...line.band[0], ...line.band[1]] : []),
    ]);
    const [low, high] = extent([...every, ...(options.level ? [options.level.value] : [])]);
    const room = (high - low || 1) * 0.04;
    this.x = { from: 0, to: this.last, start: MARGIN.left, end: width - MARGIN.right };
    const y: Scale = { from: low - room, to: high + room, start: HEIGHT - MARGIN.bottom, end: MARGIN.top };
    const svg = drawing(width, HEIGHT, options.label);
    svg.append(...this.levels(width, y), ...this.steps(width), ...this.titles(width));
    for (const line of lines) svg.append(...this.drawn(line, y));
    this.cursor = s("line", { class: "plot-cursor", y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom, x1: 0, x2: 0 });
    svg.append(this.cursor);
    this.host.replaceChildren(svg);
    this.move(this.index);
  }

  /** The ticks of y, with a line across the plot at each, and the line that stands for a level. */
  private levels(width: number, y: Scale): Shape[] {
    const { options } = this;
    const count = Math.round((HEIGHT - MARGIN.top - MARGIN.bottom) / 44);
    const values = options.whole ? wholeTicks(y.from, y.to, count) : ticks(y.from, y.to, count);
    const across = (kind: string, value: number) =>
      s("line", { class: kind, x1: MARGIN.left, x2: width - MARGIN.right, y1: at(y, value), y2: at(y, value) });
    const tick = (value: number) =>
      s(
        "text",
        { class: "plot-tick", x: MARGIN.left - 8, y: at(y, value) + 4, "text-anchor": "end" },
        options.yTick(value),
      );
    const lines = values.flatMap((value) => [across("plot-grid", value), tick(value)]);
    return options.level ? [...lines, across("plot-level", options.level.value)] : lines;
  }

  /** The ticks of x. */
  private steps(width: number): Shape[] {
    const y = HEIGHT - MARGIN.bottom + 18;
    return wholeTicks(0, this.last, Math.max(2, Math.round(width / 90))).map((value) =>
      s("text", { class: "plot-tick", x: at(this.x, value), y, "text-anchor": "middle" }, String(value)),
    );
  }

  private titles(width: number): Shape[] {
    const title = { class: "plot-title", "text-anchor": "middle" };
    const x = (MARGIN.left + width - MARGIN.right) / 2;
    const turned = `translate(13 ${(HEIGHT - MARGIN.bottom) / 2}) rotate(-90)`;
    return [
      s("text", { ...title, x, y: HEIGHT - 5 }, this.options.xTitle),
      s("text", { ...title, transform: turned }, this.options.yTitle),
    ];
  }

  private drawn(line: Line, y: Scale): Shape[] {
    const place = (values: readonly number[]) => values.map((value, i) => [at(this.x, i), at(y, value)] as const);
    const shapes: Shape[] = [];
    if (line.band) {
      const around = [...place(line.band[0]), ...place(line.band[1]).reverse()];
      shapes.push(s("path", { class: `plot-band ${line.color}`, d: `${pathThrough(around)}Z` }));
    }
    if (line.beside) shapes.push(s("path", { class: `plot-beside ${line.color}`, d: pathThrough(place(line.beside)) }));
    shapes.push(s("path", { class: `plot-line ${line.color}`, d: pathThrough(place(line.values)) }));
    return shapes;
  }

  private point(event: PointerEvent): void {
    const left = this.host.getBoundingClientRect().left;
    this.move(Math.round(valueAt(this.x, event.clientX - left)));
  }

  private key(event: KeyboardEvent): void {
    const at = this.index ?? -1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.last }[event.key];
    if (event.key === "Escape" && this.index !== null) this.move(null);
    else if (to === undefined) return;
    else this.move(to);
    event.preventDefault();
    event.stopPropagation();
  }

  /** Reads the lines at x = `index`; null: no longer. */
  private move(index: number | null): void {
    this.index = index === null ? null : Math.min(this.last, Math.max(0, index));
    this.cursor?.classList.toggle("shown", this.index !== null);
    if (this.index === null) return setText(this.reading, "");
    for (const end of ["x1", "x2"]) this.cursor?.setAttribute(end, at(this.x, this.index).toFixed(1));
    const values = this.lines.flatMap((line) => {
      const value = line.values[this.index!];
      return value === undefined || Number.isNaN(value) ? [] : [`${line.name} ${this.options.read(value)}`];
    });
    setText(this.reading, `${this.options.xTitle} ${this.index}:  ${values.join("  ·  ")}`);
  }
}

/** Names of lines beside their colors. */
export function lineLegend(lines: readonly { name: string; color: string }[]): HTMLElement {
  return h(
    "ul",
    { class: "series" },
    ...lines.map(({ name, color }) => h("li", {}, h("i", { class: color, attrs: { "aria-hidden": "true" } }), name)),
  );
}
