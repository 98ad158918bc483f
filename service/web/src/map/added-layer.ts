/**
 * The examples of another map over this one: those that were added to it later (`?with=`). They have one color, a card
 * that says what they are, and a map of their own, which the card leads to. Memory: that of one `DataLayer`.
 */

import { getManifest, mapInfo } from "../api/client";
import type { ColorLayer, MapInfo } from "../api/types";
import { currentTheme } from "../app/theme";
import { fill, h } from "../lib/dom";
import { plural } from "../lib/format";
import { openArchive } from "../tiles/archive";
import { pack, parseHex, type Theme } from "../tiles/colormaps";
import { dotsAt } from "../tiles/dots";
import { paintDensity } from "../tiles/paint";
import { DataLayer, type Painter } from "./data-layer";
import { mapTitle } from "./job-facts";
import type { MapContext, MapPart } from "./part";

const COLORS: Readonly<Record<Theme, string>> = { dark: "#ffffff", light: "#16181c" };
/** Above the layers of the map, beneath its marks. */
const Z_INDEX = 5;
/** Dots of examples that are looked for among others are larger than theirs. */
const LARGER = 1.6;
/** A place in the plane is none in the grid, whose cells all have an example. */
const NOT_IN_GRID = "Not drawn in the grid: its cells are those of the first map. They have exact places only.";

/** Why a map cannot lie over another; null: it can. */
export function whyNotOver(base: Pick<MapInfo, "bounds">, added: Pick<MapInfo, "bounds" | "layers">): string | null {
  if (added.bounds.some((value, i) => value !== base.bounds[i])) {
    return "It shows another part of the plane: draw it with square_of of this map.";
  }
  return densityOf(added) ? null : "It has no density layer.";
}

function densityOf({ layers }: Pick<MapInfo, "layers">): ColorLayer | undefined {
  return layers.find((layer) => layer.legend.kind === "density");
}

function painter(info: MapInfo, theme: Theme): Painter {
  const table = new Uint32Array(2).fill(pack(...parseHex(COLORS[theme]), 255));
  return {
    dots: (z, over) => {
      const dots = dotsAt(info.examples, z, over, window.devicePixelRatio);
      return { ...dots, radius: Math.max(1, dots.radius) * LARGER };
    },
    paint: (tile, out, _, dots) => paintDensity(tile, out, { table, max: 1, dots }),
  };
}

class AddedLayer {
  readonly card = h("section", { class: "added-card card", testid: "added-card", attrs: { "aria-busy": "true" } });
  private layer: DataLayer | null = null;
  private added: MapInfo | null = null;
  private ended = false;
  private readonly shown = h("input", {
    type: "checkbox",
    testid: "added-shown",
    on: { change: () => this.relook() },
  });
  private readonly note = h("p", { class: "faint", role: "status", testid: "added-note" }, NOT_IN_GRID);

  constructor(
    private readonly context: MapContext,
    private readonly id: string,
  ) {}

  async start(): Promise<void> {
    try {
      const added = mapInfo(await getManifest(this.id));
      const { title } = await mapTitle(this.id, added);
      if (!this.ended) this.show(added, title);
    } catch (error) {
      this.fail(this.id, (error as Error).message);
    }
    this.card.removeAttribute("aria-busy");
  }

  relook(): void {
    if (this.added) this.layer?.setPainter(painter(this.added, currentTheme()));
    const placed = this.context.stage.arrangement.name === "exact";
    this.layer?.olLayer.setVisible(placed && this.shown.checked);
    this.shown.disabled = !placed;
    this.note.hidden = placed;
    this.card.style.setProperty("--dot", COLORS[currentTheme()]);
  }

  destroy(): void {
    this.ended = true;
  }

  private show(added: MapInfo, title: string): void {
    const why = whyNotOver(this.context.info, added);
    if (why !== null) return this.fail(title, why);
    const density = densityOf(added)!;
    this.added = added;
    this.layer = new DataLayer(density, openArchive(this.id, density.path), painter(added, currentTheme()), (error) =>
      this.context.complain(error),
    );
    this.layer.olLayer.setZIndex(Z_INDEX);
    this.context.stage.olMap.addLayer(this.layer.olLayer);
    this.shown.checked = true;
    const label = h("label", {}, this.shown, h("span", { class: "dot" }), this.name(title));
    fill(this.card, label, this.count(added), this.note);
    this.relook();
  }

  private fail(title: string, why: string): void {
    fill(this.card, h("p", {}, this.name(title)), h("p", { class: "problem", role: "alert" }, why));
  }

  private name(title: string): HTMLElement {
    return h("a", { href: `/maps/${encodeURIComponent(this.id)}` }, title);
  }

  private count({ examples }: MapInfo): HTMLElement {
    return h("span", { class: "faint" }, `${plural(examples, "example")} added`);
  }
}

/** The part of the page for the map that the address names; null: none. */
export function added(context: MapContext): MapPart | null {
  const id = context.store.state.added;
  if (id === null) return null;
  const layer = new AddedLayer(context, id);
  return {
    cards: [layer.card],
    start: () => void layer.start(),
    relook: () => layer.relook(),
    destroy: () => layer.destroy(),
  };
}
