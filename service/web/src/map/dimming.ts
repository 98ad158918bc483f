/** The one veil over what is neither found nor selected: whoever marks examples says so here. */

import type { FrameState } from "ol/Map";

/** Opens the veil on a canvas in pixels of the screen, where marks are. */
export type Holes = (context: CanvasRenderingContext2D, frame: FrameState) => void;

export class Dimming {
  private holes: Holes | null = null;
  private veiled = false;
  private readonly redraws: (() => void)[] = [];

  /** Whether a selection is shown: its veil dims the map, and another would dim what is selected. */
  get bySelection(): boolean {
    return this.veiled;
  }

  /** Draws anew when what is marked changes. */
  onChange(redraw: () => void): void {
    this.redraws.push(redraw);
  }

  /** Marks what is found; null: nothing is. */
  find(holes: Holes | null): void {
    this.holes = holes;
    this.changed();
  }

  /** A selection is shown, or none is any more. */
  select(shown: boolean): void {
    this.veiled = shown;
    this.changed();
  }

  /** Opens the veil of a selection where something is found. */
  open(context: CanvasRenderingContext2D, frame: FrameState): void {
    this.holes?.(context, frame);
  }

  private changed(): void {
    for (const redraw of this.redraws) redraw();
  }
}
