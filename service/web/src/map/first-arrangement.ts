/** The arrangement that a map opens in. */

import type { MapInfo } from "../api/types";
import { type ArrangementName, arrangedFor, arrangementsOf } from "./arranged";
import { firstLayer } from "./first-layer";

/**
 * Examples up to which a map opens as a grid: 64 columns, of 13 px each on a screen 900 px high. The same number for every
 * screen, so that an address opens the same view everywhere.
 */
export const MOST_IN_FIRST_GRID = 4096;

/** The grid where it shows the images of all examples at once, else the exact places. */
export function firstArrangement(info: MapInfo): ArrangementName {
  const layer = firstLayer(info);
  const { name, layers } = arrangedFor(arrangementsOf(info), "grid", layer);
  const ofImages = layers.find((each) => each.name === layer)?.legend.kind === "images";
  return ofImages && info.examples <= MOST_IN_FIRST_GRID ? name : "exact";
}
