/** A page on which something was selected: tools, veil and panel, and the requests between them. */

import { getMarks, summarize } from "../api/selections";
import { currentTheme } from "../app/theme";
import { fill, h, setText } from "../lib/dom";
import { icon } from "../lib/icons";
import type { Theme } from "../tiles/colormaps";
import { toUnit } from "./grid";
import type { MapContext } from "./part";
import { SelectionBar } from "./selection-bar";
import { Drawing, type Tool } from "./selection-draw";
import {
  type Arrangement,
  combined,
  type How,
  inverted,
  rounded,
  type SelectionQuery,
  spoken,
} from "./selection-query";
import { SavedSelections } from "./selection-saved";
import { countText, summaryParts } from "./selection-summary";
import { type Drawn, parseMarks, Veil } from "./selection-veil";

/** Positions that the service gives at once. */
const MOST_MARKS = 100_000;
const MOVED_MS = 200;
const NOWHERE: SelectionQuery = { box: [9, 9, 9, 9] };

export class SelectionSession {
  private readonly bar: SelectionBar;
  private readonly drawing: Drawing;
  private readonly veil: Veil;
  private readonly saved: SavedSelections;
  private readonly panel: HTMLElement;
  private readonly heading = h("h2", { tabIndex: -1 }, "Selection");
  private readonly count = h("p", { class: "selection-count", role: "status", testid: "selection-count" });
  private readonly about = h("p", { class: "faint selection-what" });
  private readonly body = h("div", {});
  private pending = new AbortController();
  private shown: SelectionQuery | null = null;
  private shownIn: Arrangement = "exact";
  private total = 0;
  private timer = 0;
  private readonly onMoved = () => this.moved();

  constructor(
    private readonly context: MapContext,
    host: HTMLElement,
    private readonly opener: HTMLElement,
  ) {
    const { stage, classes } = context;
    this.veil = new Veil(currentTheme(), () => this.drawn());
    this.drawing = new Drawing(stage, {
      how: () => this.bar.how,
      onDrawn: ({ query, how }) => this.select(this.placed(query), how),
      onClick: () => this.use(null),
    });
    this.bar = new SelectionBar({
      classes,
      onTool: (tool) => this.use(tool),
      onInView: () => this.selectView(),
      onClass: (label) => this.select({ class: label }, this.bar.how),
      onNeighbors: () => this.selectNeighbors(),
      onInvert: () => this.invert(),
      onClear: () => this.clear(),
      onClose: () => this.toggle(false),
    });
    this.saved = new SavedSelections(context.id, {
      query: () => context.store.state.selection,
      onSelect: (query) => this.select(query, "new"),
    });
    this.panel = this.createPanel();
    stage.olMap.addLayer(this.veil.olLayer);
    stage.olMap.on("moveend", this.onMoved);
    fill(host, this.drawing.element, this.bar.element, this.panel);
    // The service reads positions and attributes when they are first asked for: while the lasso is still being drawn.
    void summarize(context.id, NOWHERE, this.pending.signal).catch(() => null);
  }

  destroy(): void {
    window.clearTimeout(this.timer);
    this.pending.abort();
    this.context.stage.olMap.un("moveend", this.onMoved);
    this.context.stage.olMap.removeLayer(this.veil.olLayer);
  }

  /** Shows or hides the tools; hidden, the selection stays. */
  toggle(open = this.bar.element.hidden): void {
    this.bar.element.hidden = !open;
    this.use(open ? "lasso" : null);
  }

  /** Takes a tool, or puts it away. */
  use(tool: Tool | null): void {
    if (tool) this.bar.element.hidden = false;
    this.drawing.use(tool);
    this.follow();
  }

  select(query: SelectionQuery, how: How): void {
    const { store } = this.context;
    const selection = combined(store.state.selection, query, how);
    this.panel.hidden = false;
    store.set({ selection });
    this.follow();
  }

  /** Shows the selection that the address has. */
  resume(): void {
    this.panel.hidden = false;
    this.follow();
  }

  selectView(): void {
    const [x0, y0, x1, y1] = this.inView().map(rounded);
    this.select(this.placed({ box: [x0!, y0!, x1!, y1!] }), this.bar.how);
  }

  selectNeighbors(): void {
    const { row } = this.context.store.state;
    if (row !== null) this.select({ neighbors_of: row }, this.bar.how);
  }

  invert(): void {
    const { selection } = this.context.store.state;
    if (selection) this.select(inverted(selection), "new");
  }

  clear(): void {
    this.panel.hidden = true;
    this.context.store.set({ selection: null });
    this.follow();
  }

  escape(): boolean {
    const { row, selection } = this.context.store.state;
    if (this.drawing.on) {
      this.use(null);
      return true;
    }
    if (row !== null || (!selection && this.bar.element.hidden)) return false;
    if (selection) this.clear();
    else this.toggle(false);
    return true;
  }

  setTheme(theme: Theme): void {
    this.veil.setTheme(theme);
  }

  /** Brings what is shown to what the page's state says. */
  follow(): void {
    const { selection, row } = this.context.store.state;
    const cells = this.context.info.features === this.context.id;
    this.bar.show(this.drawing.on, { change: selection !== null, neighbors: row !== null && !cells });
    const open = !this.bar.element.hidden;
    this.opener.setAttribute("aria-pressed", String(open));
    this.context.root.classList.toggle("with-selection", !this.panel.hidden);
    this.saved.offer(selection !== null);
    const { arrangement } = this;
    if (selection === this.shown && arrangement === this.shownIn) return;
    this.shown = selection;
    this.shownIn = arrangement;
    void this.ask(selection);
  }

  /** The arrangement that is shown, in which positions are meant. */
  private get arrangement(): Arrangement {
    return this.context.stage.arrangement.name;
  }

  /** What was drawn, with the arrangement that it was drawn on. */
  private placed(query: SelectionQuery): SelectionQuery {
    const { arrangement } = this;
    return arrangement === "exact" ? query : ({ ...query, arrangement } as SelectionQuery);
  }

  private createPanel(): HTMLElement {
    const close = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        label: "Clear the selection",
        title: "Clear the selection (Esc)",
        testid: "selection-clear",
        on: { click: () => this.clear() },
      },
      icon("close"),
    );
    return h(
      "aside",
      { class: "panel card selection", label: "Selection", testid: "selection", attrs: { hidden: "" } },
      h("header", { class: "panel-head" }, this.heading, close),
      h("div", { class: "panel-body" }, this.count, this.about, this.body, this.saved.element),
    );
  }

  private async ask(query: SelectionQuery | null): Promise<void> {
    this.pending.abort();
    this.pending = new AbortController();
    const { signal } = this.pending;
    if (!query) return this.veil.show(null);
    const { id, classes, info, open } = this.context;
    this.panel.setAttribute("aria-busy", "true");
    setText(
      this.about,
      spoken(query, (label) => info.classes[label] ?? `class ${label}`),
    );
    void this.saved.load();
    try {
      const summary = await summarize(id, query, signal);
      this.total = summary.count;
      setText(this.count, countText(summary));
      fill(this.body, ...summaryParts(id, summary, { classes, onOpen: (row) => void open(row, "show") }));
      await this.mark(query, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.veil.show(null);
      setText(this.count, "Nothing is selected");
      fill(
        this.body,
        h("p", { class: "problem", role: "alert", testid: "selection-problem" }, (error as Error).message),
      );
    }
    if (!signal.aborted) this.panel.removeAttribute("aria-busy");
  }

  /** Fetches the positions: of a large selection those in view, so that none of them is missing there. */
  private async mark(query: SelectionQuery, signal: AbortSignal): Promise<void> {
    const buffer = await getMarks(this.context.id, this.inSight(query), this.arrangement, signal);
    if (!signal.aborted) this.veil.show(parseMarks(buffer));
  }

  private inSight(query: SelectionQuery): SelectionQuery {
    const { stage } = this.context;
    if (this.total <= MOST_MARKS || stage.fitted) return query;
    return { intersection: [query, this.placed({ box: this.inView() })] };
  }

  private moved(): void {
    window.clearTimeout(this.timer);
    if (!this.shown || this.total <= MOST_MARKS) return;
    const [query, { signal }] = [this.shown, this.pending];
    this.timer = window.setTimeout(() => {
      this.mark(query, signal).catch((error) => signal.aborted || this.context.complain(error));
    }, MOVED_MS);
  }

  /** What is drawn for an example: a dot, and in the images layer the image of some. */
  private drawn(): Drawn {
    const { stage, store } = this.context;
    const images = stage.activeImages;
    if (images) return { half: 2, images: images.inSight(this.inView(), stage.zoom) };
    const { dots } = stage.scaleAt(stage.layerInfo(store.state.layer), stage.zoom);
    return { half: Math.max(1, dots.radius / dots.scale + 0.5), images: [] };
  }

  /** Left, top, right and bottom of the view in the unit square. */
  private inView(): [number, number, number, number] {
    const { olMap, view } = this.context.stage;
    const [left, bottom, right, top] = view.calculateExtent(olMap.getSize());
    return [...toUnit([left!, top!]), ...toUnit([right!, bottom!])];
  }
}
