/** What is seen while the arrangement changes: sprites on their way, or a fading view of how it was. */

import type OlMap from "ol/Map";
import { h } from "../lib/dom";
import { WORLD } from "./grid";
import type { PlacedRow } from "./image-layer";

export const MOVE_MS = 600;
const FADE_MS = 260;
/** Tiles that are not there by then are seen when they come. */
const LONGEST_WAIT_MS = 1500;

/** Left, top, width and height in pixels of the map's element. */
type Screen = readonly [left: number, top: number, width: number, height: number];

/** An image on its way over the screen. */
export interface Moved {
  from: Screen;
  to: Screen;
}

/** The way of an image to a pixel of the screen that is its center then, in a view of that zoom. */
export function moved(image: PlacedRow & { screen: Screen }, at: [number, number], zoom: number): Moved {
  const [, , width, height] = image.screen;
  const grown = (image.width * WORLD * 2 ** zoom) / width;
  const [w, t] = [width * grown, height * grown];
  return { from: image.screen, to: [at[0] - w / 2, at[1] - t / 2, w, t] };
}

/** The map as it was drawn last, on a canvas that lies over it. */
export class Snapshot {
  private readonly drawn: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D;
  private removed = false;

  private constructor(
    readonly element: HTMLCanvasElement,
    private readonly viewport: HTMLElement,
    readonly ratio: number,
  ) {
    this.drawn = document.createElement("canvas");
    this.drawn.width = element.width;
    this.drawn.height = element.height;
    this.context = element.getContext("2d")!;
  }

  /** Of the map in `target`; null before it was drawn. */
  static of(target: HTMLElement): Snapshot | null {
    const viewport = target.querySelector<HTMLElement>(".ol-viewport");
    const canvases = [...target.querySelectorAll<HTMLCanvasElement>(".ol-layers canvas")];
    const { clientWidth, clientHeight } = target;
    if (!viewport || canvases.length === 0 || clientWidth === 0) return null;
    const ratio = canvases[0]!.width / clientWidth || 1;
    const element = h("canvas", { class: "arrangement-motion", attrs: { "aria-hidden": "true" } });
    element.width = Math.round(clientWidth * ratio);
    element.height = Math.round(clientHeight * ratio);
    const made = new Snapshot(element, viewport, ratio);
    const into = made.drawn.getContext("2d");
    if (!into || !made.context) return null;
    for (const canvas of canvases) {
      if (canvas.width === 0) continue;
      const style = canvas.parentElement?.style.opacity;
      into.globalAlpha = style ? Number(style) : 1;
      into.drawImage(canvas, 0, 0, element.width, element.height);
    }
    made.context.drawImage(made.drawn, 0, 0);
    viewport.after(element);
    viewport.style.opacity = "0";
    return made;
  }

  /** Draws each part of the snapshot where it is on its way, `part` 0 to 1. */
  paintMoved(moves: readonly { from: Screen; to: Screen }[], part: number): void {
    const { context, element, ratio } = this;
    context.clearRect(0, 0, element.width, element.height);
    for (const { from, to } of moves) {
      const [x, y, width, height] = from.map((value, i) => ratio * (value + (to[i]! - value) * part)) as number[];
      const [left, top, w, t] = from.map((value) => ratio * value) as number[];
      context.drawImage(this.drawn, left!, top!, w!, t!, x!, y!, width!, height!);
    }
  }

  /** How much the map beneath and the snapshot are seen. */
  blend(beneath: number): void {
    if (this.removed) return;
    this.viewport.style.opacity = String(beneath);
    this.element.style.opacity = String(1 - Math.max(0, 2 * beneath - 1));
  }

  remove(): void {
    if (this.removed) return;
    this.removed = true;
    this.element.remove();
    this.viewport.style.opacity = "";
  }
}

/** Slow at both ends. */
export function eased(part: number): number {
  return part < 0.5 ? 4 * part ** 3 : 1 - (2 - 2 * part) ** 3 / 2;
}

/** Calls `frame` with 0 to 1 over `ms`; resolves at its end. */
function animate(ms: number, frame: (part: number) => void): Promise<void> {
  return new Promise((resolve) => {
    const start = performance.now();
    const step = (now: number): void => {
      const part = Math.min(1, Math.max(0, (now - start) / ms));
      frame(part);
      if (part < 1) requestAnimationFrame(step);
      else resolve();
    };
    requestAnimationFrame(step);
  });
}

/** When the map has drawn all that it loads. */
function complete(olMap: OlMap): Promise<void> {
  return new Promise((resolve) => {
    const wait = window.setTimeout(resolve, LONGEST_WAIT_MS);
    olMap.once("rendercomplete", () => {
      window.clearTimeout(wait);
      resolve();
    });
    olMap.render();
  });
}

/** Moves images to their places in the view that is shown now, then shows the map there. */
export async function moveImages(snapshot: Snapshot, moves: readonly Moved[], olMap: OlMap): Promise<void> {
  const drawn = complete(olMap);
  await animate(MOVE_MS, (part) => snapshot.paintMoved(moves, eased(part)));
  await drawn;
  await animate(FADE_MS, (part) => snapshot.blend(part));
  snapshot.remove();
}

/** Lets the map appear, and what was seen before go. */
export async function crossFade(snapshot: Snapshot, olMap: OlMap): Promise<void> {
  await complete(olMap);
  await animate(FADE_MS + 140, (part) => snapshot.blend(part));
  snapshot.remove();
}
