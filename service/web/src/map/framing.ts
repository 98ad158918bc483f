/** The part of the map that cards leave free, and moves of the map that bring a place into it. */

import type { Place } from "./part";
import type { Padding, Stage } from "./stage";

/** An example nearer than this to a card or an edge is not in sight. */
const EDGE_PX = 40;
const NARROW = "(max-width: 760px)";

export interface Cards {
  /** Element that the map is drawn in. */
  target: HTMLElement;
  /** The card of layers at the left. */
  layers: HTMLElement;
  /** The panel of an example that is open. */
  panel: { readonly element: HTMLElement; readonly open: boolean };
}

export class Framing {
  constructor(
    private readonly stage: Stage,
    private readonly cards: Cards,
  ) {}

  /** Left, top, right, bottom in pixels of the map's element. */
  private free(): [number, number, number, number] {
    const { target, layers, panel } = this.cards;
    const { clientWidth: width, clientHeight: height } = target;
    const { offsetWidth, offsetHeight } = panel.element;
    if (window.matchMedia(NARROW).matches) return [0, 64, width, height - (panel.open ? offsetHeight : 120)];
    return [layers.offsetWidth + 16, 0, width - (panel.open ? offsetWidth + 16 : 0), height];
  }

  inSight(place: Place): boolean {
    const { x, y } = this.stage.placeOf(place);
    const [left, top, right, bottom] = this.free();
    const [px, py] = this.stage.pixelOf(x, y) ?? [-1, -1];
    return px > left + EDGE_PX && px < right - EDGE_PX && py > top + EDGE_PX && py < bottom - EDGE_PX;
  }

  flyTo(place: Place, zoom: number): void {
    const { x, y } = this.stage.placeOf(place);
    const [left, top, right, bottom] = this.free();
    const { clientWidth: width, clientHeight: height } = this.cards.target;
    this.stage.flyTo(x, y, zoom, [(width - left - right) / 2, (height - top - bottom) / 2]);
  }

  /** Shows the whole map. */
  fit(animate: boolean): void {
    const { clientWidth: width, clientHeight: height } = this.cards.target;
    const [left, top, right, bottom] = this.free();
    const narrow = window.matchMedia(NARROW).matches;
    const padding: Padding = narrow ? [top + 16, 4, height - bottom, 4] : [20, width - right + 20, 52, left + 20];
    this.stage.fit(padding, animate);
  }
}
