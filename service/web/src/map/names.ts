/** Names on the map: of classes, of clusters, or none; a click flies there and selects. */

import { getJsonFile } from "../api/client";
import type { LegendClass, MapInfo } from "../api/types";
import { h } from "../lib/dom";
import { icon } from "../lib/icons";
import { measureIn, NameLabels } from "./name-labels";
import type { MapName, NameBands, NameKind } from "./name-layout";
import type { MapContext, MapPart } from "./part";
import type { Stage } from "./stage";
import type { MapState, ShownNames } from "./url-state";

const WORDS: Record<ShownNames, string> = { class: "classes", cluster: "clusters", off: "none" };
/** How much closer a click on a name goes. */
const CLOSER = 1.5;
const CLUSTERS = "category:cluster";

/** The kinds of names that a map has; classes first. */
export function kindsOf(bands: NameBands): NameKind[] {
  const names = Object.values(bands).flatMap(([first]) => first?.names ?? []);
  return (["class", "cluster"] as const).filter((kind) => names.some((name) => name.kind === kind));
}

/** What is shown: as asked for where the map has it, else the first kind. */
export function shownKind(asked: ShownNames | null, kinds: readonly NameKind[]): ShownNames {
  if (asked === "off" || kinds.length === 0) return "off";
  return kinds.find((kind) => kind === asked) ?? kinds[0]!;
}

/** What a name selects. */
export function queryOf({ kind, key }: MapName): { class: number } | { cluster: string } {
  return kind === "class" ? { class: Number(key) } : { cluster: String(key) };
}

/** Whether the clusters of a name are hidden in the legend that is shown. */
export function isHidden(name: MapName, info: Pick<MapInfo, "layers">, state: MapState): boolean {
  if (name.kind !== "cluster" || state.layer !== CLUSTERS) return false;
  const classes: readonly LegendClass[] = info.layers.find((layer) => layer.name === CLUSTERS)?.legend.classes ?? [];
  const found = classes.find((each) => each.name === name.key);
  return found !== undefined && state.hidden.has(found.index);
}

/** The arrangement that is shown, in which the places are looked up. */
function arrangementOf(stage: Stage & { arrangement?: { name: string } }): string {
  return stage.arrangement?.name ?? "exact";
}

/** The part of the page. */
export function names(context: MapContext): MapPart | null {
  const { id, info } = context;
  if (!info.names) return null;
  const shown = new Names(context);
  return {
    more: [shown.button],
    shortcuts: [{ key: "w", about: "Names on the map: classes, clusters, none", run: () => shown.next() }],
    start: () => void getJsonFile<NameBands>(id, info.names!).then((found) => shown.set(found), context.complain),
    changed: (state, previous) => shown.changed(state, previous),
    relook: () => shown.labels.update(),
    destroy: () => shown.labels.destroy(),
  };
}

class Names {
  readonly labels: NameLabels;
  readonly button = h(
    "button",
    { type: "button", class: "icon-button", testid: "names", on: { click: () => this.next() } },
    icon("names"),
  );
  private bands: NameBands = {};

  constructor(private readonly context: MapContext) {
    const { info, stage, store, target, accepts } = context;
    this.labels = new NameLabels({
      olMap: stage.olMap,
      zoom: () => stage.zoom,
      pixelOf: (x, y) => stage.pixelOf(x, y),
      arrangement: () => arrangementOf(stage),
      measure: measureIn(target),
      shows: (name) => (name.kind === "class" ? accepts(Number(name.key)) : !isHidden(name, info, store.state)),
      choose: (name) => this.choose(name),
    });
    this.show();
  }

  set(bands: NameBands): void {
    this.bands = bands;
    this.show();
  }

  changed(state: MapState, previous: MapState): void {
    if (state.names !== previous.names) this.show();
  }

  /** Classes, clusters, none, and again from the first. */
  next(): void {
    const { store } = this.context;
    const kinds = kindsOf(this.bands);
    const all: ShownNames[] = [...kinds, "off"];
    const wanted = all[(all.indexOf(shownKind(store.state.names, kinds)) + 1) % all.length]!;
    store.set({ names: wanted === shownKind(null, kinds) ? null : wanted });
  }

  private show(): void {
    const kind = shownKind(this.context.store.state.names, kindsOf(this.bands));
    this.labels.show(this.bands, kind);
    const said = `Names on the map: ${WORDS[kind]}`;
    this.button.title = said;
    this.button.setAttribute("aria-label", said);
    this.button.classList.toggle("on", kind !== "off");
  }

  private choose(name: MapName): void {
    const { context } = this;
    context.flyTo(name, Math.min(context.info.max_zoom, context.stage.zoom + CLOSER));
    context.root.dispatchEvent(new CustomEvent("featurescape:select", { detail: queryOf(name) }));
  }
}
