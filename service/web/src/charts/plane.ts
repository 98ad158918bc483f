/** Points in a square: eigenvalues beside the unit circle, or two shares of each unit. */

import { h } from "../lib/dom";
import { formatFigure } from "../lib/format";
import { at, extent, type Scale, ticks } from "./scale";
import { drawing, onWidth, type Shape, s } from "./svg";

export interface Cloud {
  name: string;
  /** Class of its color. */
  color: string;
  x: readonly number[];
  y: readonly number[];
}

export interface PlaneOptions {
  title: string;
  label: string;
  xTitle: string;
  yTitle: string;
  /** What the points are measured against: the unit circle, or the shares that sum to 1. */
  guide: "circle" | "shares";
  testid: string;
}

const MARGIN = { top: 10, right: 12, bottom: 38, left: 46 };
const MOST_PX = 380;
/** Points that are drawn at most; more cover one another. */
const MOST_POINTS = 12_000;

/** Every k-th of the points where there are too many. */
export function thinned(count: number, most: number): number[] {
  const step = Math.max(1, Math.ceil(count / most));
  return Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
}

export class Plane {
  readonly element: HTMLElement;
  private readonly host = h("div", { class: "plot" });
  private readonly stop: () => void;

  constructor(
    private readonly clouds: readonly Cloud[],
    private readonly options: PlaneOptions,
  ) {
    this.element = h(
      "figure",
      { class: "plane", testid: options.testid },
      h("figcaption", {}, options.title),
      this.host,
    );
    this.stop = onWidth(this.host, (width) => this.draw(Math.min(width, MOST_PX)));
  }

  destroy(): void {
    this.stop();
  }

  private draw(width: number): void {
    const { guide, label } = this.options;
    const side = width - MARGIN.left - MARGIN.right;
    const height = side + MARGIN.top + MARGIN.bottom;
    const reach =
      guide === "circle"
        ? 1.08 * Math.max(1, ...extent(this.clouds.flatMap((cloud) => [...cloud.x, ...cloud.y])).map(Math.abs))
        : 0;
    const [from, to] = guide === "circle" ? [-reach, reach] : [-0.03, 1.03];
    const x: Scale = { from, to, start: MARGIN.left, end: width - MARGIN.right };
    const y: Scale = { from, to, start: height - MARGIN.bottom, end: MARGIN.top };
    const svg = drawing(width, height, label);
    svg.append(...this.axes(x, y), this.guide(x, y));
    const most = Math.ceil(MOST_POINTS / Math.max(1, this.clouds.length));
    for (const cloud of this.clouds) {
      const points = thinned(cloud.x.length, most).map((i) =>
        s("circle", { cx: at(x, cloud.x[i]!), cy: at(y, cloud.y[i]!), r: 2.2 }),
      );
      svg.append(s("g", { class: `plot-cloud ${cloud.color}` }, ...points));
    }
    this.host.replaceChildren(svg);
  }

  private axes(x: Scale, y: Scale): Shape[] {
    const values = ticks(x.from, x.to, 4);
    return [
      ...values.flatMap((value) => [
        s("line", { class: "plot-grid", x1: at(x, value), x2: at(x, value), y1: y.start, y2: y.end }),
        s("line", { class: "plot-grid", x1: x.start, x2: x.end, y1: at(y, value), y2: at(y, value) }),
        s(
          "text",
          { class: "plot-tick", x: at(x, value), y: y.start + 16, "text-anchor": "middle" },
          formatFigure(value),
        ),
        s(
          "text",
          { class: "plot-tick", x: x.start - 7, y: at(y, value) + 4, "text-anchor": "end" },
          formatFigure(value),
        ),
      ]),
      s(
        "text",
        { class: "plot-title", x: (x.start + x.end) / 2, y: y.start + 33, "text-anchor": "middle" },
        this.options.xTitle,
      ),
      s(
        "text",
        {
          class: "plot-title",
          transform: `translate(11 ${(y.start + y.end) / 2}) rotate(-90)`,
          "text-anchor": "middle",
        },
        this.options.yTitle,
      ),
    ];
  }

  private guide(x: Scale, y: Scale): Shape {
    if (this.options.guide === "circle") {
      return s("circle", { class: "plot-level", cx: at(x, 0), cy: at(y, 0), r: at(x, 1) - at(x, 0) });
    }
    return s("line", { class: "plot-level", x1: at(x, 0), y1: at(y, 1), x2: at(x, 1), y2: at(y, 0) });
  }
}
