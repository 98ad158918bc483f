/** An image to zoom and move in, pixel by pixel: wheel, drag, two fingers, keys. */

import { onTheme } from "../app/theme";
import { h } from "../lib/dom";

export interface View {
  /** Screen pixels per pixel of the image. */
  scale: number;
  /** Screen position of the image's corner. */
  x: number;
  y: number;
}

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

type Size = readonly [width: number, height: number];
type Point = readonly [x: number, y: number];

const MOST_SCALE = 96;
const KEY_STEP_PX = 60;
const ZOOM_STEP = 1.4;
const CLICK_PX = 4;

/** The view that shows all of the image in the middle of the screen. */
export function fitted(image: Size, screen: Size): View {
  const scale = Math.min(MOST_SCALE, screen[0] / image[0], screen[1] / image[1]);
  return { scale, x: (screen[0] - scale * image[0]) / 2, y: (screen[1] - scale * image[1]) / 2 };
}

/** The view zoomed by a factor, with the point of the screen in its place. */
export function zoomed(view: View, factor: number, at: Point, least: number): View {
  const scale = Math.min(MOST_SCALE, Math.max(least, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: at[0] - by * (at[0] - view.x), y: at[1] - by * (at[1] - view.y) };
}

/** The view moved as little as needed for the image to stay in sight: no edge beyond the middle. */
export function kept(view: View, image: Size, screen: Size): View {
  const clamp = (at: number, px: number, room: number) => Math.min(room / 2, Math.max(room / 2 - px, at));
  return {
    scale: view.scale,
    x: clamp(view.x, view.scale * image[0], screen[0]),
    y: clamp(view.y, view.scale * image[1], screen[1]),
  };
}

/** The pixel of the image at a point of the screen. */
export function pixelAt(view: View, at: Point): [number, number] {
  return [(at[0] - view.x) / view.scale, (at[1] - view.y) / view.scale];
}

export interface ZoomActions {
  /** The pixel under the pointer, and where that is on the screen; null: the pointer left. */
  onHover(pixel: [number, number] | null, at: Point): void;
  onPick?(pixel: [number, number]): void;
}

export class Zoomable {
  readonly element = h("div", {
    class: "zoomable",
    role: "application",
    tabIndex: 0,
    label: "Image. Plus and minus zoom, arrow keys move, zero shows all of it.",
    testid: "zoomable",
  });
  private readonly canvas = h("canvas", { attrs: { "aria-hidden": "true" } });
  private readonly context = this.canvas.getContext("2d")!;
  private readonly sized: ResizeObserver;
  private readonly endTheme: () => void;
  private readonly pointers = new Map<number, Point>();
  private image: HTMLImageElement | null = null;
  private view: View = { scale: 1, x: 0, y: 0 };
  private untouched = true;
  private marked: Box | null = null;
  private pressed: Point | null = null;
  private frame = 0;

  constructor(private readonly actions: ZoomActions) {
    this.element.append(this.canvas);
    this.sized = new ResizeObserver(() => this.resize());
    this.sized.observe(this.element);
    this.endTheme = onTheme(() => this.paint());
    this.element.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.element.addEventListener("pointerdown", (event) => this.onDown(event));
    this.element.addEventListener("pointermove", (event) => this.onMove(event));
    for (const name of ["pointerup", "pointercancel"] as const)
      this.element.addEventListener(name, (event) => this.onUp(event));
    this.element.addEventListener("pointerleave", () => actions.onHover(null, [0, 0]));
    this.element.addEventListener("dblclick", (event) => this.zoom(ZOOM_STEP ** 2, this.place(event)));
    this.element.addEventListener("keydown", (event) => {
      if (this.onKey(event.key)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  destroy(): void {
    this.sized.disconnect();
    this.endTheme();
    window.cancelAnimationFrame(this.frame);
  }

  /** Shows a loaded image; of the size of the one before, in the same view. */
  show(image: HTMLImageElement): void {
    const same = this.image?.naturalWidth === image.naturalWidth && this.image.naturalHeight === image.naturalHeight;
    this.image = image;
    if (!same || this.untouched) this.fit();
    this.paint();
  }

  /** Draws a line around a part of the image. */
  mark(box: Box | null): void {
    this.marked = box;
    this.paint();
  }

  /** Brings a part of the image to the middle, as large as a third of the screen. */
  goTo(box: Box): void {
    const [width, height] = this.screen;
    const scale = Math.min(MOST_SCALE, Math.max(this.least, Math.min(width / box.width, height / box.height) / 3));
    this.untouched = false;
    this.view = {
      scale,
      x: width / 2 - scale * (box.left + box.width / 2),
      y: height / 2 - scale * (box.top + box.height / 2),
    };
    this.mark(box);
  }

  private get size(): Size {
    return [this.image?.naturalWidth || 1, this.image?.naturalHeight || 1];
  }

  private get screen(): Size {
    return [this.element.clientWidth || 1, this.element.clientHeight || 1];
  }

  private get least(): number {
    return Math.min(1, fitted(this.size, this.screen).scale);
  }

  private fit(): void {
    this.untouched = true;
    this.view = fitted(this.size, this.screen);
  }

  private resize(): void {
    const [width, height] = this.screen;
    const ratio = window.devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    if (this.untouched) this.fit();
    this.paint();
  }

  private zoom(factor: number, at: Point): void {
    this.untouched = false;
    this.view = kept(zoomed(this.view, factor, at, this.least), this.size, this.screen);
    this.paint();
  }

  private moveBy(x: number, y: number): void {
    this.untouched = false;
    this.view = kept({ ...this.view, x: this.view.x + x, y: this.view.y + y }, this.size, this.screen);
    this.paint();
  }

  private paint(): void {
    window.cancelAnimationFrame(this.frame);
    this.frame = window.requestAnimationFrame(() => this.draw());
  }

  private draw(): void {
    const { context, view, image } = this;
    const ratio = window.devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!image) return;
    context.setTransform(ratio * view.scale, 0, 0, ratio * view.scale, ratio * view.x, ratio * view.y);
    // Single values stay single squares; only an image that is reduced is smoothed.
    context.imageSmoothingEnabled = ratio * view.scale < 1;
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0);
    if (!this.marked) return;
    const { left, top, width, height } = this.marked;
    const line = 2 / view.scale;
    context.lineWidth = line;
    context.strokeStyle = getComputedStyle(this.element).getPropertyValue("--mark-line") || "#ff9469";
    context.strokeRect(left - line / 2, top - line / 2, width + line, height + line);
  }

  private place(event: MouseEvent): Point {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left - this.element.clientLeft, event.clientY - box.top - this.element.clientTop];
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    this.zoom(Math.exp(-0.002 * lines * event.deltaY), this.place(event));
  }

  private onDown(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.pressed = this.pointers.size === 1 ? this.place(event) : null;
  }

  private onMove(event: PointerEvent): void {
    const now = this.place(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.actions.onHover(this.image && pixelAt(this.view, now), now);
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    this.pointers.set(event.pointerId, now);
    if (other) {
      const far = (point: Point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1;
      this.zoom(far(now) / far(before), other);
    } else this.moveBy(now[0] - before[0], now[1] - before[1]);
    if (this.pressed && Math.hypot(now[0] - this.pressed[0], now[1] - this.pressed[1]) > CLICK_PX) this.pressed = null;
  }

  private onUp(event: PointerEvent): void {
    this.pointers.delete(event.pointerId);
    if (this.pressed && this.image) this.actions.onPick?.(pixelAt(this.view, this.pressed));
    this.pressed = null;
  }

  private onKey(key: string): boolean {
    const [width, height] = this.screen;
    const middle: Point = [width / 2, height / 2];
    const moves: Record<string, Point> = {
      ArrowLeft: [KEY_STEP_PX, 0],
      ArrowRight: [-KEY_STEP_PX, 0],
      ArrowUp: [0, KEY_STEP_PX],
      ArrowDown: [0, -KEY_STEP_PX],
    };
    const move = moves[key];
    // While all of the image is in sight, arrow keys are the page's: before and next.
    if (move && this.untouched) return false;
    if (move) this.moveBy(...move);
    else if (key === "+" || key === "=") this.zoom(ZOOM_STEP, middle);
    else if (key === "-") this.zoom(1 / ZOOM_STEP, middle);
    else if (key === "0") {
      this.fit();
      this.paint();
    } else return false;
    return true;
  }
}

/** An image that has loaded; rejects where it cannot be read. */
export async function loadImage(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error("The image cannot be read.");
  }
  return image;
}
