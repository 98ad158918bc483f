/** The page of one map at work: one state, what people do to it, and what then changes. */

import type OlMap from "ol/Map";
import { ApiError } from "../api/client";
import type { Example, LegendClass, MapInfo } from "../api/types";
import { currentTheme, onTheme } from "../app/theme";
import { themeButton } from "../app/theme-button";
import { Asking } from "../job-parts/asking";
import { fill, h, setText } from "../lib/dom";
import { type IconName, icon } from "../lib/icons";
import { Store } from "../lib/store";
import { openArchive } from "../tiles/archive";
import { AtlasCells } from "./atlas-cell";
import { Cursor } from "./cursor";
import { Examples } from "./examples";
import { factsOf } from "./facts";
import { HelpDialog } from "./help";
import { HoverCard } from "./hover";
import { bindKeys } from "./keys";
import { Legend, labelClasses } from "./legend";
import { Overview } from "./overview";
import { DetailPanel } from "./panel";
import { Picker } from "./picker";
import type { Accepts } from "./points";
import { SearchBox } from "./search";
import { Searching } from "./searching";
import { layerCard, type MapTitle, titleCard } from "./sidebar";
import { type Padding, Stage } from "./stage";
import { exampleOf } from "./state-mark";
import { drawnText, zoomText } from "./status-line";
import { labelsOver, type TextLabels } from "./text-labels";
import { Texts } from "./texts";
import { formatMapState, type MapFacts, type MapState, parseMapState } from "./url-state";

declare global {
  interface Window {
    /** For tests and the console: the OpenLayers map that is shown. */
    featurescape?: { map: OlMap };
  }
}

const WRITE_MS = 250;
const NO_LABEL_COLOR = "#8a8a8a";
/** An example nearer than this to a card or an edge is not in sight. */
const EDGE_PX = 40;
const NARROW = "(max-width: 760px)";

/** What the job says of its map beside the map itself. */
export interface Shown {
  /** Side of an image's cell in the thumbnails layer. */
  thumbnailPx: number;
  /** Of an atlas: why its cells are attributed to no classes. */
  noAttribution: string | null;
}

function button(name: IconName, label: string, onClick: () => void): HTMLElement {
  return h("button", { type: "button", class: "icon-button", label, title: label, on: { click: onClick } }, icon(name));
}

export class MapController {
  private readonly facts: MapFacts;
  private readonly classes: readonly LegendClass[];
  private readonly store: Store<MapState>;
  private readonly stage: Stage;
  private readonly examples: Examples;
  private readonly cursor: Cursor;
  private readonly legend: Legend;
  private readonly layers: ReturnType<typeof layerCard>;
  private readonly title: ReturnType<typeof titleCard>;
  private readonly panel: DetailPanel;
  private readonly asking: Asking;
  private readonly search: SearchBox;
  private readonly searching: Searching;
  private readonly help = new HelpDialog();
  private readonly overview: Overview;
  private readonly labels: TextLabels | null;
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
  private readonly root: HTMLElement;
  private readonly ends: (() => void)[] = [];
  /** Whether a point of a label can be picked: its class is not hidden. */
  private readonly accepts: Accepts = (label) =>
    !this.store.state.hidden.has(label) || this.shownClasses !== this.classes;
  private writeTimer = 0;

  constructor(
    app: HTMLElement,
    id: string,
    private readonly info: MapInfo,
    shown: Shown,
  ) {
    this.classes = labelClasses(info);
    this.facts = factsOf(info);
    this.store = new Store(parseMapState(location.search, this.facts));
    this.examples = new Examples(id);
    this.legend = new Legend({
      onColormap: (colormap) => this.store.set({ colormap }),
      onHidden: (hidden) => this.store.set({ hidden }),
      onRange: (range) => this.store.set({ range }),
    });
    this.layers = layerCard(info.layers, this.legend, (layer) => this.setLayer(layer));
    this.title = titleCard(id, info);
    this.asking = new Asking(info.features);
    const texts = info.text ? new Texts(id, info.text) : null;
    const cells = new AtlasCells(id, info, shown.noAttribution);
    this.panel = new DetailPanel(id, info.step_unit, (label) => this.colorOf(label), {
      onClose: () => this.close(),
      onOpen: (row) => void this.open(row, "show"),
      onLocate: () => void this.locate(),
      cell: (example) => cells.show(example, this.stage.zoom),
      tools: (example) => this.tools(example),
      texts,
    });
    this.search = new SearchBox(id, (row) => void this.open(row, "find"));
    this.stage = new Stage(this.target, id, info, this.look(), (error) => this.complain(error));
    this.searching = new Searching(id, this.stage.highlight, {
      possible: info.features !== id,
      onOpen: (row) => void this.open(row, "show"),
      onSaved: (search) => this.store.set({ search }),
    });
    this.overview = new Overview(this.stage);
    const hover = new HoverCard(id, texts);
    const picker = new Picker(info, openArchive(id, info.points), shown.thumbnailPx, (row) => this.examples.get(row));
    this.labels =
      texts && labelsOver(this.target, { ...this.stage.labelParts(), picker, accepts: this.accepts, texts });
    this.cursor = this.createCursor(picker, hover);
    this.root = this.layout(hover.element);
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
    this.asking.stop();
    this.searching.destroy();
    this.cursor.destroy();
    this.labels?.destroy();
    this.stage.destroy();
  }

  private createCursor(picker: Picker, card: HoverCard): Cursor {
    return new Cursor({
      stage: this.stage,
      target: this.target,
      card,
      picker,
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

  /** What can be asked about an example that is open. */
  private tools(example: Example): HTMLElement {
    return h("div", {}, this.searching.button(example), this.asking.show(exampleOf(example, this.info.step_unit)));
  }

  /** Shows another color layer; what was hidden of other classes than its own does not count for it. */
  private setLayer(layer: string): void {
    const before = this.shownClasses;
    this.store.set({ layer, range: null });
    if (this.shownClasses !== before && this.store.state.hidden.size > 0) this.store.set({ hidden: new Set() });
  }

  private look() {
    const { layer, colormap, hidden, range } = this.store.state;
    return { layer, colormap, hidden, range, theme: currentTheme() };
  }

  private colorOf(label: number | null): string {
    return this.classes.find((each) => each.index === label)?.color ?? NO_LABEL_COLOR;
  }

  private nameOf(label: number): string {
    return this.info.classes[label] ?? "no label";
  }

  private layout(hover: HTMLElement): HTMLElement {
    const theme = themeButton();
    this.ends.push(theme.destroy);
    const zoom = h(
      "div",
      { class: "zoom card", role: "group", label: "Zoom" },
      button("plus", "Zoom in", () => this.stage.zoomBy(1)),
      button("minus", "Zoom out", () => this.stage.zoomBy(-1)),
      button("fit", "Show the whole map", () => this.fit(true)),
    );
    return h(
      "main",
      { class: "map-page" },
      h("div", { class: "left" }, this.title.element, this.layers.element),
      this.target,
      hover,
      h(
        "div",
        { class: "top card" },
        this.search.element,
        button("help", "Keyboard shortcuts", () => this.help.toggle()),
        theme.element,
      ),
      h("div", { class: "corner" }, this.overview.element, zoom),
      h("p", { class: "status-line card", attrs: { "aria-live": "polite" } }, this.drawn, this.depth),
      this.problem,
      this.searching.strip.element,
      this.panel.element,
    );
  }

  private start(): void {
    const { center, zoom, row } = this.store.state;
    const { olMap, view } = this.stage;
    if (new URLSearchParams(location.search).has("embed")) this.root.classList.add("embedded");
    // Panels have their size only once they are in the page.
    olMap.updateSize();
    if (center && zoom !== null) this.stage.moveTo(center[0], center[1], zoom);
    else this.fit(false);
    olMap.on("rendercomplete", () => {
      document.body.dataset.ready = "true";
    });
    olMap.on("moveend", () => this.moved());
    view.on("change", () => this.overview.follow());
    olMap.on("change:size", () => this.overview.follow());
    this.ends.push(
      onTheme(() => this.relook()),
      this.store.subscribe((state, previous) => this.changed(state, previous)),
      bindKeys({
        layer: (i) => this.info.layers[i] && this.setLayer(this.info.layers[i]!.name),
        fit: () => this.fit(true),
        showAll: () => this.store.set({ hidden: new Set() }),
        search: () => this.search.focus(),
        help: () => this.help.toggle(),
        neighbors: () => this.root.querySelector<HTMLElement>('[data-testid="neighbours"] button')?.focus(),
        ask: (what) => void this.asking.ask(what),
        escape: () => (this.store.state.row === null ? this.searching.clear() : this.close()),
      }),
    );
    void this.searching.begin(this.search, this.root, this.store.state.search);
    this.relook();
    if (row !== null) void this.open(row, center ? "stay" : "find");
  }

  /** Colors or layer changed: repaint, no network but for tiles not seen yet. */
  private relook(): void {
    this.stage.applyLook(this.look());
    this.layers.group.select(this.store.state.layer);
    void this.overview.repaint();
    this.overview.follow();
    this.describe();
  }

  private changed(state: MapState, previous: MapState): void {
    const looks =
      state.layer !== previous.layer ||
      state.colormap !== previous.colormap ||
      state.range !== previous.range ||
      state.hidden !== previous.hidden;
    if (state.layer !== previous.layer) {
      document.body.dataset.ready = "false";
      this.cursor.clear();
    }
    if (looks) this.relook();
    if (state.hidden !== previous.hidden) void this.labels?.update();
    window.clearTimeout(this.writeTimer);
    this.writeTimer = window.setTimeout(() => this.write(), looks ? 0 : WRITE_MS);
  }

  private write(): void {
    const query = formatMapState(this.store.state, this.facts);
    const embed = this.root.classList.contains("embedded") ? `${query ? "&" : "?"}embed=1` : "";
    history.replaceState(null, "", location.pathname + query + embed);
  }

  private moved(): void {
    const whole = this.stage.fitted;
    this.store.set(whole ? { center: null, zoom: null } : { center: this.stage.center, zoom: this.stage.zoom });
    this.describe();
    this.overview.follow();
  }

  /** Legend and status line for the present zoom. */
  private describe(): void {
    const { state } = this.store;
    const layer = this.stage.layerInfo(state.layer);
    const { max, z, dots } = this.stage.scaleAt(layer, this.stage.zoom);
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
    const hidden = this.shownClasses.reduce((sum, each) => sum + (state.hidden.has(each.index) ? each.count : 0), 0);
    setText(this.drawn, drawnText({ layer, examples: this.info.examples, hidden, z }));
    setText(this.depth, zoomText(this.stage.zoom));
  }

  /** Opens an example. The map moves where it has to ("show"), goes close ("find"), or stays ("stay"). */
  private async open(row: number, arrive: "show" | "find" | "stay"): Promise<void> {
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
      if (arrive === "find") this.fly(example, Math.max(this.stage.zoom, this.info.max_zoom - 1));
      else if (arrive === "show" && !this.inSight(example)) this.fly(example, this.stage.zoom);
    } catch (error) {
      if (this.store.state.row === row) this.panel.failed((error as Error).message);
    }
  }

  /** The part of the map that cards leave free: left, top, right, bottom in pixels. */
  private free(): [number, number, number, number] {
    const { clientWidth: width, clientHeight: height } = this.target;
    const { offsetWidth, offsetHeight } = this.panel.element;
    if (window.matchMedia(NARROW).matches) return [0, 64, width, height - (this.panel.open ? offsetHeight : 120)];
    return [this.layers.element.offsetWidth + 16, 0, width - (this.panel.open ? offsetWidth + 16 : 0), height];
  }

  private inSight(example: Example): boolean {
    const pixel = this.stage.pixelOf(example.x, example.y);
    const [left, top, right, bottom] = this.free();
    const [x, y] = pixel ?? [-1, -1];
    return x > left + EDGE_PX && x < right - EDGE_PX && y > top + EDGE_PX && y < bottom - EDGE_PX;
  }

  private fly(example: Example, zoom: number): void {
    const [left, top, right, bottom] = this.free();
    const { clientWidth: width, clientHeight: height } = this.target;
    this.stage.flyTo(example.x, example.y, zoom, [(width - left - right) / 2, (height - top - bottom) / 2]);
  }

  private async locate(): Promise<void> {
    const { row } = this.store.state;
    if (row !== null) this.fly(await this.examples.get(row), Math.max(this.stage.zoom, this.info.max_zoom));
  }

  private close(): void {
    if (this.store.state.row === null) return;
    const inside = this.panel.element.contains(document.activeElement);
    this.panel.hide();
    this.asking.stop();
    this.root.classList.remove("with-panel");
    this.stage.highlight.select(null, []);
    this.store.set({ row: null });
    if (inside) this.target.focus();
  }

  private fit(animate: boolean): void {
    const { clientWidth: width, clientHeight: height } = this.target;
    const [left, top, right, bottom] = this.free();
    const narrow = window.matchMedia(NARROW).matches;
    const padding: Padding = narrow ? [top + 16, 4, height - bottom, 4] : [20, width - right + 20, 52, left + 20];
    this.stage.fit(padding, animate);
  }

  private complain(error: unknown): void {
    const why = error instanceof ApiError ? error.message : String((error as Error)?.message ?? error);
    setText(this.problem, `Some tiles could not be loaded: ${why}`);
    this.problem.hidden = false;
  }
}
