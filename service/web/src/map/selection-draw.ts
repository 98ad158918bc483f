/** Drawing a lasso or a box over the map, by mouse, pen or finger. */

import { h } from "../lib/dom";
import { toUnit } from "./grid";
import { type Corner, type How, rounded, type SelectionQuery, simplified } from "./selection-query";
import type { Stage } from "./stage";

export type Tool = "lasso" | "box";

/** A path shorter than this is a click. */
const LEAST_PX = 6;
const TOLERANCE_PX = 0.75;
const MOST_POINTS = 20_000;
const MOST_CORNERS = 2_000;
const SVG = "http://www.w3.org/2000/svg";

export interface Drawn {
  query: SelectionQuery;
  how: How;
}

export interface DrawActions {
  /** How a drawing without Shift or Alt changes the selection. */
  how(): How;
  onDrawn(drawn: Drawn): void;
  /** Nothing was drawn: a click. */
  onClick(): void;
}

/** Corners of what was drawn with a tool, in pixels; none: too little. */
export function cornersOf(tool: Tool, path: readonly Corner[]): Corner[] {
  const [xs, ys] = [path.map(([x]) => x), path.map(([, y]) => y)];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  if (!(x1 - x0 >= LEAST_PX || y1 - y0 >= LEAST_PX)) return [];
  if (tool === "lasso") {
    let corners = simplified(path, TOLERANCE_PX);
    for (let wider = 2; corners.length > MOST_CORNERS; wider *= 2) corners = simplified(path, TOLERANCE_PX * wider);
    return corners.length >= 3 ? corners : [];
  }
  const [from, to] = [path[0]!, path.at(-1)!];
  return [from, [to[0], from[1]], to, [from[0], to[1]]];
}

export class Drawing {
  /** Takes the pointer while a tool is on. */
  readonly element: HTMLElement;
  private readonly shape = document.createElementNS(SVG, "path");
  private tool: Tool | null = null;
  private path: Corner[] = [];
  private pointer: number | null = null;

  constructor(
    private readonly stage: Stage,
    private readonly actions: DrawActions,
  ) {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("aria-hidden", "true");
    this.shape.setAttribute("class", "selection-shape");
    svg.append(this.shape);
    this.element = h("div", {
      class: "selection-draw",
      testid: "selection-draw",
      attrs: { hidden: "" },
      on: {
        pointerdown: (event) => this.down(event),
        pointermove: (event) => this.move(event),
        pointerup: (event) => this.up(event),
        pointercancel: () => this.forget(),
        wheel: (event) => this.pass(event),
      },
    });
    this.element.append(svg);
  }

  get on(): Tool | null {
    return this.tool;
  }

  use(tool: Tool | null): void {
    this.tool = tool;
    this.element.hidden = tool === null;
    this.forget();
  }

  private down(event: PointerEvent): void {
    if (event.button !== 0) return;
    // A second finger means the map, not the lasso.
    if (this.pointer !== null) return this.forget();
    event.preventDefault();
    this.element.setPointerCapture?.(event.pointerId);
    this.pointer = event.pointerId;
    this.path = [this.at(event)];
  }

  private move(event: PointerEvent): void {
    if (event.pointerId !== this.pointer || this.path.length >= MOST_POINTS) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length > 0 ? events : [event]) this.path.push(this.at(each));
    this.paint();
  }

  private up(event: PointerEvent): void {
    if (event.pointerId !== this.pointer || !this.tool) return;
    const corners = cornersOf(this.tool, [...this.path, this.at(event)]);
    const how = event.shiftKey ? "add" : event.altKey ? "remove" : this.actions.how();
    const { tool } = this;
    this.forget();
    if (corners.length === 0) this.actions.onClick();
    else this.actions.onDrawn({ query: this.query(tool, corners), how });
  }

  /** The wheel still moves the map beneath. */
  private pass(event: WheelEvent): void {
    event.preventDefault();
    this.stage.olMap.getViewport()?.dispatchEvent(new WheelEvent(event.type, event));
  }

  private query(tool: Tool, corners: readonly Corner[]): SelectionQuery {
    const polygon = corners.map((corner) => this.place(corner));
    if (tool === "lasso") return { polygon };
    const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
    return { box: [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)] };
  }

  /** Place in the unit square of a place on the screen. */
  private place(pixel: Corner): Corner {
    const [x, y] = toUnit(this.stage.olMap.getCoordinateFromPixel([...pixel]));
    return [rounded(x), rounded(y)];
  }

  private at(event: PointerEvent): Corner {
    const { left, top } = this.element.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  private paint(): void {
    const corners = this.tool === "box" ? cornersOf("box", this.path) : this.path;
    const path = corners.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
    this.shape.setAttribute("d", path ? `M${path}Z` : "");
  }

  private forget(): void {
    this.pointer = null;
    this.path = [];
    this.shape.setAttribute("d", "");
  }
}
