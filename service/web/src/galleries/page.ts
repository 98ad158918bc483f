/** The page of a gallery: the wall, and over it the image that is opened. */

import { ApiError, getJob, getManifest, getRow, getRows } from "../api/client";
import type { Job, Row } from "../api/types";
import { messagePage } from "../app/message-page";
import { navigate, type Page, type Route } from "../app/router";
import { toggleTheme } from "../app/theme";
import { describeJob } from "../job-parts/describe";
import { pageHead } from "../job-parts/parts";
import { fill, h, isTyping } from "../lib/dom";
import { plural } from "../lib/format";
import { icon } from "../lib/icons";
import { Lru } from "../lib/lru";
import { galleryPath } from "../lib/paths";
import { loadGallery } from "./index";
import { around, type Place, parsePlace } from "./place";
import type { About, Above, KeyHint, Opened, RowGallery } from "./types";
import { keyLine, position, rowPath, Wall } from "./wall";

const KEPT_ROWS = 32;
const COMMON_HINTS: readonly KeyHint[] = [
  [["←", "→"], "before, next"],
  [["Esc"], "the wall"],
];

type GalleryRoute = Extract<Route, { page: "gallery" | "unit" }>;

/** "gradients" → "Gradients". */
function kindTitle(job: string): string {
  return job[0]!.toUpperCase() + job.slice(1);
}

class GalleryPage<V> implements Page {
  private readonly main = h("main", { class: "page-main gallery" });
  private readonly head: ReturnType<typeof pageHead>;
  private readonly title: string;
  private readonly rows = new Lru<number, Promise<Row<V>>>(KEPT_ROWS);
  private readonly onKey = (event: KeyboardEvent) => this.key(event);
  private wall: Wall<V> | null = null;
  private above: Above | null = null;
  private wallScroll = 0;
  private wallFocus: HTMLElement | null = null;
  private opened: Opened | null = null;
  private neighbors: { before: string | null; after: string | null } = { before: null, after: null };
  private turn = 0;

  constructor(
    app: HTMLElement,
    private readonly gallery: RowGallery<V>,
    private readonly about: About,
  ) {
    const { job } = about;
    this.title = job.title || describeJob(job) || kindTitle(job.job);
    this.head = pageHead([
      h("a", { href: "/jobs", class: "trail" }, "Jobs"),
      h(
        "a",
        { href: `/jobs/${encodeURIComponent(job.id)}`, class: "trail", title: job.id, testid: "to-job" },
        this.title,
      ),
    ]);
    fill(app, h("div", { class: "page gallery-page" }, this.head.element, this.main));
    document.addEventListener("keydown", this.onKey);
  }

  destroy(): void {
    this.turn += 1;
    document.removeEventListener("keydown", this.onKey);
    this.opened?.destroy();
    this.above?.destroy();
    this.wall?.destroy();
    this.head.destroy();
  }

  follow(route: Route): boolean {
    if ((route.page !== "gallery" && route.page !== "unit") || route.id !== this.about.job.id) return false;
    void this.go(route);
    return true;
  }

  async go(route: GalleryRoute): Promise<void> {
    const turn = ++this.turn;
    document.body.dataset.ready = "false";
    if (route.page === "gallery" && route.row === null) return this.showWall();
    this.leaveWall();
    try {
      const row = await this.rowOf(route);
      if (turn !== this.turn) return;
      this.open(row);
      await this.place(row, turn);
    } catch (error) {
      if (turn === this.turn) this.failed(error as Error);
    }
    if (turn === this.turn) document.body.dataset.ready = "true";
  }

  private showWall(): void {
    this.close();
    document.title = `${this.title} · featurescape`;
    if (this.wall) {
      this.fillWall(this.wall);
      window.scrollTo(0, this.wallScroll);
      this.wallFocus?.focus({ preventScroll: true });
      document.body.dataset.ready = "true";
      return;
    }
    const wall = new Wall(this.gallery, this.about, (name) => this.find(name));
    this.wall = wall;
    this.above = this.gallery.above?.(this.about, wall) ?? null;
    if (this.above) wall.begin(); // what stands above may be longer than the window
    this.fillWall(this.wall);
  }

  /** Keeps what is needed to come back to the same place of the wall. */
  private leaveWall(): void {
    const wall = this.wall?.element;
    if (!wall?.isConnected) return;
    this.wallScroll = window.scrollY;
    this.wallFocus = wall.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
  }

  private fillWall(wall: Wall<V>): void {
    const { job, manifest } = this.about;
    const bad = manifest.error_rows;
    fill(
      this.main,
      h(
        "div",
        { class: "page-title" },
        h("p", { class: "kind" }, kindTitle(job.job)),
        h("h1", {}, this.title),
        bad > 0 && h("p", { class: "warning" }, `${plural(bad, "example")} could not be read; errors.parquet says why`),
      ),
      this.above?.element,
      wall.element,
    );
  }

  /** Opens an example by its id, or says that there is none. */
  private async find(name: string): Promise<void> {
    const columns = this.gallery.wallColumns.slice(0, 1);
    const { rows } = await getRows<V>(this.about.job.id, this.gallery.kind, { example_id: name, columns, limit: 1 });
    const found = rows[0];
    if (!found) throw new Error("There is no example of this id.");
    navigate(rowPath(this.gallery, this.about, found, { order: "", index: found.row }));
  }

  private async rowOf(route: GalleryRoute): Promise<Row<V>> {
    const { id } = this.about.job;
    const { kind } = this.gallery;
    const columns = [...this.gallery.columns, ...(this.gallery.moreColumns?.(this.about) ?? [])];
    if (route.page === "unit") {
      const { channel } = route;
      const found = (await getRows<V>(id, kind, { channel, columns, limit: 1 })).rows[0];
      if (!found) throw new ApiError("not_found", `There is no unit ${channel} in this job.`, 404);
      return found;
    }
    const row = route.row ?? 0;
    const known = this.rows.get(row);
    if (known !== undefined) return known;
    const load = getRow<V>(id, kind, row, columns);
    this.rows.set(row, load);
    load.catch(() => this.rows.delete(row));
    return load;
  }

  private open(row: Row<V>): void {
    this.close();
    const opened = this.gallery.open(row, this.about);
    this.opened = opened;
    this.neighbors = { before: null, after: null };
    const back = h(
      "a",
      { href: galleryPath(this.about.job.id), class: "button", testid: "to-wall" },
      icon("images"),
      `All ${this.gallery.noun}s`,
    );
    const title = h("h1", { tabIndex: -1, testid: "opened-title" }, opened.title);
    fill(
      this.main,
      h(
        "header",
        { class: "opened-head" },
        h("div", { class: "opened-name" }, title, opened.detail !== "" && h("p", { class: "faint" }, opened.detail)),
        h("nav", { class: "opened-nav", label: "Images" }),
        back,
      ),
      opened.element,
      keyLine([...COMMON_HINTS, ...(this.gallery.hints ?? [])]),
    );
    document.title = `${opened.title} · ${this.title} · featurescape`;
    window.scrollTo(0, 0);
    // What had the focus is gone: a link of the wall, or of the image before.
    if (document.activeElement === document.body) title.focus({ preventScroll: true });
  }

  /** Where the row is in the order of the wall that it was opened from, and what is beside it. */
  private async place(row: Row<V>, turn: number): Promise<void> {
    const columns = this.gallery.wallColumns.slice(0, 1);
    const asked = parsePlace(location.search);
    for (const place of [asked, { order: "", index: row.row }]) {
      if (!place) continue;
      const { order, index } = place;
      const where = place.where ?? [];
      const asking = { ...around(index), columns, order, where };
      const page = await getRows<V>(this.about.job.id, this.gallery.kind, asking).catch(() => null);
      if (turn !== this.turn) return;
      const at = page?.rows.findIndex((each) => each.row === row.row) ?? -1;
      // An address may be old or made up: the place then is that in the artifact itself.
      if (!page || at < 0 || page.offset + at !== index) continue;
      this.showPlace(place, page.total, page.rows[at - 1] ?? null, page.rows[at + 1] ?? null);
      return;
    }
  }

  private showPlace({ index, ...shown }: Place, total: number, before: Row<V> | null, after: Row<V> | null): void {
    const path = (row: Row<V> | null, at: number) =>
      row && rowPath(this.gallery, this.about, row, { ...shown, index: at });
    this.neighbors = { before: path(before, index - 1), after: path(after, index + 1) };
    const link = (name: "back" | "arrow", label: string, to: string | null, testid: string) =>
      h(
        "a",
        {
          class: "icon-button",
          label,
          title: label,
          testid,
          ...(to ? { href: to } : { role: "link" }),
          attrs: to ? {} : { "aria-disabled": "true" },
          on: { click: (event) => this.onLink(event, to) },
        },
        icon(name),
      );
    fill(
      this.main.querySelector(".opened-nav")!,
      link("back", `The ${this.gallery.noun} before (←)`, this.neighbors.before, "to-before"),
      h("span", { class: "faint", testid: "position" }, position(index, total)),
      link("arrow", `The next ${this.gallery.noun} (→)`, this.neighbors.after, "to-after"),
    );
  }

  /** Moving along replaces the address, so that Back leads to the wall. */
  private onLink(event: MouseEvent, to: string | null): void {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    if (to) navigate(to, true);
  }

  private failed(error: Error): void {
    this.close();
    fill(
      this.main,
      h("p", { class: "problem", role: "alert", testid: "gallery-problem" }, error.message),
      h("p", {}, h("a", { href: galleryPath(this.about.job.id), class: "button" }, `All ${this.gallery.noun}s`)),
    );
  }

  private close(): void {
    this.opened?.destroy();
    this.opened = null;
    this.neighbors = { before: null, after: null };
  }

  private key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    // Space presses the button that has the focus.
    if (event.key === " " && (event.target as Element | null)?.closest?.("button, a")) return;
    if (this.takes(event.key)) event.preventDefault();
  }

  private takes(key: string): boolean {
    if (key === "t" || key === "T") {
      toggleTheme();
      return true;
    }
    if (!this.opened) {
      const step = { "+": 1, "=": 1, "-": -1 }[key];
      if (step === undefined || !this.wall) return false;
      this.wall.resize(step);
      return true;
    }
    if (this.opened.onKey?.(key)) return true;
    if (key === "Escape") navigate(galleryPath(this.about.job.id));
    else if (key === "ArrowLeft" && this.neighbors.before) navigate(this.neighbors.before, true);
    else if (key === "ArrowRight" && this.neighbors.after) navigate(this.neighbors.after, true);
    else return false;
    return true;
  }
}

async function findJob(app: HTMLElement, id: string): Promise<Job | Page> {
  try {
    return await getJob(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return messagePage(app, "No such job", error.message);
    throw error;
  }
}

export async function galleryPage(app: HTMLElement, route: GalleryRoute): Promise<Page> {
  const job = await findJob(app, route.id);
  if ("destroy" in job) return job;
  const gallery = await loadGallery(job.job);
  if (!gallery) return messagePage(app, "No gallery", `${job.id} is a ${job.job} job; it has no images to show.`);
  if (job.status !== "SUCCEEDED") {
    navigate(`/jobs/${encodeURIComponent(job.id)}`, true);
    return { destroy: () => undefined };
  }
  const about: About = { job, manifest: await getManifest(job.id) };
  if ("show" in gallery) return gallery.show(app, about, route);
  const page = new GalleryPage(app, gallery, about);
  void page.go(route);
  return page;
}
