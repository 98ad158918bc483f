/**
 * The selected points on the map: all that is neither selected nor found lies beneath a veil, with a hole for each point
 * that is.
 * Positions come from the service, at most 100,000 in sight; they are drawn pixel by pixel, without an object each.
 */

import Layer from "ol/layer/Layer";
import type { FrameState } from "ol/Map";
import type { Theme } from "../tiles/colormaps";
import { pack } from "../tiles/colormaps";
import type { Dimming } from "./dimming";
import { WORLD } from "./grid";
import type { PlacedRow } from "./image-layer";

export interface Marks {
  count: number;
  /** Unit square, y down. */
  x: Float32Array;
  y: Float32Array;
  row: Uint32Array;
}

const BYTES_PER_MARK = 12;
const VEIL = { dark: pack(12, 14, 17, 196), light: pack(246, 244, 239, 206) } as const;

/** Reads positions: uint32 n, float32 x[n], float32 y[n], uint32 row[n]. */
export function parseMarks(buffer: ArrayBuffer): Marks {
  const count = buffer.byteLength >= 4 ? new DataView(buffer).getUint32(0, true) : -1;
  if (count < 0 || buffer.byteLength !== 4 + count * BYTES_PER_MARK) {
    throw new RangeError(`${buffer.byteLength} bytes cannot hold ${count} marks`);
  }
  const at = (column: number) => 4 + 4 * column * count;
  return {
    count,
    x: new Float32Array(buffer, at(0), count),
    y: new Float32Array(buffer, at(1), count),
    row: new Uint32Array(buffer, at(2), count),
  };
}

/** How the unit square lies on the canvas: pixel = offset + scale × place. */
export interface Placed {
  width: number;
  height: number;
  scale: number;
  left: number;
  top: number;
}

type Box = readonly [left: number, top: number, right: number, bottom: number];

/** Fills a rectangle of the unit square with a color. */
export function fillBox(out: Uint32Array, { width, height, scale, left, top }: Placed, box: Box, color: number): void {
  const from = Math.max(0, Math.round(left + scale * box[0]));
  const to = Math.min(width, Math.round(left + scale * box[2]));
  const last = Math.min(height, Math.round(top + scale * box[3]));
  if (from >= to) return;
  for (let y = Math.max(0, Math.round(top + scale * box[1])); y < last; y += 1)
    out.fill(color, y * width + from, y * width + to);
}

/** Leaves a hole of half side `half`, in pixels, around each mark. */
export function openMarks(out: Uint32Array, placed: Placed, marks: Marks, half: number): void {
  const { width, height, scale, left, top } = placed;
  for (let i = 0; i < marks.count; i += 1) {
    const [cx, cy] = [left + scale * marks.x[i]!, top + scale * marks.y[i]!];
    if (cx + half < 0 || cy + half < 0 || cx - half >= width || cy - half >= height) continue;
    const last = Math.min(height - 1, Math.round(cy + half) - 1);
    for (let y = Math.max(0, Math.round(cy - half)); y <= last; y += 1) {
      const from = Math.max(0, Math.round(cx - half));
      const to = Math.min(width, Math.max(from + 1, Math.round(cx + half)));
      out.fill(0, y * width + from, y * width + to);
    }
  }
}

/** What is drawn on the map: half the side of a mark in screen pixels, and the images, in the order of painting. */
export interface Drawn {
  half: number;
  images: readonly PlacedRow[];
}

export class Veil {
  readonly olLayer: Layer;
  private readonly canvas = document.createElement("canvas");
  private marks: Marks | null = null;
  private rows: ReadonlySet<number> = new Set();
  private theme: Theme;

  constructor(
    theme: Theme,
    private readonly dimming: Dimming,
    private readonly drawn: () => Drawn,
  ) {
    this.theme = theme;
    this.canvas.className = "selection-veil";
    this.olLayer = new Layer({ zIndex: 5, visible: false, render: (frame) => this.draw(frame) });
    dimming.onChange(() => this.olLayer.changed());
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    this.olLayer.changed();
  }

  /** Shows what is selected; null: nothing is, and there is no veil. */
  show(marks: Marks | null): void {
    this.marks = marks;
    this.rows = new Set(marks?.row);
    this.olLayer.setVisible(marks !== null);
    this.dimming.select(marks !== null);
  }

  private draw(frame: FrameState | null): HTMLElement {
    const context = this.canvas.getContext("2d");
    if (!frame || !context || !this.marks) return this.canvas;
    const ratio = frame.pixelRatio;
    const [width, height] = frame.size.map((side) => Math.round(side * ratio)) as [number, number];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    const { center, resolution } = frame.viewState;
    const scale = (WORLD / resolution) * ratio;
    const left = width / 2 - (center[0]! / WORLD) * scale;
    const top = height / 2 - (1 - center[1]! / WORLD) * scale;
    const pixels = new ImageData(width, height);
    const placed = { width, height, scale, left, top };
    const out = new Uint32Array(pixels.data.buffer);
    const { half, images } = this.drawn();
    const veil = VEIL[this.theme];
    out.fill(veil);
    for (const { row, x, y, width, height } of images)
      fillBox(out, placed, [x, y, x + width, y + height], this.rows.has(row) ? 0 : veil);
    openMarks(out, placed, this.marks, Math.max(1, half * ratio));
    context.putImageData(pixels, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.dimming.open(context, frame);
    return this.canvas;
  }
}
