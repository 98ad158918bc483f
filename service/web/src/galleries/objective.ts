/** The objective of a dream, octave by octave, as a small chart. */

import { h } from "../lib/dom";
import { formatFigure } from "../lib/format";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 120;
const MARGIN = 10;

export interface Segment {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** A line per octave, from the objective at its start to that at its end, within the chart. */
export function segments(starts: readonly (number | null)[], ends: readonly (number | null)[]): Segment[] {
  const count = Math.min(starts.length, ends.length);
  const known = [...starts, ...ends].filter((value): value is number => value !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  const width = (WIDTH - 2 * MARGIN) / Math.max(1, count);
  const y = (value: number) => HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * (value - low)) / (high - low || 1);
  return Array.from({ length: count }, (_, i) => i).flatMap((i) => {
    const [start, end] = [starts[i] ?? null, ends[i] ?? null];
    if (start === null || end === null) return [];
    const x0 = MARGIN + i * width;
    return [{ x0, y0: y(start), x1: x0 + 0.86 * width, y1: y(end) }];
  });
}

function line(name: string, { x0, y0, x1, y1 }: Segment): SVGElement {
  const element = document.createElementNS(SVG, "line");
  for (const [key, value] of Object.entries({ x1: x0, y1: y0, x2: x1, y2: y1 }))
    element.setAttribute(key, value.toFixed(1));
  element.setAttribute("class", name);
  return element;
}

function dot(x: number, y: number): SVGElement {
  const element = document.createElementNS(SVG, "circle");
  for (const [key, value] of Object.entries({ cx: x, cy: y, r: 3.5 })) element.setAttribute(key, value.toFixed(1));
  return element;
}

/** The chart, and a function that marks the octave which is shown; each octave is a size of its own. */
export function objectiveChart(
  originals: readonly (number | null)[],
  starts: readonly (number | null)[],
  ends: readonly (number | null)[],
): { element: HTMLElement; mark(octave: number): void } {
  const svg = document.createElementNS(SVG, "svg");
  const first = originals.at(-1) ?? null;
  const last = ends.at(-1) ?? null;
  const figures =
    first !== null && last !== null ? `at full size from ${formatFigure(first)} to ${formatFigure(last)}` : "";
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `The objective, octave by octave: ${figures}`);
  svg.setAttribute("class", "objective");
  const groups = segments(starts, ends).map((segment) => {
    const group = document.createElementNS(SVG, "g");
    group.append(line("rise", segment), dot(segment.x1, segment.y1));
    svg.append(group);
    return group;
  });
  return {
    element: h("figure", { class: "chart", testid: "objective" }, svg, h("figcaption", { class: "faint" }, figures)),
    mark(octave) {
      groups.forEach((group, i) => {
        group.setAttribute("class", i === octave ? "shown" : "");
      });
    },
  };
}
