/** The wall: all images of an artifact, loaded as they come into sight. */

import { getRows } from "../api/client";
import type { Row } from "../api/types";
import { fill, h, reducedMotion, setText } from "../lib/dom";
import { formatCount, plural } from "../lib/format";
import { gridStep } from "../lib/grid-step";
import { galleryPath } from "../lib/paths";
import { imageElement } from "./image";
import { formatPlace, type Place } from "./place";
import type { About, RowGallery, WallFilter } from "./types";

const PAGE_ROWS = 60;
const LEAST_PX = 48;
const MOST_PX = 420;
/** What images start with: two beside one another on a phone. */
const START_PX = { pixelated: 96, small: 156, large: 196 } as const;
const NARROW = "(max-width: 760px)";
/** Below it an image has no room for words. */
const WORDS_PX = 108;

/** Address of a row that is opened from a place on a wall. */
export function rowPath<V>(gallery: RowGallery<V>, about: About, row: Row<V>, place: Place): string {
  const path = gallery.path?.(row, about) ?? galleryPath(about.job.id, row.row);
  return path + formatPlace(place);
}

export class Wall<V> implements WallFilter {
  readonly element: HTMLElement;
  private readonly tiles = h("div", { class: "tiles", role: "list", testid: "wall" });
  private readonly more = h("p", { class: "wall-more faint", role: "status" });
  private readonly count = h("span", { class: "faint", testid: "wall-count" });
  private readonly size: HTMLInputElement;
  private readonly seen: IntersectionObserver;
  private readonly filtered = h("span", { class: "wall-filter", testid: "wall-filter" });
  private order = "";
  private where: readonly string[] = [];
  private chosen: readonly string[] = [];
  private loaded = 0;
  private total = Number.POSITIVE_INFINITY;
  private pending: AbortController | null = null;

  constructor(
    private readonly gallery: RowGallery<V>,
    private readonly about: About,
    private readonly onFind: (name: string) => Promise<void>,
  ) {
    const start = gallery.pixelated ? "pixelated" : window.matchMedia(NARROW).matches ? "small" : "large";
    this.size = h("input", {
      type: "range",
      class: "range",
      label: "Size of the images",
      title: "Size of the images (+ and −)",
      testid: "wall-size",
      attrs: { min: String(LEAST_PX), max: String(MOST_PX), step: "4", value: String(START_PX[start]) },
      on: { input: () => this.resize(0) },
    });
    this.element = h("div", { class: "wall" }, this.controls(), this.tiles, this.more);
    this.tiles.classList.toggle("sharp", gallery.pixelated ?? false);
    this.tiles.addEventListener("keydown", (event) => this.onKey(event));
    this.tiles.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.seen = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) void this.load();
      },
      { rootMargin: "600px" },
    );
    this.seen.observe(this.more);
    this.resize(0);
  }

  destroy(): void {
    this.pending?.abort();
    this.seen.disconnect();
  }

  /** Loads the first images, whether they are in sight or not. */
  begin(): void {
    void this.load();
  }

  /** Makes the images larger (1) or smaller (-1); 0: as the slider says. */
  resize(steps: number): void {
    const px = Math.min(MOST_PX, Math.max(LEAST_PX, Number(this.size.value) * 1.25 ** steps));
    if (steps !== 0) this.size.value = String(px);
    this.tiles.style.setProperty("--tile", `${Math.round(px)}px`);
    this.tiles.classList.toggle("wordless", px < WORDS_PX);
  }

  private controls(): HTMLElement {
    const { orders } = this.gallery;
    const order =
      orders &&
      h(
        "select",
        {
          class: "field select",
          label: "Order",
          testid: "wall-order",
          on: { change: (event) => this.reorder((event.target as HTMLSelectElement).value) },
        },
        ...orders.map((each) => h("option", { attrs: { value: each.value } }, each.label)),
      );
    const find = this.gallery.wallColumns[0] === "example_id" && this.finder();
    return h(
      "div",
      { class: "wall-controls" },
      this.count,
      this.filtered,
      h("span", { class: "push" }),
      find,
      order,
      this.size,
    );
  }

  private finder(): HTMLElement {
    const input = h("input", {
      type: "text",
      class: "field",
      label: "Open an example by its id",
      testid: "wall-find",
      attrs: { placeholder: "Open an example id", spellcheck: "false", autocomplete: "off" },
    });
    const problem = h("span", { class: "problem", role: "alert" });
    const form = h("form", { class: "finder" }, input, problem);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      setText(problem, "");
      this.onFind(input.value.trim()).catch((error: Error) => setText(problem, error.message));
    });
    return form;
  }

  show(where: readonly string[], words: string): void {
    this.chosen = where;
    const all = { type: "button", class: "text-button", testid: "wall-all", on: { click: () => this.show([], "") } };
    fill(this.filtered, words && h("span", { attrs: { dir: "auto" } }, words), words && h("button", all, "Show all"));
    this.restart();
    if (where.length > 0) this.element.scrollIntoView({ behavior: reducedMotion() ? "auto" : "smooth" });
  }

  private reorder(order: string): void {
    this.order = order;
    this.where = this.gallery.orders?.find((each) => each.value === order)?.where ?? [];
    this.restart();
  }

  /** Conditions of the order and of what was chosen above the wall. */
  private get conditions(): string[] {
    return [...new Set([...this.where, ...this.chosen])];
  }

  private get asked(): { order: string; where: string[] } {
    return { order: this.order, where: this.conditions };
  }

  private restart(): void {
    this.pending?.abort();
    this.pending = null;
    this.loaded = 0;
    this.total = Number.POSITIVE_INFINITY;
    this.tiles.replaceChildren();
    void this.load();
  }

  private async load(): Promise<void> {
    if (this.pending || this.loaded >= this.total) return;
    const pending = new AbortController();
    this.pending = pending;
    setText(this.more, "Loading …");
    const query = { offset: this.loaded, limit: PAGE_ROWS, columns: this.gallery.wallColumns, ...this.asked };
    try {
      const page = await getRows<V>(this.about.job.id, this.gallery.kind, query, pending.signal);
      this.total = page.total;
      this.tiles.append(...page.rows.map((row, i) => this.tile(row, page.offset + i)));
      this.loaded += page.rows.length;
      setText(this.count, plural(page.total, this.gallery.noun));
      setText(this.more, this.total === 0 ? this.emptiness() : "");
      document.body.dataset.ready = "true";
    } catch (error) {
      if (pending.signal.aborted) return;
      setText(this.more, (error as Error).message);
      document.body.dataset.ready = "true";
      return;
    } finally {
      if (this.pending === pending) this.pending = null;
    }
    this.watchAgain();
  }

  private emptiness(): string {
    const { noun } = this.gallery;
    return this.conditions.length > 0 ? `No such ${noun}.` : `There is no ${noun}: no example could be read.`;
  }

  /** Where the end of the wall is still in sight, nothing would tell of it again. */
  private watchAgain(): void {
    this.seen.unobserve(this.more);
    this.seen.observe(this.more);
  }

  private tile(row: Row<V>, index: number): HTMLElement {
    const { image, text, name, caption, badge } = this.gallery.tile(row, this.about);
    return h(
      "div",
      { role: "listitem", class: "tile" },
      h(
        "a",
        {
          href: rowPath(this.gallery, this.about, row, { ...this.asked, index }),
          title: caption ? `${name} · ${caption}` : name,
          testid: "tile",
        },
        h(
          "span",
          { class: "tile-image" },
          !image && text
            ? h("span", { class: "tile-text", attrs: { dir: "auto" } }, text)
            : imageElement(image, { alt: "", lazy: true }),
          badge ? h("span", { class: "badge" }, badge) : null,
        ),
        // Spaces part the words of the link's name; nothing shows them.
        " ",
        h("span", { class: "tile-name" }, name),
        " ",
        h("span", { class: "tile-caption faint" }, caption),
      ),
    );
  }

  private onKey(event: KeyboardEvent): void {
    const links = [...this.tiles.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement as HTMLAnchorElement);
    const columns = getComputedStyle(this.tiles).gridTemplateColumns.split(" ").length;
    const next = at < 0 ? null : gridStep(event.key, at, links.length, columns);
    if (next === null) return;
    event.preventDefault();
    links[next]!.focus();
  }

  /** Ctrl and the wheel zoom, as in an image viewer. */
  private onWheel(event: WheelEvent): void {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.resize(-Math.sign(event.deltaY));
  }
}

/** How far an opened image is: "12 of 340". */
export function position(index: number, total: number): string {
  return `${formatCount(index + 1)} of ${formatCount(total)}`;
}

/** Words at the foot of an opened image: which keys do what. */
export function keyLine(hints: readonly (readonly [readonly string[], string])[]): HTMLElement {
  const line = h("p", { class: "key-line faint", attrs: { "aria-hidden": "true" } });
  fill(line, ...hints.map(([keys, what]) => h("span", {}, ...keys.map((key) => h("kbd", {}, key)), what)));
  return line;
}
