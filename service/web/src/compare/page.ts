/** Two to four maps side by side: the same example is ringed and marked in all of them, and their views move together. */

import { ApiError, getManifest, mapInfo } from "../api/client";
import type { Page } from "../app/router";
import { navigate } from "../app/router";
import { onTheme } from "../app/theme";
import { themeButton } from "../app/theme-button";
import { fill, h, setText } from "../lib/dom";
import { mark } from "../lib/icons";
import { whyNotOver } from "../map/added-layer";
import { mapTitle, thumbnailPx } from "../map/job-facts";
import { bindKeys } from "../map/keys";
import type { SelectionPart } from "../map/selection";
import { SELECT_EVENT, type SelectionQuery } from "../map/selection-query";
import type { SavedSearch } from "../map/url-state";
import { type Comparison, formatComparison, MOST_MAPS, parseComparison } from "./address";
import { chooser } from "./chooser";
import { LinkedSearch } from "./linked-search";
import { linkedSelection } from "./linked-selection";
import { inCommon } from "./matching";
import type { Morph } from "./morph";
import { type Compared, Pane } from "./pane";

async function compared(id: string): Promise<Compared> {
  const manifest = await getManifest(id);
  const info = mapInfo(manifest);
  const { title } = await mapTitle(id, info);
  return { id, info, title, thumbnailPx: thumbnailPx(manifest) };
}

class ComparisonPage implements Page {
  private panes: Pane[] = [];
  private readonly said = h("p", { class: "faint", role: "status", testid: "compare-said" });
  private readonly linked: HTMLInputElement;
  private readonly ends: (() => void)[] = [];
  private readonly root = h("main", { class: "compare-page" });
  private readonly morphing: HTMLButtonElement;
  private readonly selecting: SelectionPart | null = null;
  private readonly searching: LinkedSearch | null = null;
  private morph: Morph | null = null;
  private example: string | null;
  /** Row of the example in the first map. */
  private row: number | null = null;
  private selection: SelectionQuery | null;
  private search: SavedSearch | null;
  private place: number | null;
  private moving = false;
  private turn = 0;

  constructor(
    private readonly app: HTMLElement,
    state: Comparison,
    maps: readonly Compared[],
    private readonly problems: readonly string[],
  ) {
    ({ example: this.example, selection: this.selection, search: this.search, morph: this.place } = state);
    this.linked = h("input", {
      type: "checkbox",
      testid: "compare-linked",
      on: { change: () => this.relink() },
    });
    this.linked.checked = state.linked;
    const layers = new Map(state.maps.map(({ id, layer }) => [id, layer]));
    this.panes = maps.map((map) => this.pane(map, layers.get(map.id) ?? null));
    this.morphing = h(
      "button",
      {
        type: "button",
        class: "button small",
        title: "One map that becomes the next (M)",
        testid: "compare-morph",
        attrs: { "aria-pressed": "false" },
        on: { click: () => this.toggleMorph() },
      },
      "One map",
    );
    const [first, ...others] = this.panes;
    if (first) {
      this.selecting = this.selectingIn([first, ...others]);
      this.searching = this.searchingIn(this.panes);
    }
    this.show();
  }

  destroy(): void {
    this.turn += 1;
    for (const end of this.ends) end();
    this.morph?.destroy();
    this.selecting?.destroy();
    this.searching?.destroy();
    for (const pane of this.panes) pane.destroy();
  }

  private show(): void {
    document.title = "Maps side by side · featurescape";
    const problems = this.problems.map((text) => h("p", { class: "problem", role: "alert" }, text));
    const panes = h("div", { class: "panes", testid: "panes" }, ...this.panes.map(({ element }) => element));
    panes.dataset.count = String(this.panes.length);
    const work = h("div", { class: "compare-work" }, panes, ...(this.selecting?.elements ?? []));
    fill(this.root, this.bar(), ...problems, work, this.searching?.searching.strip.element);
    fill(this.app, this.root);
    const [first, ...others] = this.panes;
    for (const pane of this.panes) pane.start();
    for (const pane of others)
      if (first && whyNotOver(first.map.info, pane.map.info) === null) pane.offerOver(first.map);
    this.describe(null);
    this.begin();
    document.body.dataset.ready = "true";
  }

  private bar(): HTMLElement {
    const theme = themeButton();
    this.ends.push(
      theme.destroy,
      onTheme(() => this.relook()),
    );
    const shown = new Set(this.panes.map(({ map }) => map.id));
    const home = h(
      "a",
      { class: "home", href: "/jobs", label: "featurescape: all jobs and maps" },
      mark(),
      h("span", {}, "featurescape"),
    );
    return h(
      "header",
      { class: "compare-bar" },
      home,
      h("h1", { class: "visually-hidden" }, "Maps side by side"),
      this.said,
      this.searching?.box.element,
      ...(this.selecting?.tools ?? []),
      this.panes.length > 1 && this.morphing,
      h("label", { class: "check" }, this.linked, "Move together"),
      this.panes.length < MOST_MAPS && chooser(shown, (id) => this.go([...shown, id])),
      theme.element,
    );
  }

  /** Listens to keys, and shows what the address has. */
  private begin(): void {
    const shortcuts = [
      ...(this.selecting?.shortcuts ?? []),
      { key: "m", about: "One map that becomes the next; then play it", run: () => this.playMorph() },
      { key: "/", about: "Search", run: () => this.searching?.box.focus() },
    ];
    this.ends.push(bindKeys(shortcuts, { layer: () => undefined, escape: () => this.escape() }));
    if (this.example !== null) void this.openId(this.example);
    this.selecting?.start();
    this.searching?.begin(this.root, this.search);
    if (this.place !== null) void this.openMorph(this.place);
  }

  private escape(): void {
    if (this.morph) return this.closeMorph();
    if (this.selecting?.escape()) return;
    if (this.searching?.searching.open) this.searching.searching.clear();
    else this.close();
  }

  private relook(): void {
    for (const pane of this.panes) pane.relook();
    this.selecting?.relook();
    this.morph?.relook();
  }

  private selectingIn(panes: readonly [Pane, ...Pane[]]): SelectionPart {
    return linkedSelection(this.root, panes, {
      selection: () => this.selection,
      onSelection: (selection) => {
        this.selection = selection;
        this.write();
      },
      row: () => this.row,
      onOpen: (row) => void this.open(panes[0], row),
    });
  }

  private searchingIn(panes: readonly Pane[]): LinkedSearch {
    return new LinkedSearch(panes, {
      onHover: (pane, row) => void this.ring(pane, row),
      onOpen: (pane, row) => void this.open(pane, row),
      onSelect: (query) => this.root.dispatchEvent(new CustomEvent(SELECT_EVENT, { detail: query })),
      onSaved: (search) => {
        this.search = search;
        this.write();
      },
    });
  }

  private toggleMorph(): void {
    if (this.morph) this.closeMorph();
    else void this.openMorph(0);
  }

  /** Opens the one map; plays it where it is open. */
  private playMorph(): void {
    if (this.morph) this.morph.play();
    else if (this.panes.length > 1) void this.openMorph(0);
  }

  private async openMorph(at: number): Promise<void> {
    this.place = at;
    this.write();
    const { Morph } = await import("./morph");
    if (this.place === null || this.morph) return;
    const maps = this.panes.map(({ map }) => map);
    const morph = new Morph(maps, at, {
      onOpen: (row) => void this.open(this.panes[0]!, row),
      onPlace: (place) => {
        this.place = place;
        this.write();
      },
    });
    this.morph = morph;
    this.root.classList.add("morphing");
    this.morphing.setAttribute("aria-pressed", "true");
    this.root.querySelector(".compare-work")?.prepend(morph.element);
    await morph.start();
    morph.mark(this.row);
    await this.dim(morph);
  }

  /** Dims in the one map what is not selected. */
  private async dim(morph: Morph): Promise<void> {
    const [first] = this.panes;
    if (!first || !this.selection) return morph.select(null);
    const rows = await first.selectedRows(this.selection).catch(() => null);
    if (this.morph === morph) morph.select(rows);
  }

  private closeMorph(): void {
    this.morph?.destroy();
    this.morph?.element.remove();
    this.morph = null;
    this.place = null;
    this.root.classList.remove("morphing");
    this.morphing.setAttribute("aria-pressed", "false");
    this.write();
  }

  private pane(map: Compared, layer: string | null): Pane {
    const pane: Pane = new Pane(map, layer, {
      onHover: (row) => void this.ring(pane, row),
      onOpen: (row) => void this.open(pane, row),
      onNothing: () => this.close(),
      onMove: () => this.moveWith(pane),
      onLayer: () => this.write(),
      onRemove: () => this.go(this.panes.filter((each) => each !== pane).map((each) => each.map.id)),
    });
    return pane;
  }

  /** Shows other maps, on a page of their own in the history. */
  private go(ids: readonly string[]): void {
    const layers = new Map(this.panes.map((pane) => [pane.map.id, pane.layer]));
    const maps = ids.map((id) => ({ id, layer: layers.get(id) ?? null }));
    navigate(formatComparison({ ...this.state(), maps, morph: null }));
  }

  private state(): Comparison {
    const maps = this.panes.map((pane) => ({ id: pane.map.id, layer: pane.layer }));
    const { example, selection, search, place: morph } = this;
    return { maps, example, linked: this.linked.checked, selection, search, morph };
  }

  private write(): void {
    history.replaceState(null, "", formatComparison(this.state()));
  }

  private relink(): void {
    this.write();
    if (this.panes[0]) this.moveWith(this.panes[0]);
  }

  private moveWith(moved: Pane): void {
    if (this.moving || !this.linked.checked) return;
    this.moving = true;
    for (const pane of this.panes) if (pane !== moved) pane.follow(moved);
    this.moving = false;
  }

  /** Rings in all other maps what the cursor is at in one. */
  private async ring(at: Pane, row: number | null): Promise<void> {
    const turn = ++this.turn;
    for (const pane of this.panes) {
      if (pane === at) continue;
      const there = row === null ? null : await pane.rows.rowLike(at.rows, row).catch(() => null);
      if (turn !== this.turn) return;
      await pane.ring(there).catch(() => undefined);
    }
  }

  private async openId(id: string): Promise<void> {
    const [first] = this.panes;
    const row = await first?.rows.rowOf(id).catch(() => null);
    if (first && row != null) await this.open(first, row);
  }

  /** Marks an example in all maps, and says how many of its neighbors they have in common. */
  private async open(at: Pane, row: number): Promise<void> {
    const here = await at.rows.get(row);
    this.example = here.example_id;
    this.write();
    this.describe(here.example_id);
    const rows = await Promise.all(this.panes.map((pane) => pane.rows.rowLike(at.rows, row).catch(() => null)));
    if (this.example !== here.example_id) return;
    this.row = rows[0] ?? null;
    this.morph?.mark(this.row);
    this.selecting?.changed();
    await Promise.all(this.panes.map((pane, i) => this.select(pane, rows[i] ?? null, rows[0] ?? null)));
  }

  private async select(pane: Pane, row: number | null, first: number | null): Promise<void> {
    if (row === null) return pane.select(null, "not in this map");
    const [base] = this.panes;
    if (pane === base || first === null) return pane.select(row, "");
    const [one, other] = await Promise.all([base!.rows.get(first), pane.rows.get(row)]);
    const of = other.neighbors.length;
    return pane.select(row, `${inCommon(other, one)} of ${of} neighbors as in the first map`);
  }

  private close(): void {
    this.example = null;
    this.row = null;
    this.morph?.mark(null);
    this.selecting?.changed();
    this.write();
    this.describe(null);
    for (const pane of this.panes) void pane.select(null, "");
  }

  private describe(example: string | null): void {
    const least =
      this.panes.length < 2 ? "Add a map to compare it with." : "Click an example: it is marked in all maps.";
    setText(this.said, example === null ? least : example);
  }
}

/** The page of `/compare?maps=…`. A map that cannot be opened is named, and left out. */
export async function comparePage(app: HTMLElement): Promise<Page> {
  fill(app, h("div", { class: "compare-page", attrs: { "aria-busy": "true" } }));
  const state = parseComparison(location.search);
  const problems: string[] = [];
  const loads = state.maps.map(({ id }) =>
    compared(id).catch((error: unknown) => {
      if (!(error instanceof ApiError)) throw error;
      problems.push(`${id} is left out: ${error.message}`);
      return null;
    }),
  );
  const maps = (await Promise.all(loads)).filter((each) => each !== null);
  return new ComparisonPage(app, state, maps, problems);
}
