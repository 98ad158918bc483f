/** Examples on their way between maps: a dot of the color of its class for each, pixel by pixel, without an object each. */

import Layer from "ol/layer/Layer";
import type { FrameState } from "ol/Map";
import { WORLD, zoomOf } from "../map/grid";
import { pack } from "../tiles/colormaps";
import { dotsAt } from "../tiles/dots";
import type { Moment } from "./moves";

/** Of examples that are not selected. */
const FAINT = 0.16;
const LEAST_RADIUS = 0.9;
const LARGEST_RADIUS = 14;

export interface Drawing {
  moment: Moment;
  /** Red, green, blue of each example. */
  colors: Uint8Array;
  /** Whether an example is selected; null: nothing is. */
  selected: Uint8Array | null;
}

/** How the unit square lies on the canvas: pixel = left + scale × x. */
export interface Placed {
  width: number;
  height: number;
  scale: number;
  left: number;
  top: number;
}

/** Pixels of a disc around its middle, with the part of each that it covers. */
export function disc(radius: number): readonly [dx: number, dy: number, cover: number][] {
  const reach = Math.ceil(radius);
  const pixels: [number, number, number][] = [];
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (cover > 0) pixels.push([dx, dy, cover]);
    }
  }
  return pixels;
}

/** Paints the dots over what `out` has, four bytes a pixel. */
export function paintDots(
  out: Uint8ClampedArray,
  placed: Placed,
  { moment, colors, selected }: Drawing,
  radius: number,
) {
  const pixels = disc(radius);
  const { width, height, scale, left, top } = placed;
  for (let i = 0; i < moment.x.length; i += 1) {
    const strength = moment.shown[i]! * (selected && !selected[i] ? FAINT : 1);
    if (strength === 0) continue;
    const [cx, cy] = [Math.round(left + scale * moment.x[i]!), Math.round(top + scale * moment.y[i]!)];
    if (cx < -radius || cy < -radius || cx > width + radius || cy > height + radius) continue;
    for (const [dx, dy, cover] of pixels) {
      const [x, y] = [cx + dx, cy + dy];
      if (x < 0 || y < 0 || x >= width || y >= height) continue;
      const at = 4 * (y * width + x);
      const part = cover * strength;
      for (let c = 0; c < 3; c += 1) out[at + c]! += (colors[3 * i + c]! - out[at + c]!) * part;
    }
  }
}

export class MorphLayer {
  readonly olLayer: Layer;
  private readonly canvas = document.createElement("canvas");
  private drawing: Drawing | null = null;
  /** Index of the example that is ringed; -1: none. */
  private ringed = -1;
  private background: readonly number[] = [0, 0, 0];
  private ink = "#fff";

  constructor() {
    this.canvas.className = "morph-canvas";
    this.olLayer = new Layer({ render: (frame) => this.render(frame) });
  }

  setTheme(background: readonly number[], ink: string): void {
    this.background = background;
    this.ink = ink;
    this.olLayer.changed();
  }

  show(drawing: Drawing): void {
    this.drawing = drawing;
    this.olLayer.changed();
  }

  ring(index: number): void {
    this.ringed = index;
    this.olLayer.changed();
  }

  private render(frame: FrameState): HTMLElement {
    const { canvas, drawing } = this;
    const ratio = frame.pixelRatio;
    const [width, height] = frame.size.map((side) => Math.round(side * ratio)) as [number, number];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    if (!context || !drawing || width === 0 || height === 0) return canvas;
    const { center, resolution } = frame.viewState;
    const scale = (WORLD / resolution) * ratio;
    const left = width / 2 - (center[0]! / WORLD) * scale;
    const placed = { width, height, scale, left, top: height / 2 - (1 - center[1]! / WORLD) * scale };
    const pixels = new ImageData(width, height);
    const [r, g, b] = this.background as [number, number, number];
    new Uint32Array(pixels.data.buffer).fill(pack(r, g, b, 255));
    paintDots(pixels.data, placed, drawing, this.radius(drawing.moment.x.length, zoomOf(resolution)) * ratio);
    context.putImageData(pixels, 0, 0);
    if (this.ringed >= 0) this.paintRing(context, placed, drawing.moment, ratio);
    return canvas;
  }

  /** As the dots of a map are drawn. */
  private radius(examples: number, zoom: number): number {
    const { radius, scale } = dotsAt(examples, Math.round(zoom), 0, 1);
    return Math.min(LARGEST_RADIUS, Math.max(LEAST_RADIUS, radius / scale));
  }

  private paintRing(context: CanvasRenderingContext2D, placed: Placed, moment: Moment, ratio: number): void {
    const [x, y] = [
      placed.left + placed.scale * moment.x[this.ringed]!,
      placed.top + placed.scale * moment.y[this.ringed]!,
    ];
    context.beginPath();
    context.arc(x, y, 10 * ratio, 0, 2 * Math.PI);
    context.strokeStyle = this.ink;
    context.lineWidth = 2.25 * ratio;
    context.stroke();
  }
}
