/**
 * The search box: a combobox over the examples whose id or caption has what is typed, to go to one of them. Where the
 * map can be searched by words, its first choice is that; where by an image, there is a button for one.
 */

import { findExamples, showImage, thumbnailUrl } from "../api/client";
import type { ExampleMatch } from "../api/types";
import { fill, h } from "../lib/dom";
import { icon } from "../lib/icons";
import { imageField } from "../lib/image-files";

const WAIT_MS = 160;
const SHOWN = 12;
const WORDS = "Search by words, or find an id";

/** Searches that the map allows besides that of ids and captions. */
export interface Offers {
  onWords?: (text: string) => void;
  onImage?: (file: Blob) => void;
}

export class SearchBox {
  readonly element: HTMLElement;
  private readonly input = h("input", {
    type: "text",
    role: "combobox",
    label: "Find an example by its id",
    testid: "search",
    attrs: {
      placeholder: "Find an example id",
      autocomplete: "off",
      spellcheck: "false",
      "aria-expanded": "false",
      "aria-controls": "search-results",
      "aria-autocomplete": "list",
    },
  });
  private readonly list = h("ul", {
    class: "results",
    role: "listbox",
    label: "Examples",
    attrs: { id: "search-results", hidden: "" },
  });
  private options: HTMLElement[] = [];
  private choices: (() => void)[] = [];
  private offers: Offers = {};
  private active = -1;
  private timer = 0;
  private pending: AbortController | null = null;

  constructor(
    private readonly map: string,
    private readonly onOpen: (row: number) => void,
  ) {
    this.element = h(
      "div",
      { class: "search" },
      icon("search"),
      this.input,
      h("kbd", { attrs: { "aria-hidden": "true" } }, "/"),
      this.list,
    );
    this.input.addEventListener("input", () => this.schedule());
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("focus", () => this.choices.length > 0 && this.expand(true));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) this.expand(false);
    });
  }

  /** Adds what the map can be searched by, once that is known. */
  offer(offers: Offers): void {
    this.offers = offers;
    if (offers.onWords) {
      this.input.placeholder = WORDS;
      this.input.setAttribute("aria-label", WORDS);
    }
    if (!offers.onImage) return;
    const field = imageField("search-image", offers.onImage);
    const label = "Search by an image: choose one, or drop or paste it";
    const button = h(
      "button",
      { type: "button", class: "icon-button small", label, title: label, on: { click: () => field.click() } },
      icon("images"),
    );
    this.list.before(field, button);
  }

  /** Shows what is searched for. */
  set text(text: string) {
    this.input.value = text;
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  private schedule(): void {
    window.clearTimeout(this.timer);
    this.pending?.abort();
    const text = this.input.value.trim();
    if (text === "") this.show("", [], "");
    else if (this.offers.onWords) this.show(text, [], "");
    if (text !== "") this.timer = window.setTimeout(() => void this.find(text), WAIT_MS);
  }

  private async find(text: string): Promise<void> {
    this.pending = new AbortController();
    const { signal } = this.pending;
    try {
      const found = await findExamples(this.map, text, signal);
      this.show(text, found.slice(0, SHOWN), this.offers.onWords ? "" : "No id begins with this.");
    } catch (error) {
      if (!signal.aborted) this.show(text, [], (error as Error).message);
    }
  }

  private show(text: string, matches: ExampleMatch[], empty: string): void {
    const { onWords } = this.offers;
    const byWords = onWords && text !== "";
    this.choices = matches.map((match) => () => this.onOpen(match.row));
    if (byWords) this.choices.unshift(() => onWords(text));
    const contents = matches.map((match) => this.content(match));
    if (byWords) contents.unshift([icon("search"), h("span", { class: "by-words" }, `Search for “${text}”`)]);
    this.options = contents.map((content, i) => this.option(content, i));
    // Who typed a whole id means that example.
    const first = byWords && matches[0]?.example_id === text ? 1 : 0;
    this.setActive(this.options.length > 0 ? first : -1);
    fill(
      this.list,
      ...this.options,
      matches.length === 0 && empty !== "" && h("li", { class: "faint", role: "status" }, empty),
    );
    this.expand(this.list.childElementCount > 0);
  }

  private content(match: ExampleMatch): Node[] {
    return [
      showImage(h("img", { class: "image", attrs: { alt: "" } }), thumbnailUrl(this.map, match.row)),
      h("code", {}, match.example_id),
      h("span", { class: "faint" }, match.caption ?? match.class_name ?? ""),
    ];
  }

  private option(content: Node[], i: number): HTMLElement {
    return h(
      "li",
      {
        role: "option",
        attrs: { id: `search-${i}` },
        on: {
          pointerdown: (event) => {
            event.preventDefault();
            this.choose(i);
          },
        },
      },
      ...content,
    );
  }

  private setActive(index: number): void {
    this.active = index;
    this.options.forEach((option, i) => {
      option.setAttribute("aria-selected", String(i === index));
    });
    if (index >= 0) this.input.setAttribute("aria-activedescendant", `search-${index}`);
    else this.input.removeAttribute("aria-activedescendant");
    this.options[index]?.scrollIntoView?.({ block: "nearest" });
  }

  private expand(open: boolean): void {
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
  }

  private choose(index: number): void {
    const chosen = this.choices[index];
    if (!chosen) return;
    window.clearTimeout(this.timer);
    this.pending?.abort();
    this.expand(false);
    this.input.blur();
    chosen();
  }

  private onKey(event: KeyboardEvent): void {
    const last = this.options.length - 1;
    if (event.key === "ArrowDown") this.setActive(Math.min(last, this.active + 1));
    else if (event.key === "ArrowUp") this.setActive(Math.max(Math.min(0, last), this.active - 1));
    else if (event.key === "Enter") this.choose(this.active);
    else if (event.key === "Escape") {
      if (this.list.hidden) this.input.blur();
      this.expand(false);
      event.stopPropagation();
    } else return;
    if (event.key !== "Escape") event.preventDefault();
  }
}
