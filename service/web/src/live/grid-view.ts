/** All channels of a layer as a grid: one is chosen, by click or arrow keys; the pointer names another. */

import { dataUrl } from "../api/client";
import type { Activations } from "../api/types";
import { h, setText } from "../lib/dom";
import { formatFigure, joined } from "../lib/format";
import { columnsOf, gridSize, type TileGrid, tileAt, tileCorner } from "../lib/tile-grid";

export interface GridActions {
  onSelect(channel: number): void;
}

/** Left, top, width and height of a tile in percent of the grid. */
export function tileShare(grid: TileGrid, index: number): [number, number, number, number] {
  const [width, height] = gridSize(grid);
  const [left, top] = tileCorner(grid, index);
  return [(100 * left) / width, (100 * top) / height, (100 * grid.width) / width, (100 * grid.height) / height];
}

function place(element: HTMLElement, grid: TileGrid, index: number): void {
  const [left, top, width, height] = tileShare(grid, index);
  Object.assign(element.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
  element.hidden = false;
}

/** A channel in words: "channel 12, largest 5.31". */
export function channelText(shown: Activations, channel: number): string {
  const largest = shown.largest[channel];
  return joined(
    `channel ${channel}`,
    largest === null || largest === undefined ? "no number" : `largest ${formatFigure(largest)}`,
  );
}

export class GridView {
  private readonly image = h("img", { class: "live-grid-image pixelated", attrs: { alt: "", draggable: "false" } });
  private readonly chosen = h("span", { class: "live-tile chosen", attrs: { hidden: "" } });
  private readonly pointed = h("span", { class: "live-tile pointed", attrs: { hidden: "" } });
  private readonly frame = h(
    "div",
    {
      class: "live-grid",
      role: "slider",
      tabIndex: 0,
      label: "Channel",
      testid: "live-grid",
      attrs: { "aria-valuemin": "0" },
    },
    this.image,
    this.pointed,
    this.chosen,
  );
  private readonly words = h("p", { class: "live-words faint", testid: "live-pointed" });
  readonly element = h("div", { class: "live-layer", attrs: { hidden: "" } }, this.frame, this.words);
  private shown: Activations | null = null;
  private tiles: TileGrid | null = null;
  private selected = 0;

  constructor(private readonly actions: GridActions) {
    this.frame.addEventListener("pointermove", (event) => this.point(this.channelAt(event)));
    this.frame.addEventListener("pointerleave", () => this.point(null));
    this.frame.addEventListener("click", (event) => {
      const channel = this.channelAt(event);
      if (channel !== null) this.actions.onSelect(channel);
    });
  }

  get channels(): number {
    return this.tiles?.count ?? 0;
  }

  get columns(): number {
    return columnsOf(this.channels);
  }

  show(shown: Activations): void {
    const [height, width] = shown.grid.tile;
    this.shown = shown;
    this.tiles = { count: shown.shape[0], height, width };
    this.image.src = dataUrl(shown.grid);
    this.frame.style.setProperty("--ratio", String(shown.grid.width / shown.grid.height));
    this.frame.setAttribute("aria-valuemax", String(shown.shape[0] - 1));
    this.element.hidden = false;
    this.point(null);
  }

  select(channel: number): void {
    if (!this.shown || !this.tiles) return;
    this.selected = channel;
    place(this.chosen, this.tiles, channel);
    this.frame.setAttribute("aria-valuenow", String(channel));
    this.frame.setAttribute("aria-valuetext", channelText(this.shown, channel));
    this.point(null);
  }

  /** Scrolls to the chosen channel where it is out of sight, as far as needed. */
  reveal(): void {
    this.chosen.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  hide(): void {
    this.element.hidden = true;
    this.shown = null;
    this.tiles = null;
  }

  busy(isBusy: boolean): void {
    this.element.classList.toggle("stale", isBusy);
    this.frame.setAttribute("aria-busy", String(isBusy));
  }

  private point(channel: number | null): void {
    if (!this.shown || !this.tiles) return;
    if (channel === null) this.pointed.hidden = true;
    else place(this.pointed, this.tiles, channel);
    setText(this.words, channelText(this.shown, channel ?? this.selected));
  }

  private channelAt(event: MouseEvent): number | null {
    if (!this.tiles) return null;
    const box = this.frame.getBoundingClientRect();
    const [width, height] = gridSize(this.tiles);
    const x = ((event.clientX - box.left) / box.width) * width;
    const y = ((event.clientY - box.top) / box.height) * height;
    return tileAt(this.tiles, x, y)?.index ?? null;
  }
}
