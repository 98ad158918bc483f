/**
 * What each word of a translation looked at: the two sentences with curves between them, and the matrix of weights.
 *
 * Both show the word that is chosen; a mouse over it, focus, or a cell of the matrix choose one.
 */

import { s } from "../charts/svg";
import { h } from "../lib/dom";
import { percent } from "./percent";

/** Weights below this are no curve: with many words they would be a gray plane. */
export const FAINTEST_CURVE = 0.08;
const CELL_PX = [8, 32] as const;
const MOST_SIDE_PX = 560;

export interface Link {
  source: number;
  word: number;
  weight: number;
}

/** The weights that are drawn as curves, of T words over L of the source. */
export function linksOf(attention: readonly (readonly (number | null)[])[], least = FAINTEST_CURVE): Link[] {
  return attention.flatMap((weights, word) =>
    weights.flatMap((weight, source) => ((weight ?? 0) >= least ? [{ source, word, weight: weight ?? 0 }] : [])),
  );
}

/** The word of the source that a word looked at most; null: it looked at none. */
export function strongest(weights: readonly (number | null)[] | undefined): number | null {
  if (!weights?.length) return null;
  return weights.reduce<number>((best, weight, at) => ((weight ?? 0) > (weights[best] ?? 0) ? at : best), 0);
}

/** A subword as it is shown: the end of a sentence has a sign of its own. */
export function shownPiece(piece: string): string {
  return piece.trim() || (piece === "" ? "∎" : "␣");
}

/** "looked most at “cat” (82 %)"; empty where it looked at nothing. */
export function lookedAt(source: readonly string[], weights: readonly (number | null)[]): string {
  const at = strongest(weights);
  return at === null ? "" : `looked most at “${shownPiece(source[at] ?? "")}” (${percent(weights[at] ?? 0)})`;
}

export class Alignment {
  readonly element: HTMLElement;
  private readonly sources: HTMLElement[];
  readonly words: HTMLButtonElement[];
  private readonly curves = s("svg", { class: "alignment-curves", "aria-hidden": "true" });
  private readonly both: HTMLElement;
  private readonly cells: SVGElement[][];
  private readonly observer = new ResizeObserver(() => this.draw());

  /** @param choose is told of the word that is pointed at, focused or clicked */
  constructor(
    private readonly source: readonly string[],
    private readonly translation: readonly string[],
    private readonly attention: readonly (readonly (number | null)[])[],
    choose: (word: number) => void,
  ) {
    this.sources = source.map((piece) => h("span", { class: pieceClass(piece) }, shownPiece(piece)));
    this.words = translation.map((piece, at) =>
      h(
        "button",
        {
          type: "button",
          class: pieceClass(piece),
          testid: `word-${at}`,
          on: { pointerenter: () => choose(at), focus: () => choose(at), click: () => choose(at) },
        },
        shownPiece(piece),
      ),
    );
    this.both = h(
      "div",
      { class: "aligned" },
      this.curves,
      h("p", { class: "pieces", attrs: { dir: "auto" }, testid: "source-words" }, ...this.sources),
      h("p", { class: "pieces", attrs: { dir: "auto" }, testid: "words" }, ...this.words),
    );
    this.cells = [];
    this.element = h("div", { class: "alignment" }, this.both, this.matrix(choose));
    this.observer.observe(this.both);
  }

  destroy(): void {
    this.observer.disconnect();
  }

  /** Shows what a word looked at; none: all curves alike. */
  show(word: number): void {
    const weights = this.attention[word];
    this.words.forEach((button, at) => {
      button.setAttribute("aria-pressed", String(at === word));
    });
    this.sources.forEach((piece, at) => {
      piece.style.setProperty("--weight", String(weights?.[at] ?? 0));
    });
    this.cells.forEach((row, at) => {
      for (const cell of row) cell.classList.toggle("chosen", at === word);
    });
    for (const path of this.curves.children)
      path.classList.toggle("chosen", path.getAttribute("data-word") === String(word));
  }

  /** Curves from the words of the source to those that looked at them, where both stand now. */
  private draw(): void {
    const frame = this.both.getBoundingClientRect();
    this.curves.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    const chosen = this.words.findIndex((word) => word.getAttribute("aria-pressed") === "true");
    const paths = linksOf(this.attention).flatMap(({ source, word, weight }) => {
      const from = this.sources[source]?.getBoundingClientRect();
      const to = this.words[word]?.getBoundingClientRect();
      if (!from || !to) return [];
      const [x0, y0] = [from.left + from.width / 2 - frame.left, from.bottom - frame.top];
      const [x1, y1] = [to.left + to.width / 2 - frame.left, to.top - frame.top];
      const path = s("path", {
        d: `M${x0} ${y0}C${x0} ${(y0 + y1) / 2} ${x1} ${(y0 + y1) / 2} ${x1} ${y1}`,
        "stroke-width": String(0.5 + 5 * weight),
        "stroke-opacity": String(weight),
        "data-word": String(word),
      });
      path.classList.toggle("chosen", word === chosen);
      return [path];
    });
    this.curves.replaceChildren(...paths);
  }

  private matrix(choose: (word: number) => void): HTMLElement {
    const { source, translation, attention } = this;
    const [least, most] = CELL_PX;
    const size = Math.max(least, Math.min(most, MOST_SIDE_PX / Math.max(source.length, translation.length, 1)));
    const table = s("svg", {
      class: "alignment-matrix",
      role: "img",
      "aria-label": `Weights of ${source.length} words of the source for each of ${translation.length} words`,
      viewBox: `0 0 ${source.length * size} ${translation.length * size}`,
      width: String(source.length * size),
      height: String(translation.length * size),
    });
    attention.forEach((weights, word) => {
      const row = weights.map((weight, at) => {
        const cell = s("rect", {
          x: String(at * size),
          y: String(word * size),
          width: String(size),
          height: String(size),
          "fill-opacity": String(weight ?? 0),
        });
        const said = `${shownPiece(translation[word] ?? "")} ← ${shownPiece(source[at] ?? "")}: ${percent(weight ?? 0)}`;
        cell.append(s("title", {}, said));
        cell.addEventListener("pointerenter", () => choose(word));
        return cell;
      });
      this.cells.push(row);
      table.append(...row);
    });
    return h(
      "figure",
      { class: "matrix" },
      h("div", { class: "matrix-scroll" }, table),
      h(
        "figcaption",
        { class: "faint small-print" },
        "A row for each word of the translation, a column for each of the source.",
      ),
    );
  }
}

function pieceClass(piece: string): string {
  return piece.startsWith(" ") || piece === "" ? "piece begins" : "piece";
}
