/** What a search found, side by side: walked with the arrow keys, each marked where it lies on the map. */

import { showImage, thumbnailUrl } from "../api/client";
import type { SearchAnswer, SearchResult } from "../api/types";
import { fill, h } from "../lib/dom";
import { formatCount, formatFigure } from "../lib/format";
import { gridStep } from "../lib/grid-step";
import { icon } from "../lib/icons";

export interface StripActions {
  /** The one that the keys are at. */
  onActive(result: SearchResult | null): void;
  onOpen(row: number): void;
  onClear(): void;
  onAgain(): void;
}

/** How the nearest were found: among how many, by which distance, and with which recall. */
export function howFound(found: SearchAnswer): string {
  const metric = found.metric === "cosine" ? "by cosine" : "by Euclidean distance";
  const among = `among ${formatCount(found.examples)}, ${metric}`;
  if (found.method === "exact") return `${among}; all compared`;
  return `${among}; by an index, recall ${found.recall.toFixed(2)}`;
}

export class FoundStrip {
  readonly element = h("section", { class: "found card", label: "Search", testid: "found", attrs: { hidden: "" } });
  private readonly head = h("p", { class: "found-head", role: "status", testid: "found-head" });
  private readonly body = h("div", { class: "found-body" });
  private list: HTMLElement | null = null;
  private options: HTMLElement[] = [];
  private results: readonly SearchResult[] = [];
  private active = -1;

  constructor(
    private readonly map: string,
    private readonly actions: StripActions,
  ) {
    const clear = h(
      "button",
      {
        type: "button",
        class: "icon-button small",
        label: "Clear the search",
        title: "Clear the search (Esc)",
        testid: "found-clear",
        on: { click: () => actions.onClear() },
      },
      icon("close"),
    );
    this.element.append(h("header", {}, this.head, clear), this.body);
    this.element.addEventListener("keydown", (event) => this.onKey(event));
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  /** Says what is being searched; what was found before stays in sight. */
  asking(what: string): void {
    this.element.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    fill(this.head, `Searching ${what} …`);
  }

  failed(message: string): void {
    this.results = [];
    this.element.removeAttribute("aria-busy");
    const again = h(
      "button",
      { type: "button", class: "button", testid: "found-again", on: { click: () => this.actions.onAgain() } },
      "Ask again",
    );
    fill(this.head, "Nothing was searched");
    fill(this.body, h("p", { class: "problem", role: "alert", testid: "found-problem" }, message), again);
  }

  show(what: string, found: SearchAnswer): void {
    this.element.hidden = false;
    this.element.removeAttribute("aria-busy");
    this.results = found.results;
    this.options = found.results.map((result, i) => this.option(result, i));
    this.list = h(
      "div",
      { class: "found-list", role: "listbox", tabIndex: 0, label: `Nearest ${what}`, testid: "found-list" },
      ...this.options,
    );
    this.list.setAttribute("aria-orientation", "horizontal");
    fill(
      this.head,
      h("b", {}, `${formatCount(found.results.length)} nearest ${what}`),
      h("span", { class: "faint" }, howFound(found)),
    );
    fill(this.body, this.list);
    this.activate(found.results.length > 0 ? 0 : -1);
  }

  hide(): void {
    this.element.hidden = true;
    this.results = [];
    this.list = null;
    this.body.replaceChildren();
  }

  focus(): void {
    this.list?.focus({ preventScroll: true });
  }

  private option(result: SearchResult, i: number): HTMLElement {
    const name = result.class_name ?? "";
    const near = result.similarity ?? result.distance;
    const figure = result.similarity === null ? "distance" : "similarity";
    const image = h("img", { class: "image", attrs: { alt: "", loading: "lazy" } });
    showImage(image, thumbnailUrl(this.map, result.row));
    image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
    image.addEventListener("error", () => image.replaceWith(h("code", { class: "image" }, result.example_id)));
    return h(
      "div",
      {
        role: "option",
        title: [result.example_id, name].filter(Boolean).join(" · "),
        label: `${i + 1}: ${[name, result.example_id].filter(Boolean).join(", ")}, ${figure} ${formatFigure(near)}`,
        attrs: { id: `found-${i}`, "data-row": String(result.row) },
        on: {
          click: () => {
            this.activate(i);
            this.actions.onOpen(result.row);
          },
          pointerenter: () => this.activate(i, false),
        },
      },
      image,
      h("span", { class: "faint", attrs: { "aria-hidden": "true" } }, formatFigure(near)),
    );
  }

  private activate(index: number, scroll = true): void {
    this.active = index;
    this.options.forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === index));
    });
    if (index >= 0) this.list?.setAttribute("aria-activedescendant", `found-${index}`);
    if (scroll) this.options[index]?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    this.actions.onActive(this.results[index] ?? null);
  }

  private onKey(event: KeyboardEvent): void {
    const step = gridStep(event.key, this.active, this.results.length, 1);
    if (event.key === "Escape") this.actions.onClear();
    else if (this.results.length === 0 || event.target !== this.list) return;
    else if (event.key === "Enter" && this.results[this.active]) this.actions.onOpen(this.results[this.active]!.row);
    else if (step !== null) this.activate(step);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
