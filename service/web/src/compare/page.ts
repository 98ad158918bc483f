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
import { type Comparison, formatComparison, MOST_MAPS, parseComparison } from "./address";
import { chooser } from "./chooser";
import { inCommon } from "./matching";
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
  private example: string | null;
  private moving = false;
  private turn = 0;

  constructor(
    private readonly app: HTMLElement,
    state: Comparison,
    maps: readonly Compared[],
    private readonly problems: readonly string[],
  ) {
    this.example = state.example;
    this.linked = h("input", {
      type: "checkbox",
      testid: "compare-linked",
      on: { change: () => this.relink() },
    });
    this.linked.checked = state.linked;
    const layers = new Map(state.maps.map(({ id, layer }) => [id, layer]));
    this.panes = maps.map((map) => this.pane(map, layers.get(map.id) ?? null));
    this.show();
  }

  destroy(): void {
    this.turn += 1;
    for (const end of this.ends) end();
    for (const pane of this.panes) pane.destroy();
  }

  private show(): void {
    document.title = "Maps side by side · featurescape";
    const theme = themeButton();
    this.ends.push(
      theme.destroy,
      onTheme(() => {
        for (const pane of this.panes) pane.relook();
      }),
    );
    const shown = new Set(this.panes.map(({ map }) => map.id));
    const home = h(
      "a",
      { class: "home", href: "/jobs", label: "All jobs and maps" },
      mark(),
      h("span", {}, "featurescape"),
    );
    const bar = h(
      "header",
      { class: "compare-bar" },
      home,
      this.said,
      h("label", { class: "check" }, this.linked, "Move together"),
      this.panes.length < MOST_MAPS && chooser(shown, (id) => this.go([...shown, id])),
      theme.element,
    );
    const problems = this.problems.map((text) => h("p", { class: "problem", role: "alert" }, text));
    const panes = h("div", { class: "panes", testid: "panes" }, ...this.panes.map(({ element }) => element));
    panes.dataset.count = String(this.panes.length);
    fill(this.app, h("main", { class: "compare-page" }, bar, ...problems, panes));
    const [first, ...others] = this.panes;
    for (const pane of this.panes) pane.start();
    for (const pane of others)
      if (first && whyNotOver(first.map.info, pane.map.info) === null) pane.offerOver(first.map);
    this.describe(null);
    if (this.example !== null) void this.openId(this.example);
    document.body.dataset.ready = "true";
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
    navigate(formatComparison({ maps, example: this.example, linked: this.linked.checked }));
  }

  private write(): void {
    const maps = this.panes.map((pane) => ({ id: pane.map.id, layer: pane.layer }));
    history.replaceState(null, "", formatComparison({ maps, example: this.example, linked: this.linked.checked }));
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
