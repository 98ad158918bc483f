/** The pointer, or the cross at the center for the keyboard: hover and open. */

import type { MapBrowserEvent } from "ol";
import { unByKey } from "ol/Observable";
import { h } from "../lib/dom";
import { toUnit } from "./grid";
import type { HoverCard } from "./hover";
import type { Picker } from "./picker";
import { REACH_PX } from "./picker";
import type { Accepts, Point } from "./points";
import type { Stage } from "./stage";

/** The keyboard has no fine aim: the cross reaches further than the pointer. */
const CROSS_REACH_PX = 48;
const TOUCH_REACH_PX = 24;

export interface CursorParts {
  stage: Stage;
  target: HTMLElement;
  card: HoverCard;
  picker: Picker;
  accepts: Accepts;
  describe(label: number): { className: string; color: string };
  /** The example under the cursor; null: none. */
  onHover?(point: Point | null): void;
  onOpen(row: number): void;
  onNothing(): void;
}

export class Cursor {
  private readonly cross = h("div", { class: "cross", attrs: { "aria-hidden": "true" } });
  private readonly spoken = h("div", { class: "visually-hidden", role: "status" });
  private readonly keys;
  private readonly onLeave = () => this.clear();
  private readonly onKey = (event: KeyboardEvent) => void this.openAtCross(event);
  private turn = 0;

  constructor(private readonly parts: CursorParts) {
    const { stage, target } = parts;
    target.append(this.cross, this.spoken);
    this.keys = [
      stage.olMap.on("pointermove", (event) => this.moved(event)),
      stage.olMap.on("click", (event) => void this.clicked(event)),
      stage.olMap.on("movestart", () => this.clear()),
      stage.olMap.on("moveend", () => void this.aimCross()),
    ];
    target.addEventListener("pointerleave", this.onLeave);
    target.addEventListener("keydown", this.onKey);
  }

  destroy(): void {
    unByKey(this.keys);
    this.parts.target.removeEventListener("pointerleave", this.onLeave);
    this.parts.target.removeEventListener("keydown", this.onKey);
  }

  clear(): void {
    this.turn += 1;
    this.parts.card.hide();
    this.parts.stage.highlight.hover(null);
    this.parts.onHover?.(null);
    this.parts.target.style.cursor = "";
  }

  private pick(coordinate: number[], reachPx: number): Promise<Point | null> {
    const { stage, picker, accepts } = this.parts;
    const [x, y] = toUnit(coordinate);
    return picker.pick({ x, y, zoom: stage.zoom, reachPx, ok: accepts, images: stage.activeImages });
  }

  private moved(event: MapBrowserEvent): void {
    const { originalEvent } = event;
    if (event.dragging) this.clear();
    else if (!(originalEvent instanceof PointerEvent) || originalEvent.pointerType !== "touch") {
      void this.hover(event.coordinate, event.pixel, REACH_PX);
    }
  }

  private async hover(coordinate: number[], pixel: number[], reach: number): Promise<Point | null> {
    const turn = ++this.turn;
    const found = await this.pick(coordinate, reach).catch(() => null);
    if (turn !== this.turn) return null;
    const { stage, card, target, describe } = this.parts;
    if (!found) {
      this.clear();
      return null;
    }
    const size = stage.olMap.getSize() ?? [0, 0];
    card.show({ row: found.row, ...describe(found.label) }, [pixel[0]!, pixel[1]!], [size[0]!, size[1]!]);
    stage.highlight.hover(stage.activeImages ? null : found);
    this.parts.onHover?.(found);
    target.style.cursor = "pointer";
    return found;
  }

  private async clicked(event: MapBrowserEvent): Promise<void> {
    // A name that lies over the map takes the click itself.
    if ((event.originalEvent.target as Element | null)?.closest?.("button")) return;
    const touch = event.originalEvent instanceof PointerEvent && event.originalEvent.pointerType === "touch";
    const found = await this.pick(event.coordinate, touch ? TOUCH_REACH_PX : REACH_PX).catch(() => null);
    if (found) this.parts.onOpen(found.row);
    else this.parts.onNothing();
  }

  private get keyboard(): boolean {
    return this.parts.target.matches(":focus-visible");
  }

  /** After a move by keyboard, the example nearest the cross is shown and spoken. */
  private async aimCross(): Promise<void> {
    const { stage, describe } = this.parts;
    const size = stage.olMap.getSize();
    if (!this.keyboard || !size) return;
    const pixel = [size[0]! / 2, size[1]! / 2];
    const found = await this.hover(stage.view.getCenter() ?? [0, 0], pixel, CROSS_REACH_PX);
    this.spoken.textContent = found ? `${describe(found.label).className}, row ${found.row}` : "No example here";
  }

  private async openAtCross(event: KeyboardEvent): Promise<void> {
    const { stage, target } = this.parts;
    if (event.key !== "Enter" || event.target !== target) return;
    event.preventDefault();
    const found = await this.pick(stage.view.getCenter() ?? [0, 0], CROSS_REACH_PX).catch(() => null);
    if (found) this.parts.onOpen(found.row);
  }
}
