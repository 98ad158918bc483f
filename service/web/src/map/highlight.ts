/** The few marks above the tiles: the selected example, its neighbors, the one under the cursor. */

import Feature from "ol/Feature";
import LineString from "ol/geom/LineString";
import PointGeometry from "ol/geom/Point";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { Theme } from "../tiles/colormaps";
import { type Arranged, placeIn } from "./arranged";
import { type Place, toPlane } from "./grid";

const INK = {
  dark: {
    line: "rgba(255,255,255,0.42)",
    ring: "#ffffff",
    halo: "rgba(8,10,13,0.72)",
    fill: "rgba(255,255,255,0.16)",
    accent: "#ffb454",
  },
  light: {
    line: "rgba(22,24,28,0.42)",
    ring: "#16181c",
    halo: "rgba(255,255,255,0.85)",
    fill: "rgba(22,24,28,0.1)",
    accent: "#b4410e",
  },
} as const;

function ring(radius: number, width: number, color: string, fill?: string): Style {
  const image = new CircleStyle({
    radius,
    stroke: new Stroke({ color, width }),
    ...(fill ? { fill: new Fill({ color: fill }) } : {}),
  });
  return new Style({ image });
}

function styles(theme: Theme): Record<string, Style[]> {
  const ink = INK[theme];
  return {
    line: [
      new Style({ stroke: new Stroke({ color: ink.halo, width: 3 }) }),
      new Style({ stroke: new Stroke({ color: ink.line, width: 1.25 }) }),
    ],
    neighbor: [ring(5, 3.5, ink.halo), ring(5, 1.5, ink.ring, ink.fill)],
    found: [ring(7, 4, ink.halo), ring(7, 2, ink.accent, ink.fill)],
    hover: [ring(8, 4, ink.halo), ring(8, 1.75, ink.ring)],
    selected: [ring(11, 5, ink.halo), ring(11, 2.25, ink.ring, ink.fill), ring(15.5, 1, ink.line)],
  };
}

export class Highlight {
  private readonly marks = new VectorSource();
  private found: Feature<PointGeometry>[] = [];
  private foundPlaces: readonly Place[] = [];
  private selection: [place: Place | null, neighbors: readonly Place[]] = [null, []];
  private arrangement: Pick<Arranged, "name"> = { name: "exact" };
  private readonly hovered = new Feature<PointGeometry>({ kind: "hover" });
  readonly olLayer: VectorLayer;

  constructor(theme: Theme) {
    this.olLayer = new VectorLayer({ source: this.marks, zIndex: 10 });
    this.setTheme(theme);
    this.marks.addFeature(this.hovered);
  }

  setTheme(theme: Theme): void {
    const table = styles(theme);
    this.olLayer.setStyle((feature) => table[feature.get("kind") as string]);
  }

  /** Marks the same examples where another arrangement has them. */
  arrange(arrangement: Pick<Arranged, "name">): void {
    if (arrangement.name === this.arrangement.name) return;
    this.arrangement = arrangement;
    this.hover(null);
    this.find(this.foundPlaces);
    this.select(...this.selection);
  }

  private at(place: Place): [number, number] {
    const { x, y } = placeIn(this.arrangement, place);
    return toPlane(x, y);
  }

  /** Rings the example under the cursor; null: none. */
  hover(place: Place | null): void {
    this.hovered.setGeometry(place ? new PointGeometry(this.at(place)) : undefined);
  }

  /** Rings what a search found; none: the rings go. */
  find(places: readonly Place[]): void {
    this.foundPlaces = places;
    this.marks.removeFeatures(this.found);
    this.found = places.map((place) => new Feature({ geometry: new PointGeometry(this.at(place)), kind: "found" }));
    this.marks.addFeatures(this.found);
  }

  /** Marks an example and draws lines to its neighbors. */
  select(place: Place | null, neighbors: readonly Place[]): void {
    this.selection = [place, neighbors];
    this.marks.clear(true);
    this.marks.addFeature(this.hovered);
    this.marks.addFeatures(this.found);
    if (!place) return;
    const center = this.at(place);
    const ends = neighbors.map((neighbor) => this.at(neighbor));
    const point = (at: number[], kind: string) => new Feature({ geometry: new PointGeometry(at), kind });
    this.marks.addFeatures(ends.map((end) => new Feature({ geometry: new LineString([center, end]), kind: "line" })));
    this.marks.addFeatures(ends.map((end) => point(end, "neighbor")));
    this.marks.addFeature(point(center, "selected"));
  }
}
