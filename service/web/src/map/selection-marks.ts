/** A selection on one map: its veil, and the positions that are fetched for it. */

import { getMarks } from "../api/selections";
import { currentTheme } from "../app/theme";
import type { Theme } from "../tiles/colormaps";
import type { SelectedMap } from "./selecting";
import type { Arrangement } from "./selection-query";
import { rounded, type SelectionQuery } from "./selection-query";
import { type Drawn, parseMarks, Veil } from "./selection-veil";

/** Positions that the service gives at once. */
export const MOST_MARKS = 100_000;
const MOVED_MS = 200;

interface Asked {
  query: SelectionQuery;
  total: number;
  signal: AbortSignal;
}

export class SelectionMarks {
  private readonly veil: Veil;
  private shown: Asked | null = null;
  private timer = 0;
  private readonly onMoved = () => this.moved();

  constructor(
    private readonly map: SelectedMap,
    private readonly complain: (error: unknown) => void,
  ) {
    this.veil = new Veil(currentTheme(), map.stage.dimming, () => this.drawn());
    map.stage.olMap.addLayer(this.veil.olLayer);
    map.stage.olMap.on("moveend", this.onMoved);
  }

  destroy(): void {
    window.clearTimeout(this.timer);
    this.map.stage.olMap.un("moveend", this.onMoved);
    this.map.stage.olMap.removeLayer(this.veil.olLayer);
    this.veil.show(null);
  }

  setTheme(theme: Theme): void {
    this.veil.setTheme(theme);
  }

  hide(): void {
    this.shown = null;
    this.veil.show(null);
  }

  /** Shows `total` points that a query selects: of a large selection those in view, so that none of them is missing there. */
  async show(query: SelectionQuery, total: number, signal: AbortSignal): Promise<void> {
    this.shown = { query, total, signal };
    const { id, stage } = this.map;
    const buffer = await getMarks(id, this.inSight(query, total), stage.arrangement.name, signal);
    if (!signal.aborted) this.veil.show(parseMarks(buffer));
  }

  /** What is in view, in the arrangement that is shown. */
  view(): SelectionQuery {
    const [x0, y0, x1, y1] = this.map.stage.box.map(rounded);
    return placed({ box: [x0!, y0!, x1!, y1!] }, this.map.stage.arrangement.name);
  }

  private inSight(query: SelectionQuery, total: number): SelectionQuery {
    const { stage } = this.map;
    if (total <= MOST_MARKS || stage.fitted) return query;
    return { intersection: [query, placed({ box: stage.box }, stage.arrangement.name)] };
  }

  private moved(): void {
    window.clearTimeout(this.timer);
    const { shown } = this;
    if (!shown || shown.total <= MOST_MARKS) return;
    this.timer = window.setTimeout(() => {
      const { query, total, signal } = shown;
      this.show(query, total, signal).catch((error) => signal.aborted || this.complain(error));
    }, MOVED_MS);
  }

  /** What is drawn for an example: a dot, and in the images layer the image of some. */
  private drawn(): Drawn {
    const { stage } = this.map;
    const images = stage.activeImages;
    if (images) return { half: 2, images: images.inSight(stage.box, stage.zoom) };
    const { dots } = stage.scaleAt(stage.layerInfo(this.map.layer()), stage.zoom);
    return { half: Math.max(1, dots.radius / dots.scale + 0.5), images: [] };
  }
}

/** What was drawn, with the arrangement that it was drawn on. */
export function placed(query: SelectionQuery, arrangement: Arrangement): SelectionQuery {
  return arrangement === "exact" ? query : ({ ...query, arrangement } as SelectionQuery);
}
