/** The part of the map that cards leave free, and moves of the map that bring a place into it. */

import { freePart } from "./free-part";
import type { Place } from "./grid";
import type { Padding, Stage } from "./stage";

/** An example nearer than this to a card or an edge is not in sight. */
const EDGE_PX = 40;
const MARGIN_PX = 4;
const COVERING =
  ".left > *, .title-card, .layer-card, .top, .corner > *, .status-line, .panel:not([hidden]), .found:not([hidden])";
const NARROW = "(max-width: 760px)";

export interface Cards {
  /** Element that the map is drawn in. */
  target: HTMLElement;
  /** The card of layers at the left. */
  layers: HTMLElement;
  /** The panel of an example that is open. */
  panel: { readonly element: HTMLElement; readonly open: boolean };
  /** The page, with all that lies over the map. */
  page: HTMLElement;
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

  /** Shows the whole map in the largest part that no card covers. */
  fit(animate: boolean): void {
    const { target, page } = this.cards;
    const map = target.getBoundingClientRect();
    const whole = { left: MARGIN_PX, top: MARGIN_PX, right: map.width - MARGIN_PX, bottom: map.height - MARGIN_PX };
    const covered = [...page.querySelectorAll(COVERING)]
      .map((each) => each.getBoundingClientRect())
      .filter((each) => each.width > 0)
      .map((each) => ({
        left: each.left - map.left - MARGIN_PX,
        top: each.top - map.top - MARGIN_PX,
        right: each.right - map.left + MARGIN_PX,
        bottom: each.bottom - map.top + MARGIN_PX,
      }));
    const part = freePart(whole, covered);
    const padding: Padding = [part.top, map.width - part.right, map.height - part.bottom, part.left];
    this.stage.fit(padding, animate);
  }
}
