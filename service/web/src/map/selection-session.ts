/** A page on which something was selected: tools, veils and panel, and the requests between them. */

import { countSelected, summarize } from "../api/selections";
import { fill, h, setText } from "../lib/dom";
import { icon } from "../lib/icons";
import type { Theme } from "../tiles/colormaps";
import { hasNeighbors, type SelectedMap, type Selecting } from "./selecting";
import { SelectionBar } from "./selection-bar";
import { Drawing, type Tool } from "./selection-draw";
import { placed, SelectionMarks } from "./selection-marks";
import { combined, type How, inverted, type SelectionQuery, spoken } from "./selection-query";
import { SavedSelections } from "./selection-saved";
import { countText, summaryParts } from "./selection-summary";

const NOWHERE: SelectionQuery = { box: [9, 9, 9, 9] };

/** A map of the page with what is drawn over it. */
interface Surface {
  map: SelectedMap;
  drawing: Drawing;
  marks: SelectionMarks;
}

export class SelectionSession {
  private readonly bar: SelectionBar;
  private readonly surfaces: readonly Surface[];
  private readonly saved: SavedSelections;
  private readonly panel: HTMLElement;
  private readonly heading = h("h2", { tabIndex: -1 }, "Selection");
  private readonly count = h("p", { class: "selection-count", role: "status", testid: "selection-count" });
  private readonly about = h("p", { class: "faint selection-what" });
  private readonly body = h("div", {});
  private pending = new AbortController();
  private shown: SelectionQuery | null = null;
  private shownIn = "";

  constructor(
    private readonly page: Selecting,
    host: HTMLElement,
    private readonly opener: HTMLElement,
  ) {
    const [first] = page.maps;
    this.surfaces = page.maps.map((map) => this.surface(map));
    this.bar = this.createBar(first);
    this.saved = new SavedSelections(first.id, {
      query: () => page.selection(),
      onSelect: (query) => this.select(first.meant(query), "new"),
    });
    this.panel = this.createPanel();
    for (const { map, drawing } of this.surfaces) (map.over ?? host).append(drawing.element);
    host.append(this.bar.element, this.panel);
    // The service reads positions and attributes when they are first asked for: while the lasso is still being drawn.
    void summarize(first.id, NOWHERE, this.pending.signal).catch(() => null);
  }

  destroy(): void {
    this.pending.abort();
    for (const { marks } of this.surfaces) marks.destroy();
  }

  /** Shows or hides the tools; hidden, the selection stays. */
  toggle(open = this.bar.element.hidden): void {
    this.bar.element.hidden = !open;
    this.use(open ? "lasso" : null);
  }

  /** Takes a tool, or puts it away. */
  use(tool: Tool | null): void {
    if (tool) this.bar.element.hidden = false;
    for (const { drawing } of this.surfaces) drawing.use(tool);
    this.follow();
  }

  select(query: SelectionQuery, how: How): void {
    const selection = combined(this.page.selection(), query, how);
    this.panel.hidden = false;
    this.page.setSelection(selection);
    this.follow();
  }

  /** Shows the selection that the address has. */
  resume(): void {
    this.panel.hidden = false;
    this.follow();
  }

  selectView(): void {
    const active = this.page.active();
    const { map, marks } = this.surfaces.find((each) => each.map === active) ?? this.surfaces[0]!;
    this.select(map.meant(marks.view()), this.bar.how);
  }

  selectNeighbors(): void {
    const row = this.page.row();
    if (row !== null) this.select(this.page.maps[0].meant({ neighbors_of: row }), this.bar.how);
  }

  invert(): void {
    const selection = this.page.selection();
    if (selection) this.select(inverted(selection), "new");
  }

  clear(): void {
    this.panel.hidden = true;
    this.page.setSelection(null);
    this.follow();
  }

  escape(): boolean {
    const selection = this.page.selection();
    if (this.tool) {
      this.use(null);
      return true;
    }
    if (this.page.row() !== null || (!selection && this.bar.element.hidden)) return false;
    if (selection) this.clear();
    else this.toggle(false);
    return true;
  }

  setTheme(theme: Theme): void {
    for (const { marks } of this.surfaces) marks.setTheme(theme);
  }

  /** Brings what is shown to what the page's state says. */
  follow(): void {
    const selection = this.page.selection();
    const neighbors = this.page.row() !== null && hasNeighbors(this.page);
    this.bar.show(this.tool, { change: selection !== null, neighbors });
    const open = !this.bar.element.hidden;
    this.opener.setAttribute("aria-pressed", String(open));
    this.page.root.classList.toggle("with-selection", !this.panel.hidden);
    this.saved.offer(selection !== null);
    const shownIn = this.surfaces.map(({ map }) => map.stage.arrangement.name).join();
    if (selection === this.shown && shownIn === this.shownIn) return;
    this.shown = selection;
    this.shownIn = shownIn;
    void this.ask(selection);
  }

  private get tool(): Tool | null {
    return this.surfaces[0]!.drawing.on;
  }

  private surface(map: SelectedMap): Surface {
    const drawing = new Drawing(map.stage, {
      how: () => this.bar.how,
      onDrawn: ({ query, how }) => this.select(map.meant(placed(query, map.stage.arrangement.name)), how),
      onClick: () => this.use(null),
    });
    return { map, drawing, marks: new SelectionMarks(map, (error) => this.page.complain(error)) };
  }

  private createBar(first: SelectedMap): SelectionBar {
    return new SelectionBar({
      classes: this.page.classes,
      onTool: (tool) => this.use(tool),
      onInView: () => this.selectView(),
      onClass: (label) => this.select(first.meant({ class: label }), this.bar.how),
      onNeighbors: () => this.selectNeighbors(),
      onInvert: () => this.invert(),
      onClear: () => this.clear(),
      onClose: () => this.toggle(false),
    });
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
    if (!query) return this.hide();
    this.panel.setAttribute("aria-busy", "true");
    setText(
      this.about,
      spoken(query, (label) => this.page.info.classes[label] ?? `class ${label}`),
    );
    void this.saved.load();
    const [first, ...others] = this.surfaces;
    await Promise.all([this.sumUp(first!, query, signal), ...others.map((each) => this.tally(each, query, signal))]);
    if (!signal.aborted) this.panel.removeAttribute("aria-busy");
  }

  private hide(): void {
    for (const { map, marks } of this.surfaces) {
      marks.hide();
      map.counted("");
    }
  }

  /** Shows the selection on the first map, and what is said of it there. */
  private async sumUp({ map, marks }: Surface, query: SelectionQuery, signal: AbortSignal): Promise<void> {
    const { classes } = this.page;
    try {
      const summary = await summarize(map.id, query, signal);
      setText(this.count, countText(summary));
      map.counted(countText(summary));
      fill(this.body, ...summaryParts(map.id, summary, { classes, onOpen: (row) => this.page.open(row) }));
      await marks.show(query, summary.count, signal);
    } catch (error) {
      if (signal.aborted) return;
      marks.hide();
      map.counted("");
      setText(this.count, "Nothing is selected");
      fill(
        this.body,
        h("p", { class: "problem", role: "alert", testid: "selection-problem" }, (error as Error).message),
      );
    }
  }

  /** Shows the selection on another map. */
  private async tally({ map, marks }: Surface, query: SelectionQuery, signal: AbortSignal): Promise<void> {
    try {
      const found = await countSelected(map.id, query, signal);
      map.counted(countText(found));
      await marks.show(query, found.count, signal);
    } catch (error) {
      if (signal.aborted) return;
      marks.hide();
      map.counted((error as Error).message);
    }
  }
}
