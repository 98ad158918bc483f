/**
 * All that a search found, on the map: everything else is dimmed, but what is selected. Drawn on a canvas; no object
 * per mark.
 */

import Layer from "ol/layer/Layer";
import type { FrameState } from "ol/Map";
import type { FindAnswer, FoundMarks } from "../api/types";
import type { Theme } from "../tiles/colormaps";
import type { Dimming } from "./dimming";
import { WORLD, zoomOf } from "./grid";

const INK = {
  dark: { veil: "rgba(8,10,13,0.66)", ring: "#ffb454", halo: "rgba(8,10,13,0.8)" },
  light: { veil: "rgba(250,250,248,0.74)", ring: "#b4410e", halo: "rgba(255,255,255,0.9)" },
} as const;
const MANY = 1500;
const LARGEST_PX = 26;

/** Places as the service packs them, or as they are. */
type Numbers = string | Float32Array;

/** What is marked: places in the unit square, and in the filled grid where they are known. */
export interface Marked {
  count: number;
  x: Numbers;
  y: Numbers;
  grid_x?: Numbers | null;
  grid_y?: Numbers | null;
}

/** The marks of an answer; null: it found nothing. */
export function marksOf({ total, marks }: FindAnswer): FoundMarks | null {
  return total > 0 ? marks : null;
}

/** Places on the plane in an arrangement of the map, x and y in turn. */
export function planePlaces(marks: Marked, arrangement: string): Float64Array {
  const { grid_x: gridX, grid_y: gridY } = marks;
  const inGrid = arrangement === "grid" && gridX != null && gridY != null;
  const [x, y] = inGrid ? [floats(gridX), floats(gridY)] : [floats(marks.x), floats(marks.y)];
  const places = new Float64Array(2 * marks.count);
  for (let i = 0; i < marks.count; i += 1) {
    places[2 * i] = x[i]! * WORLD;
    places[2 * i + 1] = WORLD - y[i]! * WORLD;
  }
  return places;
}

function floats(text: Numbers): Float32Array {
  if (typeof text !== "string") return text;
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** Places on the screen, in whole pixels: of those that are nearer than `step` to one another, one. */
export function pixelPlaces(
  places: Float64Array,
  transform: readonly number[],
  size: readonly number[],
  step: number,
): number[] {
  const [width, height] = size as [number, number];
  const [a, b, c, d, e, f] = transform as [number, number, number, number, number, number];
  const columns = Math.ceil((width + 2 * LARGEST_PX) / step) + 1;
  const taken = new Uint8Array(columns * (Math.ceil((height + 2 * LARGEST_PX) / step) + 1));
  const pixels: number[] = [];
  for (let i = 0; i < places.length; i += 2) {
    const [x, y] = [places[i]!, places[i + 1]!];
    const px = a * x + c * y + e;
    const py = b * x + d * y + f;
    if (px < -LARGEST_PX || py < -LARGEST_PX || px > width + LARGEST_PX || py > height + LARGEST_PX) continue;
    const cell = Math.floor((px + LARGEST_PX) / step) + columns * Math.floor((py + LARGEST_PX) / step);
    if (taken[cell]) continue;
    taken[cell] = 1;
    pixels.push(px, py);
  }
  return pixels;
}

export class FindMarks {
  readonly olLayer: Layer;
  private marks: Marked | null = null;
  private arrangement = "exact";
  private places: Float64Array | null = null;
  private theme: Theme = "dark";
  private readonly canvas = document.createElement("canvas");

  constructor(
    private readonly deepest: number,
    private readonly dimming: Dimming,
  ) {
    this.canvas.className = "find-marks";
    this.olLayer = new Layer({ render: (frame) => this.render(frame), zIndex: 9, visible: false });
    dimming.onChange(() => this.olLayer.changed());
  }

  /** Marks what was found; null: the map is as it was. */
  show(marks: Marked | null, theme: Theme): void {
    this.marks = marks;
    this.places = marks && planePlaces(marks, this.arrangement);
    this.theme = theme;
    this.olLayer.setVisible(marks !== null);
    this.dimming.find(marks && ((context, frame) => this.open(context, frame)));
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.olLayer.changed();
  }

  /** Marks the same examples where another arrangement has them. */
  arrange(arrangement: string): void {
    if (arrangement === this.arrangement) return;
    this.arrangement = arrangement;
    this.places = this.marks && planePlaces(this.marks, arrangement);
    this.dimming.find(this.marks && ((context, frame) => this.open(context, frame)));
  }

  private radius(zoom: number): number {
    const least = (this.places?.length ?? 0) / 2 > MANY ? 3.5 : 5;
    return Math.min(LARGEST_PX, least * 2 ** Math.max(0, zoom - this.deepest + 1));
  }

  private render(frame: FrameState): HTMLElement {
    const { canvas } = this;
    const [width, height] = frame.size as [number, number];
    const ratio = frame.pixelRatio;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    if (!context || !this.places) return canvas;
    context.scale(ratio, ratio);
    const ink = INK[this.theme];
    if (!this.dimming.bySelection) {
      context.fillStyle = ink.veil;
      context.fillRect(0, 0, width, height);
      this.open(context, frame);
    }
    const [radius, pixels] = this.onScreen(frame);
    for (const [color, line] of [
      [ink.halo, 2.5],
      [ink.ring, 1.25],
    ] as const) {
      context.strokeStyle = color;
      context.lineWidth = line;
      dots(context, pixels, radius);
      context.stroke();
    }
    return canvas;
  }

  private onScreen(frame: FrameState): [radius: number, pixels: number[]] {
    const radius = this.radius(zoomOf(frame.viewState.resolution));
    const places = this.places ?? new Float64Array();
    return [radius, pixelPlaces(places, frame.coordinateToPixelTransform, frame.size, radius / 2)];
  }

  /** Opens a veil where marks are. */
  private open(context: CanvasRenderingContext2D, frame: FrameState): void {
    const [radius, pixels] = this.onScreen(frame);
    context.globalCompositeOperation = "destination-out";
    context.fillStyle = "#000";
    dots(context, pixels, radius);
    context.fill();
    context.globalCompositeOperation = "source-over";
  }
}

/** One path of circles. */
function dots(context: CanvasRenderingContext2D, pixels: readonly number[], radius: number): void {
  context.beginPath();
  for (let i = 0; i < pixels.length; i += 2) {
    context.moveTo(pixels[i]! + radius, pixels[i + 1]!);
    context.arc(pixels[i]!, pixels[i + 1]!, radius, 0, 2 * Math.PI);
  }
}
