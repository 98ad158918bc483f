/** What the address bar keeps of a map: place, zoom, color layer, colormap, classes, range, selected row, search. */

import { type ColormapName, DEFAULT_COLORMAP, isColormap } from "../tiles/colormaps";
import type { ArrangementName } from "./arranged";
import { SIZES } from "./image-levels";
import { fromAddress, type SelectionQuery, toAddress } from "./selection-query";

export interface MapState {
  /** Unit square, y down; null: the whole map. */
  center: [number, number] | null;
  zoom: number | null;
  layer: string;
  arrangement: ArrangementName;
  colormap: ColormapName;
  /** Class indices that are not drawn. */
  hidden: ReadonlySet<number>;
  /** Values that the colors of a value layer span; null: the layer's own range. */
  range: readonly [low: number, high: number] | null;
  row: number | null;
  search: SavedSearch | null;
  /** Job that drew a map whose examples lie over those of this one. */
  added: string | null;
  /** Names on the map; null: those that the map opens with. */
  names: ShownNames | null;
  selection: SelectionQuery | null;
  /** Images smaller or larger than they are drawn by themselves: one of `SIZES`. */
  imageSize: number;
}

export type ShownNames = "class" | "cluster" | "off";
const NAMES: readonly ShownNames[] = ["class", "cluster", "off"];

/** A search that an address can keep. */
export interface SavedSearch {
  by: "text" | "like" | "find";
  value: string;
}

/** What the state is checked against. */
export interface MapFacts {
  layers: readonly string[];
  arrangements: readonly ArrangementName[];
  /** The layer that a map opens in. */
  first: string;
  /** The arrangement that a map opens in. */
  firstArrangement: ArrangementName;
  /** Indices of the legend's classes. */
  classes: readonly number[];
  examples: number;
  maxZoom: number;
}

function finite(text: string | undefined): number | null {
  const value = Number.parseFloat(text ?? "");
  return Number.isFinite(value) ? value : null;
}

function indices(text: string | null, classes: readonly number[]): number[] {
  const known = new Set(classes);
  return (text ?? "")
    .split(",")
    .filter((part) => /^\d+$/.test(part))
    .map(Number)
    .filter((i) => known.has(i));
}

function hiddenFrom(query: URLSearchParams, classes: readonly number[]): Set<number> {
  const only = new Set(indices(query.get("only"), classes));
  if (only.size > 0) return new Set(classes.filter((index) => !only.has(index)));
  return new Set(indices(query.get("hide"), classes));
}

const LONGEST = { text: 1000, like: 4096, find: 4000 } as const;
/** Searches in the address. */
const SEARCHES = [
  ["find", "find"],
  ["q", "text"],
  ["like", "like"],
] as const;

/** The search that an address has. */
export function searchFrom(query: URLSearchParams): SavedSearch | null {
  for (const [name, by] of SEARCHES) {
    const value = query.get(name)?.trim() ?? "";
    if (value !== "" && value.length <= LONGEST[by]) return { by, value };
  }
  return null;
}

/** The part of an address that stands for a search; null: there is none. */
export function searchPart(search: SavedSearch | null): string | null {
  const named = SEARCHES.find(([, by]) => by === search?.by);
  return search && named ? `${named[0]}=${encodeURIComponent(search.value)}` : null;
}

/** Whether a change is a step that Back undoes: another layer, or an example opened or closed; not each move of the map. */
export function isStep(state: MapState, previous: MapState): boolean {
  return state.row !== previous.row || state.layer !== previous.layer;
}

/**
 * The arrangement that an address without `arr` means. A place, another layer or the examples of another map lie at exact
 * places; where nothing of that is asked for, the map is seen as it opens.
 */
function impliedArrangement(state: Pick<MapState, "center" | "layer" | "added">, facts: MapFacts): ArrangementName {
  const asOpened = state.center === null && state.layer === facts.first && state.added === null;
  return asOpened ? facts.firstArrangement : "exact";
}

/** Reads a query string; whatever is missing, malformed or out of range falls back to its default. */
export function parseMapState(search: string, facts: MapFacts): MapState {
  const query = new URLSearchParams(search);
  const [x, y] = (query.get("c") ?? "").split(",");
  const center: [number | null, number | null] = [finite(x), finite(y)];
  const inside = (value: number | null): value is number => value !== null && value >= -1 && value <= 2;
  const zoom = finite(query.get("z") ?? undefined);
  const layer = query.get("layer") ?? "";
  const colormap = query.get("colormap") ?? "";
  const [low, high] = (query.get("range") ?? "").split(",").map(finite);
  const row = /^\d{1,10}$/.test(query.get("row") ?? "") ? Number(query.get("row")) : null;
  const seen = {
    center: inside(center[0]) && inside(center[1]) ? ([center[0], center[1]] as [number, number]) : null,
    layer: facts.layers.includes(layer) ? layer : facts.first,
    added: /^[a-z0-9-]{1,40}$/.test(query.get("with") ?? "") ? query.get("with") : null,
  };
  return {
    ...seen,
    zoom: zoom === null ? null : Math.min(facts.maxZoom, Math.max(-3, zoom)),
    arrangement: facts.arrangements.find((name) => name === query.get("arr")) ?? impliedArrangement(seen, facts),
    colormap: isColormap(colormap) ? colormap : DEFAULT_COLORMAP,
    hidden: hiddenFrom(query, facts.classes),
    range: low != null && high != null && low < high ? [low, high] : null,
    row: row !== null && row < facts.examples ? row : null,
    search: searchFrom(query),
    names: NAMES.find((each) => each === query.get("names")) ?? null,
    selection: fromAddress(query.get("sel")),
    imageSize: SIZES.find((each) => each !== 0 && String(each) === query.get("size")) ?? 0,
  };
}

/** Writes a query string, defaults left out; `parseMapState` reads it back to the same state. */
export function formatMapState(state: MapState, facts: MapFacts): string {
  const parts: string[] = [];
  const zoom = state.zoom ?? 0;
  if (state.center && state.zoom !== null) {
    // A tenth of a screen pixel at this zoom.
    const digits = Math.min(12, Math.max(4, Math.ceil((zoom + 12.4) * Math.log10(2))));
    const [x, y] = state.center.map((value) => Number(value.toFixed(digits)));
    parts.push(`c=${x},${y}`, `z=${Number(zoom.toFixed(3))}`);
  }
  if (state.layer !== facts.first) parts.push(`layer=${encodeURIComponent(state.layer)}`);
  const center = state.zoom === null ? null : state.center;
  if (state.arrangement !== impliedArrangement({ ...state, center }, facts)) parts.push(`arr=${state.arrangement}`);
  if (state.colormap !== DEFAULT_COLORMAP) parts.push(`colormap=${state.colormap}`);
  const shown = facts.classes.filter((index) => !state.hidden.has(index));
  const hidden = facts.classes.filter((index) => state.hidden.has(index));
  if (hidden.length > 0) {
    // The shorter of the two lists.
    parts.push(shown.length > 0 && shown.length < hidden.length ? `only=${shown}` : `hide=${hidden}`);
  }
  if (state.range) parts.push(`range=${state.range.map((value) => Number(value.toPrecision(7)))}`);
  if (state.imageSize !== 0) parts.push(`size=${state.imageSize}`);
  if (state.row !== null) parts.push(`row=${state.row}`);
  const search = searchPart(state.search);
  if (search) parts.push(search);
  if (state.added !== null) parts.push(`with=${state.added}`);
  if (state.names) parts.push(`names=${state.names}`);
  const selection = toAddress(state.selection);
  if (selection) parts.push(`sel=${encodeURIComponent(selection)}`);
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}
