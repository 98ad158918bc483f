/** One of the maps that are compared: its title, its color layer, the map, and the same example marked in it. */

import { getMarks } from "../api/selections";
import type { MapInfo } from "../api/types";
import { currentTheme } from "../app/theme";
import { fill, h, setText } from "../lib/dom";
import { plural } from "../lib/format";
import { icon } from "../lib/icons";
import { Cursor } from "../map/cursor";
import { FindMarks, type Marked } from "../map/find-marks";
import { firstLayer } from "../map/first-layer";
import { HoverCard } from "../map/hover";
import { gradient, labelClasses, NO_LABEL_COLOR } from "../map/legend";
import { Picker } from "../map/picker";
import { MOST_MARKS } from "../map/selection-marks";
import type { SelectionQuery } from "../map/selection-query";
import { parseMarks } from "../map/selection-veil";
import { Stage } from "../map/stage";
import { Texts } from "../map/texts";
import { histogram, valueTickLabels } from "../map/value-legend";
import { openArchive } from "../tiles/archive";
import { DEFAULT_COLORMAP, divergingTable, lookupTable } from "../tiles/colormaps";
import { Rows } from "./matching";

const MARGIN_PX = 12;

/** A map, and what the jobs say that made it. */
export interface Compared {
  id: string;
  info: MapInfo;
  title: string;
  thumbnailPx: number;
}

export interface PaneActions {
  /** The example under the cursor; null: none. */
  onHover(row: number | null): void;
  onOpen(row: number): void;
  onNothing(): void;
  /** The view was moved here. */
  onMove(): void;
  onLayer(): void;
  onRemove(): void;
}

export class Pane {
  readonly element: HTMLElement;
  readonly rows: Rows;
  readonly stage: Stage;
  private readonly target: HTMLElement;
  private readonly cursor: Cursor;
  /** Element over which a lasso is drawn. */
  readonly over: HTMLElement;
  private readonly found: FindMarks;
  private readonly legend = h("div", { class: "pane-legend card", testid: "pane-legend", attrs: { hidden: "" } });
  private readonly note = h("span", { testid: "pane-note" });
  private readonly selectedNote = h("span", { testid: "pane-selected" });
  private readonly foundNote = h("span", { testid: "pane-found" });
  private readonly said = h(
    "p",
    { class: "pane-said faint", role: "status" },
    this.foundNote,
    this.selectedNote,
    this.note,
  );
  private readonly problem = h("p", { class: "problem", role: "alert", attrs: { hidden: "" } });
  private readonly choice: HTMLSelectElement;

  constructor(
    readonly map: Compared,
    layer: string | null,
    actions: PaneActions,
  ) {
    const { id, info } = map;
    this.rows = new Rows(map);
    this.target = h("div", {
      class: "map",
      tabIndex: 0,
      role: "application",
      label: `Map: ${map.title}. Arrow keys move, plus and minus zoom, Enter opens the example at the cross.`,
    });
    this.choice = this.layerChoice(actions);
    this.choice.value = info.layers.some((each) => each.name === layer) ? layer! : firstLayer(info);
    this.stage = new Stage(this.target, id, info, this.look(), (error) => this.complain(error));
    const texts = info.text ? new Texts(id, info.text) : null;
    const card = new HoverCard(id, texts);
    this.cursor = this.createCursor(card, actions);
    this.found = new FindMarks(info.max_zoom, this.stage.dimming);
    this.stage.olMap.addLayer(this.found.olLayer);
    this.over = h("div", { class: "pane-map" }, this.target, this.legend, card.element, this.problem);
    this.explain();
    this.element = h(
      "section",
      { class: "pane", testid: "pane", label: map.title },
      this.head(actions),
      this.said,
      this.over,
    );
    this.stage.view.on("change", () => actions.onMove());
  }

  private layerChoice(actions: PaneActions): HTMLSelectElement {
    return h(
      "select",
      {
        class: "field select",
        label: `Color layer of ${this.map.title}`,
        testid: "pane-layer",
        on: { change: () => this.recolor(actions) },
      },
      ...this.map.info.layers.map((each) => h("option", { attrs: { value: each.name } }, each.title)),
    );
  }

  private createCursor(card: HoverCard, actions: PaneActions): Cursor {
    const { id, info, thumbnailPx } = this.map;
    const classes = labelClasses(info);
    return new Cursor({
      stage: this.stage,
      target: this.target,
      card,
      picker: new Picker(info, openArchive(id, info.points), thumbnailPx, (row) => this.rows.get(row)),
      accepts: () => true,
      describe: (label) => ({
        className: info.classes[label] ?? "no label",
        color: classes.find((each) => each.index === label)?.color ?? NO_LABEL_COLOR,
      }),
      onHover: (point) => actions.onHover(point?.row ?? null),
      onOpen: (row) => actions.onOpen(row),
      onNothing: () => actions.onNothing(),
    });
  }

  get layer(): string {
    return this.choice.value;
  }

  /** Shows the whole map; the pane has its size only once it is in the page. */
  start(): void {
    this.stage.olMap.updateSize();
    this.fit();
    // What is selected takes room from the panes.
    this.stage.olMap.on("change:size", () => this.stage.fitted && this.fit());
  }

  private fit(): void {
    this.stage.fit([MARGIN_PX, MARGIN_PX, MARGIN_PX, MARGIN_PX], false);
  }

  relook(): void {
    this.stage.applyLook(this.look());
    this.found.setTheme(currentTheme());
    this.explain();
  }

  /** The scale of a layer of numbers, as `drift`; other layers have none here. */
  private explain(): void {
    const { value } = this.stage.layerInfo(this.layer).legend;
    this.legend.hidden = !value;
    if (!value) return;
    const theme = currentTheme();
    const bar = gradient(value.diverging ? divergingTable(theme) : lookupTable(DEFAULT_COLORMAP, theme), "scale");
    fill(
      this.legend,
      h("p", { title: value.about }, value.attribute),
      histogram(value, value.range),
      bar,
      valueTickLabels(value, value.range),
    );
  }

  /** Offers the page that lays this map over another. */
  offerOver(base: Compared): void {
    const href = `/maps/${encodeURIComponent(base.id)}?with=${encodeURIComponent(this.map.id)}`;
    this.said.append(h("a", { href, testid: "pane-over" }, "Lay over the first map"));
  }

  /** Takes the view of another pane. */
  follow(other: Pane): void {
    this.stage.moveTo(...other.stage.center, other.stage.zoom);
  }

  /** Rings a row; null: none. */
  async ring(row: number | null): Promise<void> {
    this.stage.highlight.hover(row === null ? null : await this.rows.get(row));
  }

  /** Marks a row with its neighbors, and says what of it; null: the mark goes. */
  async select(row: number | null, note: string): Promise<void> {
    const example = row === null ? null : await this.rows.get(row);
    this.stage.highlight.select(example, example?.neighbors ?? []);
    setText(this.note, note);
  }

  /** Says how many are selected here; empty: nothing is. */
  counted(text: string): void {
    setText(this.selectedNote, text && `Selected: ${text}`);
  }

  /** Rows that are selected here; null: too many to be told apart from others. */
  async selectedRows(query: SelectionQuery): Promise<ReadonlySet<number> | null> {
    const { count, row } = parseMarks(await getMarks(this.map.id, query, "exact", new AbortController().signal));
    return count < MOST_MARKS ? new Set(row) : null;
  }

  /** Marks what a search found, and says of it; null: the map is as it was. */
  showFound(marks: Marked | null, text: string): void {
    this.found.show(marks, currentTheme());
    setText(this.foundNote, text);
  }

  destroy(): void {
    this.cursor.destroy();
    this.stage.destroy();
  }

  private head(actions: PaneActions): HTMLElement {
    const { id, title, info } = this.map;
    const remove = h(
      "button",
      {
        type: "button",
        class: "icon-button small",
        label: `Leave out ${title}`,
        title: "Leave out",
        testid: "pane-remove",
        on: { click: () => actions.onRemove() },
      },
      icon("close"),
    );
    const name = h("a", { href: `/maps/${encodeURIComponent(id)}`, testid: "pane-title" }, title);
    return h(
      "header",
      { class: "pane-head" },
      h("h2", {}, name),
      h("span", { class: "faint" }, plural(info.examples, "example")),
      this.choice,
      remove,
    );
  }

  private recolor(actions: PaneActions): void {
    this.relook();
    actions.onLayer();
  }

  private look() {
    return {
      layer: this.choice.value,
      arrangement: "exact" as const,
      colormap: DEFAULT_COLORMAP,
      hidden: new Set<number>(),
      range: null,
      theme: currentTheme(),
    };
  }

  complain(error: unknown): void {
    setText(this.problem, `Some tiles could not be loaded: ${(error as Error)?.message ?? error}`);
    this.problem.hidden = false;
  }
}
