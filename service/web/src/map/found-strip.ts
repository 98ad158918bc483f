/** What a search found, side by side: walked with the arrow keys, each marked where it lies on the map. */

import { showImage, thumbnailUrl } from "../api/client";
import type { FoundText } from "../api/types";
import { type Child, fill, h } from "../lib/dom";
import { gridStep } from "../lib/grid-step";
import { icon } from "../lib/icons";

/** An example that was found. */
export interface Found {
  row: number;
  example_id: string;
  class_name: string | null;
  x: number;
  y: number;
  /** Below the image: how near it is. */
  figure?: string;
  /** The figure's name, for who does not see it. */
  measure?: string;
  /** Below the image: a text, with what was found in it. */
  said?: FoundText | undefined;
}

/** What is shown of a search. */
export interface FoundPart {
  title: string;
  detail: string;
  /** Name of the list. */
  label: string;
  found: readonly Found[];
  /** The next ones; an empty answer ends them. */
  more?: (from: number) => Promise<readonly Found[]>;
  /** Beside the title. */
  tools?: readonly HTMLElement[];
}

export interface StripActions {
  /** The one that the keys are at. */
  onActive(result: Found | null): void;
  onOpen(row: number): void;
  onClear(): void;
  onAgain(): void;
}

/** For who does not see what stands around it. */
function unseen(text: string): HTMLElement | false {
  return text !== "" && h("span", { class: "visually-hidden" }, text);
}

/** A text with what was found in it marked; hits are in characters. */
export function markedText({ text, hits }: FoundText): Child[] {
  const characters = Array.from(text);
  const parts: Child[] = [];
  let at = 0;
  for (const [start, end] of hits) {
    parts.push(characters.slice(at, start).join(""), h("mark", {}, characters.slice(start, end).join("")));
    at = end!;
  }
  return [...parts, characters.slice(at).join("")];
}

export class FoundStrip {
  readonly element = h("section", { class: "found card", label: "Search", testid: "found", attrs: { hidden: "" } });
  private readonly head = h("p", { class: "found-head", role: "status", testid: "found-head" });
  private readonly tools = h("div", { class: "found-tools" });
  private readonly body = h("div", { class: "found-body" });
  private list: HTMLElement | null = null;
  private options: HTMLElement[] = [];
  private results: Found[] = [];
  private more: FoundPart["more"];
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
    this.element.append(h("header", {}, this.head, this.tools, clear), this.body);
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
    fill(this.tools);
    fill(this.body, h("p", { class: "problem", role: "alert", testid: "found-problem" }, message), again);
  }

  show(part: FoundPart): void {
    this.element.hidden = false;
    this.element.removeAttribute("aria-busy");
    this.results = [...part.found];
    this.more = part.more;
    this.options = part.found.map((result, i) => this.option(result, i));
    this.list = h(
      "div",
      { class: "found-list", role: "listbox", tabIndex: 0, label: part.label, testid: "found-list" },
      ...this.options,
    );
    this.list.setAttribute("aria-orientation", "horizontal");
    this.list.addEventListener("scroll", () => this.scrolled(), { passive: true });
    fill(this.head, h("b", {}, part.title), h("span", { class: "faint" }, part.detail));
    fill(this.tools, ...(part.tools ?? []));
    fill(this.body, part.found.length > 0 && this.list);
    this.activate(part.found.length > 0 ? 0 : -1);
  }

  hide(): void {
    this.element.hidden = true;
    this.results = [];
    this.more = undefined;
    this.list = null;
    this.body.replaceChildren();
  }

  focus(): void {
    this.list?.focus({ preventScroll: true });
  }

  private scrolled(): void {
    const { list } = this;
    if (list && list.scrollLeft + 2 * list.clientWidth > list.scrollWidth) void this.extend();
  }

  /** Adds the next results; at most one request at a time. */
  private async extend(): Promise<void> {
    const { more, list } = this;
    if (!more || !list) return;
    this.more = undefined;
    const next = await more(this.results.length).catch((): readonly Found[] => []);
    if (this.list !== list || next.length === 0) return;
    const from = this.results.length;
    const options = next.map((result, i) => this.option(result, from + i));
    this.results.push(...next);
    this.options.push(...options);
    list.append(...options);
    this.more = more;
  }

  private option(result: Found, i: number): HTMLElement {
    const name = result.class_name ?? "";
    const image = h("img", { class: "image", attrs: { alt: "", loading: "lazy" } });
    showImage(image, thumbnailUrl(this.map, result.row));
    image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
    image.addEventListener("error", () => image.replaceWith(h("code", { class: "image" }, result.example_id)));
    const named = [name, result.example_id].filter(Boolean);
    const measure = result.figure === undefined ? "" : `, ${result.measure} `;
    const said = result.said ? `, ${result.said.name}: ` : "";
    return h(
      "div",
      {
        role: "option",
        class: result.said ? "said" : "",
        title: [result.example_id, name, result.said?.text].filter(Boolean).join(" · "),
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
      unseen(`${i + 1}: ${named.join(", ")}${measure}`),
      result.figure !== undefined && h("span", { class: "faint" }, result.figure),
      unseen(said),
      result.said && h("span", { class: "faint" }, ...markedText(result.said)),
    );
  }

  private activate(index: number, scroll = true): void {
    this.options[this.active]?.setAttribute("aria-selected", "false");
    this.active = index;
    this.options[index]?.setAttribute("aria-selected", "true");
    if (index >= 0) this.list?.setAttribute("aria-activedescendant", `found-${index}`);
    if (scroll) this.options[index]?.scrollIntoView?.({ block: "nearest", inline: "nearest" });
    if (index >= this.options.length - 10) void this.extend();
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
