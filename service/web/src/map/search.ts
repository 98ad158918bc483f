/**
 * The search box: a combobox over what the text finds by words and conditions, with how many there are, over the first
 * examples of it, and over how the text may go on. Where the map can be searched for the nearest to words, that is a
 * choice too; where to an image, there is a button for one.
 */

import { findOnMap, showImage, thumbnailUrl } from "../api/client";
import type { FindAnswer, FindAttribute, FoundExample } from "../api/types";
import { type Child, fill, h } from "../lib/dom";
import { formatCount } from "../lib/format";
import { icon } from "../lib/icons";
import { imageField } from "../lib/image-files";
import { type Asked, askedOf, type Suggestion, suggestions } from "./expression";
import { markedText } from "./found-strip";

const WAIT_MS = 160;
const SHOWN = 8;
const LABEL = "Find by words, or by conditions as year > 1990";

/** Searches that the map allows beside going to an example. */
export interface Offers {
  /** By words and conditions. */
  onFind?: (text: string) => void;
  /** For the nearest to words. */
  onWords?: (text: string) => void;
  onImage?: (file: Blob) => void;
  /** What conditions can name. */
  attributes?: () => Promise<readonly FindAttribute[]>;
}

interface Choice {
  content: Child[];
  choose(): void;
}

export class SearchBox {
  readonly element: HTMLElement;
  private readonly input = h("input", {
    type: "text",
    role: "combobox",
    label: LABEL,
    testid: "search",
    attrs: {
      placeholder: "Find words, or year > 1990",
      autocomplete: "off",
      autocapitalize: "off",
      spellcheck: "false",
      "aria-expanded": "false",
      "aria-controls": "search-results",
      "aria-autocomplete": "list",
    },
  });
  private readonly list = h("ul", {
    class: "results",
    role: "listbox",
    label: "What can be found",
    attrs: { id: "search-results", hidden: "" },
  });
  private options: HTMLElement[] = [];
  private choices: Choice[] = [];
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
    this.offers = { ...this.offers, ...offers };
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
    const text = this.input.value;
    if (text.trim() === "") this.show([], 0, "");
    else {
      this.show([...this.search(text, null)], 0, "");
      this.timer = window.setTimeout(() => void this.find(text), WAIT_MS);
    }
  }

  private async find(text: string): Promise<void> {
    this.pending = new AbortController();
    const { signal } = this.pending;
    const attributes = (await this.offers.attributes?.()) ?? [];
    if (signal.aborted) return;
    const next = suggestions(text, attributes).map((each) => this.suggested(each));
    const asked = askedOf(text, attributes);
    try {
      if (!asked) return;
      const answer = await findOnMap(this.map, { ...asked, limit: SHOWN }, signal);
      this.found(text, asked, answer, next);
    } catch (error) {
      if (!signal.aborted) this.show([...this.nearest(text), ...next], 0, (error as Error).message);
    }
  }

  /** Shows what the text finds; who wrote a whole id means that example. */
  private found(text: string, asked: Asked, answer: FindAnswer, next: readonly Choice[]): void {
    const examples = answer.results.map((each) => this.example(each));
    const search = answer.total > 0 ? this.search(text, answer) : this.nearest(text);
    const exact = answer.results.findIndex(({ row }) => row === answer.exact);
    const first = exact >= 0 ? search.length + next.length + exact : 0;
    const nothing = asked.words ? `Nothing says ${asked.words}.` : "No example meets this.";
    this.show([...search, ...next, ...examples], first, answer.total === 0 ? nothing : "");
  }

  private search(text: string, answer: FindAnswer | null): Choice[] {
    const { onFind } = this.offers;
    const count = answer ? `${formatCount(answer.total)} of ${formatCount(answer.examples)}` : "";
    const find: Choice | undefined = onFind && {
      content: [
        icon("search"),
        h("span", { class: "by-words" }, `Find ${text.trim()}`),
        h("span", { class: "faint", testid: "search-count" }, count),
      ],
      choose: () => onFind(text.trim()),
    };
    return [...(find ? [find] : []), ...this.nearest(text)];
  }

  private nearest(text: string): Choice[] {
    const { onWords } = this.offers;
    if (!onWords) return [];
    const content = [icon("images"), h("span", { class: "by-words" }, `Images like “${text.trim()}”`)];
    return [{ content, choose: () => onWords(text.trim()) }];
  }

  private suggested({ text, shown, detail }: Suggestion): Choice {
    return {
      content: [h("code", { class: "suggested" }, shown), h("span", { class: "faint" }, detail)],
      choose: () => {
        this.input.value = text;
        this.input.focus();
        this.schedule();
      },
    };
  }

  private example(found: FoundExample): Choice {
    const said = found.texts.find(({ name }) => name !== "id" && name !== "class");
    const beside = said ? markedText(said) : [found.class_name ?? ""];
    return {
      content: [
        showImage(h("img", { class: "image", attrs: { alt: "" } }), thumbnailUrl(this.map, found.row)),
        h("code", {}, found.example_id),
        h("span", { class: "faint" }, ...beside),
      ],
      choose: () => this.onOpen(found.row),
    };
  }

  private show(choices: Choice[], first: number, message: string): void {
    this.choices = choices;
    this.options = choices.map(({ content }, i) => this.option(content, i));
    const said = message !== "" && h("li", { class: "faint", role: "status" }, message);
    fill(this.list, ...this.options, said);
    this.setActive(choices.length > 0 ? first : -1);
    this.expand(this.list.childElementCount > 0);
  }

  private option(content: Child[], i: number): HTMLElement {
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
    chosen.choose();
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
