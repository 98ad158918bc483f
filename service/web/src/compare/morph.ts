/** One map in place of all: every example on its way from its place in one map to that in the next. */

import type OlMap from "ol/Map";
import { currentTheme } from "../app/theme";
import { fill, h, reducedMotion, setText } from "../lib/dom";
import { formatCount } from "../lib/format";
import { icon } from "../lib/icons";
import { eased } from "../map/arrangement-motion";
import { EXTENT, toUnit, zoomOf } from "../map/grid";
import { HoverCard } from "../map/hover";
import { labelClasses, NO_LABEL_COLOR } from "../map/legend";
import { planeMap, planeView } from "../map/plane";
import { parseHex } from "../tiles/colormaps";
import { MorphLayer } from "./morph-layer";
import { emptyMoment, getMoves, type Moment, type Moves, moveTo, nearestAt } from "./moves";
import type { Compared } from "./pane";

/** From one map to the next. */
export const MOVE_MS = 1600;
const STEP = 0.01;
const REACH_PX = 12;
const MARGIN_PX = 16;
const INK = { dark: "#ffffff", light: "#16181c" } as const;

export interface MorphActions {
  onOpen(row: number): void;
  /** Where the slider came to rest. */
  onPlace(at: number): void;
}

/** "35 % of the way from A to B", or the map that is shown. */
export function placeText(at: number, titles: readonly string[]): string {
  const from = Math.min(titles.length - 2, Math.floor(at));
  const part = at - from;
  if (part === 0 || part === 1) return titles[Math.round(at)]!;
  return `${Math.round(100 * part)} % of the way from ${titles[from]} to ${titles[from + 1]}`;
}

/** How many are drawn of how many, and why not all. */
export function drawnText(seen: number, given: number, examples: number): string {
  const why = given < examples ? ", a fair sample" : seen < given ? ": this map does not have the others" : "";
  return `${formatCount(seen)} of ${formatCount(examples)} drawn${why}`;
}

export class Morph {
  readonly element: HTMLElement;
  private readonly target = h("div", {
    class: "map",
    tabIndex: 0,
    role: "application",
    label: "One map that becomes the next. Arrow keys move, plus and minus zoom.",
  });
  private readonly layer = new MorphLayer();
  private readonly view;
  private readonly olMap: OlMap;
  private readonly card: HoverCard;
  private readonly slider: HTMLInputElement;
  private readonly player: HTMLButtonElement;
  private readonly place = h("output", { testid: "morph-place" });
  private readonly drawn = h("span", { class: "faint", testid: "morph-drawn" });
  private readonly pending = new AbortController();
  private moves: Moves | null = null;
  private moment: Moment = emptyMoment(0);
  private colors = new Uint8Array(0);
  private selected: Uint8Array | null = null;
  private frame = 0;

  constructor(
    private readonly maps: readonly Compared[],
    private at: number,
    private readonly actions: MorphActions,
  ) {
    const [first] = maps as [Compared, ...Compared[]];
    this.card = new HoverCard(first.id);
    this.slider = h("input", { type: "range", label: "From map to map", testid: "morph-slider" });
    Object.assign(this.slider, { min: "0", max: String(maps.length - 1), step: String(STEP), value: String(at) });
    this.slider.addEventListener("input", () => this.drag());
    this.player = h("button", { type: "button", class: "icon-button", testid: "morph-play" });
    this.player.addEventListener("click", () => this.play());
    this.element = h(
      "section",
      { class: "morph", testid: "morph", label: "One map that becomes the next" },
      h("div", { class: "pane-map" }, this.target, this.card.element),
      this.controls(),
    );
    this.view = planeView(first.info.max_zoom);
    this.olMap = planeMap(this.target, this.view, [this.layer.olLayer]);
    this.listen();
    this.showPlayer();
  }

  /** Fetches the places, and shows them; the element has its size only once it is in the page. */
  async start(): Promise<void> {
    this.olMap.updateSize();
    this.view.fit(EXTENT, { padding: Array(4).fill(MARGIN_PX) });
    this.relook();
    setText(this.drawn, "Fetching places …");
    try {
      const ids = this.maps.map(({ id }) => id);
      this.moves = await getMoves(ids, this.pending.signal);
    } catch (error) {
      if (!this.pending.signal.aborted) setText(this.drawn, (error as Error).message);
      return;
    }
    this.moment = emptyMoment(this.moves.count);
    this.colors = this.classColors(this.moves.labels);
    this.show();
  }

  destroy(): void {
    this.stop();
    this.pending.abort();
    this.olMap.setTarget(undefined);
    this.olMap.dispose();
  }

  relook(): void {
    const page = getComputedStyle(document.documentElement).getPropertyValue("--page").trim();
    this.layer.setTheme(parseHex(page || "#000000"), INK[currentTheme()]);
  }

  /** Dims all but some rows of the first map; null: none is dimmed. */
  select(rows: ReadonlySet<number> | null): void {
    const { moves } = this;
    this.selected = rows && moves && Uint8Array.from(moves.rows, (row) => (rows.has(row) ? 1 : 0));
    this.show();
  }

  /** Rings the example of a row of the first map; null: none. */
  mark(row: number | null): void {
    this.layer.ring(row === null || !this.moves ? -1 : this.moves.rows.indexOf(row));
  }

  /** Moves on to the last map, or back from there to the first; a second time it stops. */
  play(): void {
    if (this.frame !== 0) return this.rest();
    const last = this.maps.length - 1;
    const [from, to] = this.at < last ? [this.at, last] : [last, 0];
    if (reducedMotion()) return this.rest(to > from ? Math.floor(from) + 1 : Math.ceil(from) - 1);
    const start = performance.now();
    const step = (now: number): void => {
      const gone = Math.min(Math.abs(to - from), (now - start) / MOVE_MS);
      const at = to > from ? from + gone : from - gone;
      this.at = at === to ? to : Math.floor(at) + eased(at - Math.floor(at));
      this.show();
      if (at === to) this.rest();
      else this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
    this.showPlayer();
  }

  private stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
  }

  /** Stays where it is, or at a place. */
  private rest(at = this.at): void {
    this.stop();
    this.at = at;
    this.show();
    this.showPlayer();
    this.actions.onPlace(at);
  }

  private drag(): void {
    this.rest(Number(this.slider.value));
  }

  private show(): void {
    const titles = this.maps.map(({ title }) => title);
    const text = placeText(this.at, titles);
    this.slider.value = String(this.at);
    this.slider.setAttribute("aria-valuetext", text);
    setText(this.place, text);
    if (!this.moves) return;
    const seen = moveTo(this.moves, this.at, this.moment);
    setText(this.drawn, drawnText(seen, this.moves.count, this.maps[0]!.info.examples));
    this.layer.show({ moment: this.moment, colors: this.colors, selected: this.selected });
  }

  private showPlayer(): void {
    const playing = this.frame !== 0;
    const label = playing ? "Stop (M)" : "Play (M)";
    this.player.setAttribute("aria-label", label);
    this.player.title = label;
    fill(this.player, icon(playing ? "stop" : "play"));
  }

  private controls(): HTMLElement {
    const ends = this.maps.map(({ title }) => h("span", { title }, title));
    return h(
      "div",
      { class: "morph-bar" },
      this.player,
      h(
        "div",
        { class: "morph-way" },
        this.slider,
        h("div", { class: "morph-ends", attrs: { "aria-hidden": "true" } }, ...ends),
      ),
      h("p", { class: "morph-said", role: "status" }, this.place, this.drawn),
    );
  }

  private listen(): void {
    this.olMap.on("pointermove", (event) => {
      const index = event.dragging ? -1 : this.indexAt(event.coordinate);
      this.hover(index, event.pixel as [number, number]);
    });
    this.olMap.on("click", (event) => {
      const index = this.indexAt(event.coordinate);
      if (index >= 0) this.actions.onOpen(this.moves!.rows[index]!);
    });
    this.target.addEventListener("pointerleave", () => this.card.hide());
  }

  private indexAt(coordinate: number[]): number {
    const [x, y] = toUnit(coordinate);
    const perPixel = 2 ** -zoomOf(this.view.getResolution() ?? 1) / 512;
    return this.moves ? nearestAt(this.moment, x, y, REACH_PX * perPixel) : -1;
  }

  private hover(index: number, pixel: [number, number]): void {
    this.target.style.cursor = index < 0 ? "" : "pointer";
    if (index < 0) return this.card.hide();
    const { info } = this.maps[0]!;
    const label = this.moves!.labels[index]!;
    const color = labelClasses(info).find((each) => each.index === label)?.color ?? NO_LABEL_COLOR;
    const size = this.olMap.getSize() ?? [0, 0];
    const className = info.classes[label] ?? "no label";
    this.card.show({ row: this.moves!.rows[index]!, className, color }, pixel, [size[0]!, size[1]!]);
  }

  private classColors(labels: Int32Array): Uint8Array<ArrayBuffer> {
    const known = new Map(labelClasses(this.maps[0]!.info).map(({ index, color }) => [index, parseHex(color)]));
    const none = parseHex(NO_LABEL_COLOR);
    const colors = new Uint8Array(3 * labels.length);
    labels.forEach((label, i) => {
      colors.set(known.get(label) ?? none, 3 * i);
    });
    return colors;
  }
}
