/**
 * Texts on the map, beneath the dots of their examples: where the view is deep enough that few points are in
 * sight, those that have room. Text becomes a text node and nothing else; its direction is its own. At most
 * `MOST` boxes; they are chosen by row, so that the same view shows the same ones.
 */

import type OlMap from "ol/Map";
import { unByKey } from "ol/Observable";
import type { MapInfo } from "../api/types";
import { fill, h } from "../lib/dom";
import type { Picker } from "./picker";
import type { Accepts, Point } from "./points";
import type { Texts } from "./texts";

const MOST = 60;
/** Largest box of a text, as the style sheet has it, in pixels; the gap is between two. */
export const BOX: readonly [width: number, height: number] = [168, 54];
const GAP_PX = 4;

export interface Placed {
  point: Point;
  /** The dot, in pixels of the map's element. */
  x: number;
  y: number;
}

/** Those of the points whose boxes do not overlap, by row; at most `most`. */
export function choose(placed: readonly Placed[], most = MOST): Placed[] {
  const [width, height] = [BOX[0] + GAP_PX, BOX[1] + GAP_PX];
  const chosen: Placed[] = [];
  for (const each of placed.toSorted((a, b) => a.point.row - b.point.row)) {
    if (chosen.length === most) break;
    if (chosen.every(({ x, y }) => Math.abs(x - each.x) >= width || Math.abs(y - each.y) >= height)) chosen.push(each);
  }
  return chosen;
}

/** What the labels need of the map's stage. */
export interface LabelStage {
  olMap: OlMap;
  zoom(): number;
  /** Pixels of a place of the unit square, and back. */
  pixelOf(x: number, y: number): [number, number] | null;
  placeOf(pixel: [number, number]): [number, number] | null;
}

export interface LabelParts extends LabelStage {
  picker: Pick<Picker, "within">;
  accepts: Accepts;
  texts: Pick<Texts, "get">;
  /** The view zoom from which on texts are shown. */
  from: number;
}

/** Labels over the element of a map. */
export function labelsOver(target: HTMLElement, parts: Omit<LabelParts, "from"> & { picker: Picker }): TextLabels {
  const labels = new TextLabels({ ...parts, from: textsFrom(parts.picker.info) });
  target.append(labels.element);
  return labels;
}

export class TextLabels {
  readonly element = h("div", { class: "text-labels", testid: "text-labels", attrs: { "aria-hidden": "true" } });
  private shown: { point: Point; box: HTMLElement }[] = [];
  private readonly keys;
  private turn = 0;

  constructor(private readonly parts: LabelParts) {
    this.keys = [
      parts.olMap.on("moveend", () => void this.update()),
      parts.olMap.on("postrender", () => this.follow()),
    ];
  }

  destroy(): void {
    this.turn += 1;
    for (const key of this.keys) unByKey(key);
  }

  /** Chooses anew what is shown: the view or the hidden classes have changed. */
  async update(): Promise<void> {
    const turn = ++this.turn;
    const placed = await this.inSight().catch(() => []);
    if (turn !== this.turn) return;
    const chosen = choose(placed);
    const said = await Promise.all(chosen.map(({ point }) => this.parts.texts.get(point.row).catch(() => null)));
    if (turn !== this.turn) return;
    this.shown = chosen.flatMap(({ point }, i) => {
      const text = said[i];
      return text ? [{ point, box: h("p", { attrs: { dir: "auto" }, testid: "text-label" }, text) }] : [];
    });
    fill(this.element, ...this.shown.map(({ box }) => box));
    this.follow();
  }

  private async inSight(): Promise<Placed[]> {
    const { parts } = this;
    const [width, height] = parts.olMap.getSize() ?? [0, 0];
    const [first, last] = [parts.placeOf([0, 0]), parts.placeOf([width!, height!])];
    if (parts.zoom() < parts.from || !first || !last) return [];
    const points = await parts.picker.within(first[0], first[1], last[0], last[1]);
    return points.flatMap((point) => {
      const pixel = parts.accepts(point.label) ? parts.pixelOf(point.x, point.y) : null;
      if (!pixel || pixel[0] < 0 || pixel[1] < 0 || pixel[0] > width! || pixel[1] > height!) return [];
      return [{ point, x: pixel[0], y: pixel[1] }];
    });
  }

  private follow(): void {
    for (const { point, box } of this.shown) {
      const pixel = this.parts.pixelOf(point.x, point.y);
      if (pixel)
        box.style.transform = `translate(${Math.round(pixel[0])}px, ${Math.round(pixel[1])}px) translateX(-50%)`;
    }
  }
}

/** The view zoom from which on texts are shown: where a few dozen points are in sight of a screen. */
export function textsFrom({ points_zoom }: Pick<MapInfo, "points_zoom">): number {
  return points_zoom + 1;
}
