/** The page of one map at work: one state, what people do to it, and what then changes. */

import type OlMap from "ol/Map";
import { ApiError } from "../api/client";
import type { Example, LegendClass, MapInfo } from "../api/types";
import type { Route } from "../app/router";
import { currentTheme, onTheme, toggleTheme } from "../app/theme";
import { themeButton } from "../app/theme-button";
import { fill, h, setText } from "../lib/dom";
import { type IconName, icon } from "../lib/icons";
import { Store } from "../lib/store";
import { openArchive } from "../tiles/archive";
import { toolBar } from "./bar";
import { Cursor } from "./cursor";
import { Examples } from "./examples";
import { factsOf } from "./facts";
import { Framing } from "./framing";
import { HelpDialog } from "./help";
import { HoverCard } from "./hover";
import { bindKeys } from "./keys";
import { Legend, labelClasses, NO_LABEL_COLOR } from "./legend";
import { DetailPanel } from "./panel";
import type { Arrive, MapContext, MapPart, Shortcut, Shown } from "./part";
import { partsOf } from "./parts";
import { Picker } from "./picker";
import type { Accepts } from "./points";
import { layerCard, type MapTitle, titleCard } from "./sidebar";
import { Stage } from "./stage";
import { drawnText, zoomText } from "./status-line";
import { Texts } from "./texts";
import { formatMapState, isStep, type MapFacts, type MapState, parseMapState } from "./url-state";

declare global {
  interface Window {
    /** For tests and the console: the OpenLayers map that is shown. */
    featurescape?: { map: OlMap };
  }
}

const WRITE_MS = 250;
function button(name: IconName, label: string, onClick: () => void): HTMLElement {
  return h("button", { type: "button", class: "icon-button", label, title: label, on: { click: onClick } }, icon(name));
}

export class MapController {
  private readonly facts: MapFacts;
  private readonly classes: readonly LegendClass[];
  private readonly store: Store<MapState>;
  private readonly stage: Stage;
  private readonly examples: Examples;
  private readonly picker: Picker;
  private readonly texts: Texts | null;
  private readonly cursor: Cursor;
  private readonly legend: Legend;
  private readonly layers: ReturnType<typeof layerCard>;
  private readonly title: ReturnType<typeof titleCard>;
  private readonly panel: DetailPanel;
  private readonly framing: Framing;
  private readonly parts: readonly MapPart[];
  private readonly shortcuts: readonly Shortcut[];
  private readonly help: HelpDialog;
  private readonly drawn = h("span", { testid: "drawn" });
  private readonly depth = h("span", { class: "faint depth" });
  private readonly problem = h("p", { class: "map-problem card", role: "alert", attrs: { hidden: "" } });
  private readonly target = h("div", {
    class: "map",
    testid: "map",
    tabIndex: 0,
    role: "application",
    label: "Map. Arrow keys move, plus and minus zoom, Enter opens the example at the cross.",
  });
  private readonly root = h("main", { class: "map-page" });
  private readonly ends: (() => void)[] = [];
  /** Whether a point of a label can be picked: its class is not hidden. */
  private readonly accepts: Accepts = (label) =>
    !this.store.state.hidden.has(label) || this.shownClasses !== this.classes;
  private writeTimer = 0;
  /** What the address has. */
  private written: Readonly<MapState>;

  constructor(
    app: HTMLElement,
    private readonly id: string,
    private readonly info: MapInfo,
    shown: Shown,
  ) {
    this.classes = labelClasses(info);
    this.facts = factsOf(info);
    this.store = new Store(parseMapState(location.search, this.facts));
    this.written = this.store.state;
    this.examples = new Examples(id);
    this.texts = info.text ? new Texts(id, info.text) : null;
    this.legend = new Legend({
      onColormap: (colormap) => this.store.set({ colormap }),
      onHidden: (hidden) => this.store.set({ hidden }),
      onRange: (range) => this.store.set({ range }),
    });
    this.layers = layerCard(info.layers, this.legend, (layer) => this.setLayer(layer));
    this.title = titleCard(id, info);
    this.panel = new DetailPanel(id, info.step_unit, (label) => this.colorOf(label), {
      onClose: () => this.close(),
      onOpen: (row) => void this.open(row, "show"),
      onLocate: () => void this.locate(),
      about: (example) => this.about(example),
      texts: this.texts,
    });
    this.stage = new Stage(this.target, id, info, this.look(), (error) => this.complain(error));
    this.framing = new Framing(this.stage, {
      target: this.target,
      layers: this.layers.element,
      panel: this.panel,
      page: this.root,
    });
    const hover = new HoverCard(id, this.texts);
    this.picker = new Picker(info, openArchive(id, info.points), shown.thumbnailPx, (row) => this.examples.get(row));
    this.cursor = this.createCursor(hover);
    this.parts = partsOf(this.context(id, shown));
    this.shortcuts = this.allShortcuts();
    this.help = new HelpDialog(this.shortcuts);
    this.fill(hover.element);
    fill(app, this.root, this.help.element);
    window.featurescape = { map: this.stage.olMap };
    this.start();
  }

  setTitle(title: MapTitle): void {
    this.title.set(title);
    document.title = `${title.title} · featurescape`;
  }

  destroy(): void {
    window.clearTimeout(this.writeTimer);
    for (const end of this.ends) end();
    delete window.featurescape;
    this.cursor.destroy();
    for (const part of this.parts) part.destroy?.();
    this.stage.destroy();
  }

  /** What the parts work with. */
  private context(id: string, shown: Shown): MapContext {
    const { info, store, stage, examples, picker, texts, classes, target, root, accepts } = this;
    return {
      ...{ id, info, shown, store, stage, examples, picker, texts, classes, target, root, accepts },
      open: (row, arrive) => this.open(row, arrive),
      flyTo: (place, zoom) => this.framing.flyTo(place, zoom),
      fit: (animate) => this.framing.fit(animate),
      complain: (error) => this.complain(error),
    };
  }

  private allShortcuts(): Shortcut[] {
    const neighbors = () => this.root.querySelector<HTMLElement>('[data-testid="neighbours"] button')?.focus();
    return [
      { key: "f", about: "Show the whole map", run: () => this.framing.fit(true) },
      { key: "a", about: "Show all classes", run: () => this.store.set({ hidden: new Set() }) },
      { key: "n", about: "Go to the nearest neighbors", run: neighbors },
      ...this.parts.flatMap((part) => part.shortcuts ?? []),
      { key: "t", about: "Light or dark", run: toggleTheme },
      { key: "?", about: "These shortcuts", run: () => this.help.toggle() },
    ];
  }

  private createCursor(card: HoverCard): Cursor {
    return new Cursor({
      stage: this.stage,
      target: this.target,
      card,
      picker: this.picker,
      accepts: this.accepts,
      describe: (label) => ({ className: this.nameOf(label), color: this.colorOf(label) }),
      onOpen: (row) => void this.open(row, "show"),
      onNothing: () => this.close(),
    });
  }

  private get kind(): string {
    return this.stage.layerInfo(this.store.state.layer).legend.kind;
  }

  /** The classes of the legend that is shown: the layer's own; of images those of the labels. */
  private get shownClasses(): readonly LegendClass[] {
    if (this.kind === "images") return this.classes;
    return this.stage.layerInfo(this.store.state.layer).legend.classes;
  }

  private about(example: Example): HTMLElement[] {
    return this.parts.map((part) => part.about?.(example)).filter((each) => each != null);
  }

  /** Shows another color layer; what was hidden of other classes than its own does not count for it. */
  private setLayer(layer: string): void {
    const before = this.shownClasses;
    this.store.set({ layer, range: null });
    if (this.shownClasses !== before && this.store.state.hidden.size > 0) this.store.set({ hidden: new Set() });
  }

  private look() {
    const { layer, arrangement, colormap, hidden, range, imageSize } = this.store.state;
    return { layer, arrangement, colormap, hidden, range, imageSize, theme: currentTheme() };
  }

  private colorOf(label: number | null): string {
    return this.classes.find((each) => each.index === label)?.color ?? NO_LABEL_COLOR;
  }

  private nameOf(label: number): string {
    return this.info.classes[label] ?? "no label";
  }

  private fill(hover: HTMLElement): void {
    const theme = themeButton();
    const zoom = h(
      "div",
      { class: "zoom card", role: "group", label: "Zoom" },
      button("plus", "Zoom in", () => this.stage.zoomBy(1)),
      button("minus", "Zoom out", () => this.stage.zoomBy(-1)),
      button("fit", "Show the whole map", () => this.framing.fit(true)),
    );
    const of = (place: "tools" | "more" | "choices" | "cards" | "corner" | "elements") =>
      this.parts.flatMap((part) => part[place] ?? []);
    const help = button("help", "Keyboard shortcuts", () => this.help.toggle());
    const bar = toolBar(of("tools"), [...of("more"), help, theme.element]);
    this.ends.push(theme.destroy, bar.destroy);
    this.layers.group.element.after(...of("choices"));
    fill(
      this.root,
      h("div", { class: "left" }, this.title.element, this.layers.element, ...of("cards")),
      this.target,
      hover,
      bar.element,
      h("div", { class: "corner" }, ...of("corner"), zoom),
      h("p", { class: "status-line card", attrs: { "aria-live": "polite" } }, this.drawn, this.depth),
      this.problem,
      ...of("elements"),
      this.panel.element,
    );
  }

  private start(): void {
    const { center, zoom, row } = this.store.state;
    const { olMap } = this.stage;
    if (new URLSearchParams(location.search).has("embed")) this.root.classList.add("embedded");
    // Panels have their size only once they are in the page.
    olMap.updateSize();
    if (center && zoom !== null) this.stage.moveTo(center[0], center[1], zoom);
    else this.framing.fit(false);
    olMap.on("rendercomplete", () => {
      document.body.dataset.ready = "true";
      this.count();
    });
    olMap.on("moveend", () => this.moved());
    this.ends.push(
      onTheme(() => this.relook()),
      this.store.subscribe((state, previous) => this.changed(state, previous)),
      bindKeys(this.shortcuts, {
        layer: (i) => this.info.layers[i] && this.setLayer(this.info.layers[i]!.name),
        escape: () => this.escape(),
      }),
    );
    for (const part of this.parts) part.start?.();
    this.relook();
    if (row !== null) void this.open(row, center ? "stay" : "find");
  }

  /** Colors or layer changed: repaint, no network but for tiles not seen yet. */
  private relook(): void {
    this.stage.applyLook(this.look());
    this.layers.group.select(this.store.state.layer);
    for (const part of this.parts) part.relook?.();
    this.describe();
  }

  private changed(state: MapState, previous: MapState): void {
    const looks =
      state.layer !== previous.layer ||
      state.arrangement !== previous.arrangement ||
      state.colormap !== previous.colormap ||
      state.range !== previous.range ||
      state.hidden !== previous.hidden ||
      state.imageSize !== previous.imageSize;
    if (state.layer !== previous.layer) {
      document.body.dataset.ready = "false";
      this.cursor.clear();
    }
    if (looks) this.relook();
    for (const part of this.parts) part.changed?.(state, previous);
    window.clearTimeout(this.writeTimer);
    this.writeTimer = window.setTimeout(() => this.write(), looks ? 0 : WRITE_MS);
  }

  private write(): void {
    const query = formatMapState(this.store.state, this.facts);
    const embed = this.root.classList.contains("embedded") ? `${query ? "&" : "?"}embed=1` : "";
    const step = isStep(this.store.state, this.written) && embed === "";
    this.written = this.store.state;
    history[step ? "pushState" : "replaceState"](null, "", location.pathname + query + embed);
  }

  /** Back and forward on this map: what the address says now. */
  follow(route: Route): boolean {
    if (route.page !== "map" || route.id !== this.id) return false;
    const state = parseMapState(location.search, this.facts);
    const { row, center, zoom, ...look } = state;
    if (row === null) this.close();
    else if (row !== this.store.state.row) void this.open(row, "stay");
    this.store.set(look);
    if (center && zoom !== null) this.stage.moveTo(center[0], center[1], zoom);
    else this.framing.fit(false);
    this.written = { ...this.store.state, row };
    return true;
  }

  private moved(): void {
    const whole = this.stage.fitted;
    this.store.set(whole ? { center: null, zoom: null } : { center: this.stage.center, zoom: this.stage.zoom });
    this.describe();
  }

  /** Legend and status line for the present zoom. */
  private describe(): void {
    const { state } = this.store;
    const layer = this.stage.layerInfo(state.layer);
    const { max, dots } = this.stage.scaleAt(layer, this.stage.zoom);
    this.legend.update({
      layer,
      classes: this.shownClasses,
      colormap: state.colormap,
      hidden: state.hidden,
      range: state.range,
      theme: currentTheme(),
      max,
      dotted: dots.radius > 0,
    });
    this.count();
    setText(this.depth, zoomText(this.stage.zoom));
  }

  /** The status line: how many are drawn of how many. */
  private count(): void {
    const { state } = this.store;
    const layer = this.stage.layerInfo(state.layer);
    const { z } = this.stage.scaleAt(layer, this.stage.zoom);
    const hidden = this.shownClasses.reduce((sum, each) => sum + (state.hidden.has(each.index) ? each.count : 0), 0);
    const images = this.stage.activeImages;
    const inSight = images?.count ?? null;
    const unreadable = images?.unreadable ?? false;
    setText(this.drawn, drawnText({ layer, examples: this.info.examples, hidden, z, inSight, unreadable }));
  }

  /** Opens an example. The map moves where it has to ("show"), goes close ("find"), or stays ("stay"). */
  private async open(row: number, arrive: Arrive): Promise<void> {
    // Who works by keyboard goes on in the panel; a mouse click leaves the focus on the map.
    const takesFocus = this.root.querySelector(":focus-visible") !== null;
    this.store.set({ row });
    this.panel.loading(row);
    this.root.classList.add("with-panel");
    try {
      const example = await this.examples.get(row);
      if (this.store.state.row !== row) return;
      this.panel.show(example);
      if (takesFocus) this.panel.focus();
      this.stage.highlight.select(example, example.neighbors);
      if (arrive === "find") this.framing.flyTo(example, Math.max(this.stage.zoom, this.info.max_zoom - 1));
      else if (arrive === "show" && !this.framing.inSight(example)) this.framing.flyTo(example, this.stage.zoom);
    } catch (error) {
      if (this.store.state.row === row) this.panel.failed((error as Error).message);
    }
  }

  private async locate(): Promise<void> {
    const { row } = this.store.state;
    if (row !== null) this.framing.flyTo(await this.examples.get(row), Math.max(this.stage.zoom, this.info.max_zoom));
  }

  private close(): void {
    if (this.store.state.row === null) return;
    const inside = this.panel.element.contains(document.activeElement);
    this.panel.hide();
    for (const part of this.parts) part.closed?.();
    this.root.classList.remove("with-panel");
    this.stage.highlight.select(null, []);
    this.store.set({ row: null });
    if (inside) this.target.focus();
  }

  /** Ends what a part has going on, else closes the open example. */
  private escape(): void {
    if (!this.parts.some((part) => part.escape?.())) this.close();
  }

  private complain(error: unknown): void {
    const why = error instanceof ApiError ? error.message : String((error as Error)?.message ?? error);
    setText(this.problem, `Some tiles could not be loaded: ${why}`);
    this.problem.hidden = false;
  }
}
