/** Names of classes and clusters over the map: buttons at their places, which follow the map. */

import type OlMap from "ol/Map";
import { unByKey } from "ol/Observable";
import { fill, h } from "../lib/dom";
import { formatCount } from "../lib/format";
import { bandAt, layOut, type MapName, type NameBands, type NameKind, type PlacedName } from "./name-layout";

/** Names in the document, at most. */
const MOST = 120;
/** A press that moved farther was a drag of the map. */
const DRAG_PX = 6;

export interface NameParts {
  olMap: Pick<OlMap, "on" | "getSize" | "getOverlayContainer">;
  zoom(): number;
  pixelOf(x: number, y: number): [number, number] | null;
  arrangement(): string;
  /** Whether a name's examples are drawn. */
  shows(name: MapName): boolean;
  choose(name: MapName): void;
  /** Width of a text; null: guessed. */
  measure: ((text: string, size: number) => number) | null;
}

/** Width of a text in the font of the interface. */
export function measureIn(element: HTMLElement): (text: string, size: number) => number {
  const context = document.createElement("canvas").getContext("2d");
  const family = getComputedStyle(element).fontFamily || "sans-serif";
  return (text, size) => {
    if (!context) return guess(text, size);
    context.font = `600 ${size}px ${family}`;
    return context.measureText(text).width + 12;
  };
}

function guess(text: string, size: number): number {
  return 0.6 * size * text.length + 12;
}

export class NameLabels {
  readonly element = h("div", { class: "map-names", testid: "map-names", role: "toolbar", label: "Names on the map" });
  private bands: NameBands = {};
  private kind: NameKind | "off" = "off";
  private placed: PlacedName[] = [];
  private readonly boxes = new Map<MapName, HTMLButtonElement>();
  private zoom = Number.NaN;
  private pressed: [number, number] = [0, 0];
  private readonly keys;

  constructor(private readonly parts: NameParts) {
    this.keys = parts.olMap.on("postrender", () => this.follow());
    this.element.addEventListener("pointerdown", (event) => {
      this.pressed = [event.clientX, event.clientY];
    });
    this.element.addEventListener("keydown", (event) => this.walk(event));
    parts.olMap.getOverlayContainer()!.append(this.element);
  }

  destroy(): void {
    unByKey(this.keys);
    this.element.remove();
  }

  show(bands: NameBands, kind: NameKind | "off"): void {
    this.bands = bands;
    this.kind = kind;
    this.update();
  }

  /** Places all names anew: hidden classes, arrangement or kind have changed. */
  update(): void {
    this.zoom = Number.NaN;
    this.follow();
  }

  private follow(): void {
    const zoom = this.parts.zoom();
    if (Math.abs(zoom - this.zoom) > 1e-3 || Number.isNaN(this.zoom)) {
      this.zoom = zoom;
      const band = bandAt(this.bands[this.parts.arrangement()] ?? [], zoom);
      const names = band?.names.filter((name) => name.kind === this.kind && this.parts.shows(name)) ?? [];
      this.placed = layOut(names, zoom, this.parts.measure ?? guess);
    }
    this.draw();
  }

  private draw(): void {
    const [width, height] = this.parts.olMap.getSize() ?? [0, 0];
    const seen = this.placed.flatMap(({ name, size }) => {
      const pixel = this.parts.pixelOf(name.x, name.y);
      const [x, y] = pixel ?? [-1, -1];
      return x < 0 || y < 0 || x > width! || y > height! ? [] : [{ name, size, x, y }];
    });
    const shown = seen.slice(0, MOST);
    const kept = new Set(shown.map(({ name }) => name));
    for (const [name, box] of this.boxes) {
      if (kept.has(name)) continue;
      box.remove();
      this.boxes.delete(name);
    }
    const boxes = shown.map(({ name, size, x, y }) => {
      const box = this.boxes.get(name) ?? this.box(name);
      box.style.fontSize = `${size.toFixed(1)}px`;
      box.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px) translate(-50%, -50%)`;
      return box;
    });
    if (boxes.some((box, i) => this.element.children[i] !== box)) this.order(boxes);
  }

  /** Puts the boxes into their order, by falling count; the focus stays. */
  private order(boxes: HTMLButtonElement[]): void {
    const focused = document.activeElement;
    fill(this.element, ...boxes);
    if (focused instanceof HTMLElement && this.element.contains(focused)) focused.focus({ preventScroll: true });
    const current = boxes.find((box) => box === document.activeElement) ?? boxes[0];
    for (const box of boxes) box.tabIndex = box === current ? 0 : -1;
  }

  private box(name: MapName): HTMLButtonElement {
    const box = h("button", {
      type: "button",
      testid: "map-name",
      title: `${name.text} · ${formatCount(name.count)}`,
      attrs: { dir: "auto" },
      on: {
        click: (event) => {
          event.stopPropagation();
          const byKeyboard = event.detail === 0;
          const moved = Math.hypot(event.clientX - this.pressed[0], event.clientY - this.pressed[1]);
          if (byKeyboard || moved <= DRAG_PX) this.parts.choose(name);
        },
      },
    });
    box.textContent = name.text;
    this.boxes.set(name, box);
    return box;
  }

  /** Arrow keys walk along the names; the map stays where it is. */
  private walk(event: KeyboardEvent): void {
    const boxes = [...this.element.children] as HTMLElement[];
    const steps: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    const step = steps[event.key];
    const at = boxes.indexOf(document.activeElement as HTMLElement);
    if (!step || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const next = boxes[(at + step + boxes.length) % boxes.length]!;
    for (const box of boxes) box.tabIndex = box === next ? 0 : -1;
    next.focus({ preventScroll: true });
  }
}
