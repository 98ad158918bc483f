/** The arrangements of a map: exact places, and a filled grid where there is one. */

import type { ColorLayer, MapInfo } from "../api/types";
import type { Place } from "./grid";

export type ArrangementName = "exact" | "grid";

/** A way in which the examples are arranged, with the color layers that are drawn so. */
export interface Arranged {
  name: ArrangementName;
  /** Part of the unit square that is filled: left, top, right, bottom. */
  extent: readonly [number, number, number, number];
  layers: readonly ColorLayer[];
  /** Archive of the point tiles, and their one zoom. */
  points: string;
  pointsZoom: number;
  /** Grid: side of a cell in the unit square. */
  cell: number | null;
}

/** The arrangements of a map, exact first; maps of earlier versions have that alone. */
export function arrangementsOf(info: MapInfo): Arranged[] {
  const exact: Arranged = {
    name: "exact",
    extent: [0, 0, 1, 1],
    layers: info.layers,
    points: info.points,
    pointsZoom: info.points_zoom,
    cell: null,
  };
  const others = (info.arrangements ?? []).filter(({ name }) => name !== "exact");
  return [
    exact,
    ...others.map(({ name, extent, layers, points, points_zoom: pointsZoom, cell }) => ({
      ...{ name, extent, points, pointsZoom, cell },
      layers: layers.flatMap((layer) => {
        const drawn = info.layers.find((other) => other.name === layer.name);
        return drawn ? [{ ...drawn, ...layer }] : [];
      }),
    })),
  ];
}

/** The arrangement of that name in which the layer is drawn; else the first. */
export function arrangedFor(all: readonly Arranged[], name: ArrangementName, layer: string): Arranged {
  return all.find((each) => each.name === name && each.layers.some((drawn) => drawn.name === layer)) ?? all[0]!;
}

/** Where an example lies in an arrangement; a place that says nothing of cells is taken as it is. */
export function placeIn({ name }: Pick<Arranged, "name">, place: Place): { x: number; y: number } {
  const { grid_x: x, grid_y: y } = place;
  return name === "grid" && x != null && y != null ? { x, y } : { x: place.x, y: place.y };
}
