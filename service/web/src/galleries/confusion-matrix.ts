/** The confusion matrix, drawn: rows are labels, columns predictions, classes that are confused beside each other. */

import { onTheme } from "../app/theme";
import { fill, h, setText } from "../lib/dom";
import { formatCount } from "../lib/format";
import { percent } from "./percent";
import type { Cell, ClassRow } from "./predictions-data";

/** Classes that are drawn with their names. */
export const NAMED = 30;
const MOST_PX = 560;

/** Where a block of so many classes begins so that `at` is in its middle. */
export function blockStart(at: number, count: number, size: number): number {
  return Math.max(0, Math.min(count - size, at - Math.floor(size / 2)));
}

/** Opacity of a cell: a share of 1 is full, and one in a hundred can still be seen. */
export function strength(share: number): number {
  return share <= 0 ? 0 : Math.max(0.12, Math.sqrt(share));
}

export class ConfusionMatrix {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { class: "confusion", tabIndex: 0, role: "img", testid: "confusion" });
  private readonly reading = h("p", { class: "reading", role: "status", testid: "confusion-reading" });
  private readonly back = h(
    "button",
    { type: "button", class: "button", testid: "confusion-all", on: { click: () => this.show(0, this.order.length) } },
    "All classes",
  );
  private readonly rowNames = h("ol", { class: "confusion-rows", attrs: { "aria-hidden": "true" } });
  private readonly columnNames = h("ol", { class: "confusion-columns", attrs: { "aria-hidden": "true" } });
  private readonly order: ClassRow[];
  private readonly places = new Map<string, Cell>();
  private readonly ended: () => void;
  private start = 0;
  private size = 0;
  private cursor: [row: number, column: number] | null = null;

  constructor(
    rows: readonly ClassRow[],
    cells: readonly Cell[],
    private readonly onChoose: (cell: Cell) => void,
  ) {
    this.order = rows.filter((row) => row.support > 0 || row.predicted > 0).sort((a, b) => a.place - b.place);
    for (const cell of cells) this.places.set(`${cell.true.index},${cell.predicted.index}`, cell);
    this.canvas.addEventListener("pointermove", (event) => this.point(this.at(event)));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("click", (event) => this.choose(this.at(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.element = h(
      "div",
      { class: "confusion-part" },
      this.columnNames,
      h("div", { class: "confusion-body" }, this.rowNames, this.canvas),
      this.reading,
      this.back,
    );
    this.show(0, this.order.length);
    this.ended = onTheme(() => this.draw());
  }

  destroy(): void {
    this.ended();
  }

  /** Shows a block of classes along the diagonal. */
  private show(start: number, size: number): void {
    this.start = start;
    this.size = size;
    this.cursor = null;
    const shown = this.order.slice(start, start + size);
    const named = size <= NAMED;
    const name = (row: ClassRow) => h("li", { title: row.name, attrs: { dir: "auto" } }, row.name);
    fill(this.rowNames, ...(named ? shown.map(name) : []));
    fill(this.columnNames, ...(named ? shown.map(name) : []));
    this.element.classList.toggle("named", named);
    this.back.hidden = size === this.order.length;
    const of =
      size === this.order.length
        ? `${formatCount(size)} classes`
        : `${size} of ${formatCount(this.order.length)} classes`;
    this.canvas.setAttribute("aria-label", `Confusion matrix of ${of}; arrow keys move, Enter shows the examples`);
    this.draw();
    this.point(null);
  }

  private draw(): void {
    const cell = Math.max(1, Math.floor(MOST_PX / this.size));
    this.canvas.width = this.canvas.height = Math.max(1, cell * this.size);
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    const style = getComputedStyle(document.documentElement);
    const [right, wrong] = [style.getPropertyValue("--mark-b"), style.getPropertyValue("--mark-a")];
    const gap = cell > 6 ? 1 : 0;
    for (let r = 0; r < this.size; r += 1)
      for (let c = 0; c < this.size; c += 1) {
        const found = this.cell(r, c);
        if (!found) continue;
        pen.globalAlpha = strength(found.share);
        pen.fillStyle = r === c ? right : wrong;
        pen.fillRect(c * cell, r * cell, cell - gap, cell - gap);
      }
    pen.globalAlpha = 1;
    if (!this.cursor) return;
    pen.strokeStyle = style.getPropertyValue("--text");
    pen.lineWidth = 2;
    pen.strokeRect(this.cursor[1] * cell + 1, this.cursor[0] * cell + 1, Math.max(2, cell - 2), Math.max(2, cell - 2));
  }

  private cell(row: number, column: number): Cell | null {
    const [label, said] = [this.order[this.start + row], this.order[this.start + column]];
    return (label && said && this.places.get(`${label.index},${said.index}`)) ?? null;
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    const along = (at: number, from: number, length: number) =>
      Math.max(0, Math.min(this.size - 1, Math.floor(((at - from) / length) * this.size)));
    return [along(event.clientY, box.top, box.height), along(event.clientX, box.left, box.width)];
  }

  private point(place: [number, number] | null): void {
    this.cursor = place;
    this.draw();
    if (!place) {
      const more = this.size > NAMED ? "a click shows the classes around it" : "a click shows its examples";
      return setText(this.reading, `A row is a label, a column what was said; ${more}.`);
    }
    const [label, said] = [this.order[this.start + place[0]]!, this.order[this.start + place[1]]!];
    const found = this.cell(...place);
    const count = found ? `${formatCount(found.count)} (${percent(found.share)})` : "none";
    setText(this.reading, `${label.name} taken for ${said.name}: ${count}`);
  }

  private choose(place: [number, number]): void {
    if (this.size > NAMED) {
      const middle = this.start + Math.round((place[0] + place[1]) / 2);
      return this.show(blockStart(middle, this.order.length, NAMED), NAMED);
    }
    const found = this.cell(...place);
    if (found) this.onChoose(found);
  }

  private key(event: KeyboardEvent): void {
    const [row, column] = this.cursor ?? [0, 0];
    const moves: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
    };
    const to = moves[event.key];
    if (to) this.point([clamped(to[0], this.size), clamped(to[1], this.size)]);
    else if (event.key === "Enter") this.choose([row, column]);
    else if (event.key === "Escape" && !this.back.hidden) this.show(0, this.order.length);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function clamped(value: number, size: number): number {
  return Math.max(0, Math.min(size - 1, value));
}
