/** The overview map: the whole square with the frame of what is in view; drag it to move. */

import type { EventsKey } from "ol/events";
import { unByKey } from "ol/Observable";
import { h } from "../lib/dom";
import { createContext } from "../tiles/archive";
import { WORLD } from "./grid";
import type { Stage } from "./stage";

const SIZE_PX = 136;
const LEAST_FRAME_PX = 7;

export class Overview {
  readonly element = h("div", { class: "overview card", testid: "overview", label: "Overview map", role: "img" });
  private readonly frame = h("div", { class: "overview-frame" });
  private readonly image = h("canvas", { attrs: { "aria-hidden": "true" } });

  private keys: EventsKey[] = [];

  constructor(private readonly stage: Stage) {
    const scale = Math.min(2, Math.max(1, Math.round(window.devicePixelRatio)));
    this.image.width = SIZE_PX * scale;
    this.image.height = SIZE_PX * scale;
    this.element.append(this.image, this.frame);
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.moveTo(event);
    });
    this.element.addEventListener("pointermove", (event) => {
      if (this.element.hasPointerCapture(event.pointerId)) this.moveTo(event);
    });
  }

  /** Follows the view from now on. */
  start(): void {
    this.keys = [
      this.stage.view.on("change", () => this.follow()),
      this.stage.olMap.on("moveend", () => this.follow()),
      this.stage.olMap.on("change:size", () => this.follow()),
    ];
  }

  destroy(): void {
    unByKey(this.keys);
  }

  private moveTo(event: PointerEvent): void {
    const box = this.image.getBoundingClientRect();
    const clamp = (value: number) => Math.min(1, Math.max(0, value));
    this.stage.view.cancelAnimations();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    this.stage.moveTo(clamp(x), clamp(y), this.stage.zoom);
  }

  /** Draws the square in the present colors. */
  async repaint(): Promise<void> {
    this.follow();
    const pixels = await this.stage.paintOverview();
    const context = this.image.getContext("2d");
    if (!pixels || !context) return;
    const whole = createContext(WORLD, false);
    whole.putImageData(pixels, 0, 0);
    context.clearRect(0, 0, this.image.width, this.image.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(whole.canvas, 0, 0, this.image.width, this.image.height);
  }

  /** Moves the frame to the view. */
  follow(): void {
    const size = this.stage.olMap.getSize();
    if (!size) return;
    const span = 2 ** -this.stage.zoom / WORLD;
    const [width, height] = [size[0]! * span * SIZE_PX, size[1]! * span * SIZE_PX];
    const [cx, cy] = this.stage.center;
    const place = (center: number, extent: number): [number, number] => {
      const side = Math.max(LEAST_FRAME_PX, extent);
      const low = Math.max(-1, center * SIZE_PX - side / 2);
      return [low, Math.min(SIZE_PX + 1, center * SIZE_PX + side / 2) - low];
    };
    const [left, w] = place(cx, width);
    const [top, t] = place(cy, height);
    this.frame.style.transform = `translate(${left}px, ${top}px)`;
    this.frame.style.width = `${Math.max(LEAST_FRAME_PX, w)}px`;
    this.frame.style.height = `${Math.max(LEAST_FRAME_PX, t)}px`;
    this.element.classList.toggle("whole", w > SIZE_PX && t > SIZE_PX);
  }
}
