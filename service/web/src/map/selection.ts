/** Selecting points of the map: what was drawn or chosen, shown on the map, counted by the service, and kept. */

import type { Example, LegendClass } from "../api/types";
import { currentTheme } from "../app/theme";
import { h } from "../lib/dom";
import { icon } from "../lib/icons";
import type { MapContext, MapPart } from "./part";
import { hasNeighbors, type SelectedMap, type Selecting } from "./selecting";
import type { SelectionQuery } from "./selection-query";
import { SELECT_EVENT } from "./selection-query";
import type { SelectionSession } from "./selection-session";

/** The part of a page; what it works with is fetched once somebody selects. */
export class SelectionPart implements MapPart {
  readonly tools: HTMLElement[];
  readonly elements: HTMLElement[];
  readonly shortcuts = [
    { key: "l", about: "Select by a lasso; Shift adds, Alt removes", run: () => this.with((s) => s.use("lasso")) },
    { key: "b", about: "Select by a box", run: () => this.with((s) => s.use("box")) },
    { key: "v", about: "Select what is in view", run: () => this.with((s) => s.selectView()) },
    { key: "i", about: "Invert the selection", run: () => this.with((s) => s.invert()) },
  ];
  private readonly opener: HTMLElement;
  /** Where the elements of selecting come to stand. */
  private readonly host = h("div", { class: "selection-host" });
  private session: SelectionSession | null = null;
  private opening: Promise<SelectionSession> | null = null;
  private ended = false;
  private readonly onSelect = (event: Event) =>
    this.with((session) => session.select((event as CustomEvent<SelectionQuery>).detail, "new"));

  constructor(private readonly page: Selecting) {
    const label = "Select points (L)";
    const toggle = { click: () => this.with((session) => session.toggle()) };
    this.opener = h(
      "button",
      { type: "button", class: "icon-button", label, title: label, testid: "select", on: toggle },
      icon("lasso"),
    );
    this.tools = [this.opener];
    this.elements = [this.host];
  }

  start(): void {
    this.page.root.addEventListener(SELECT_EVENT, this.onSelect);
    if (this.page.selection()) this.with((session) => session.resume());
  }

  about(example: Example): HTMLElement | null {
    const neighbors = hasNeighbors(this.page);
    const buttons = [
      neighbors ? selectButton("Select its neighbors", { neighbors_of: example.row }, this.with) : null,
      classButton(example, this.page.classes, this.with),
    ];
    return h("p", { class: "selection-about" }, ...buttons);
  }

  changed(): void {
    this.session?.follow();
  }

  relook(): void {
    this.session?.setTheme(currentTheme());
    this.session?.follow();
  }

  escape(): boolean {
    return this.session?.escape() ?? false;
  }

  destroy(): void {
    this.ended = true;
    this.page.root.removeEventListener(SELECT_EVENT, this.onSelect);
    this.session?.destroy();
  }

  /** Does something with what selects, which is fetched first where it is not there yet. */
  private readonly with = (act: (session: SelectionSession) => void): void => {
    if (this.session) return act(this.session);
    this.opening ??= import("./selection-session").then(
      ({ SelectionSession }) => new SelectionSession(this.page, this.host, this.opener),
    );
    this.opening
      .then((session) => {
        if (this.ended) return session.destroy();
        this.session = session;
        act(session);
      })
      .catch((error) => {
        this.opening = null;
        this.page.complain(error);
      });
  };
}

type With = (act: (session: SelectionSession) => void) => void;

function selectButton(text: string, query: SelectionQuery, act: With): HTMLElement {
  const select = { click: () => act((session) => session.select(query, "new")) };
  return h("button", { type: "button", class: "button", on: select }, text);
}

function classButton(example: Example, classes: readonly LegendClass[], act: With): HTMLElement | null {
  if (example.label === null || classes.length === 0) return null;
  return selectButton("Select its class", { class: example.label }, act);
}

/** What selecting works with on the page of one map. */
export function selectingOn(context: MapContext): Selecting {
  const { id, info, classes, root, store, stage } = context;
  const map: SelectedMap = {
    ...{ id, stage, over: null },
    layer: () => store.state.layer,
    meant: (query) => query,
    counted: () => {},
  };
  return {
    ...{ maps: [map], info, classes, root },
    active: () => map,
    selection: () => store.state.selection,
    setSelection: (selection) => store.set({ selection }),
    row: () => store.state.row,
    open: (row) => void context.open(row, "show"),
    complain: (error) => context.complain(error),
  };
}

/** The part of the page that selects. */
export function selection(context: MapContext): MapPart {
  return new SelectionPart(selectingOn(context));
}
