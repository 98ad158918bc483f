/** From an example's id or caption to its point: a combobox over the ids that begin with what is typed. */

import { findExamples, thumbnailUrl } from "../api/client";
import type { ExampleMatch } from "../api/types";
import { fill, h } from "../lib/dom";
import { icon } from "../lib/icons";

const WAIT_MS = 160;
const SHOWN = 12;

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
  private matches: ExampleMatch[] = [];
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
    this.input.addEventListener("focus", () => this.matches.length > 0 && this.expand(true));
    this.element.addEventListener("focusout", (event) => {
      if (!this.element.contains(event.relatedTarget as Node | null)) this.expand(false);
    });
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  private schedule(): void {
    window.clearTimeout(this.timer);
    this.pending?.abort();
    const text = this.input.value.trim();
    if (text === "") this.show([], "");
    else this.timer = window.setTimeout(() => void this.find(text), WAIT_MS);
  }

  private async find(text: string): Promise<void> {
    this.pending = new AbortController();
    const { signal } = this.pending;
    try {
      this.show((await findExamples(this.map, text, signal)).slice(0, SHOWN), "No id begins with this.");
    } catch (error) {
      if (!signal.aborted) this.show([], (error as Error).message);
    }
  }

  private show(matches: ExampleMatch[], empty: string): void {
    this.matches = matches;
    this.options = matches.map((match, i) => this.option(match, i));
    this.setActive(matches.length > 0 ? 0 : -1);
    fill(
      this.list,
      ...this.options,
      matches.length === 0 && empty !== "" && h("li", { class: "faint", role: "status" }, empty),
    );
    this.expand(this.list.childElementCount > 0);
  }

  private option(match: ExampleMatch, i: number): HTMLElement {
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
      h("img", { class: "image", attrs: { alt: "", src: thumbnailUrl(this.map, match.row) } }),
      h("code", {}, match.example_id),
      h("span", { class: "faint" }, match.caption ?? match.class_name ?? ""),
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
    const match = this.matches[index];
    if (!match) return;
    this.expand(false);
    this.input.blur();
    this.onOpen(match.row);
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
