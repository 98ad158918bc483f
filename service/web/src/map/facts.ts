/** What the address of a map may say. */

import type { MapInfo } from "../api/types";
import { arrangementsOf } from "./arranged";
import { firstArrangement } from "./first-arrangement";
import { firstLayer } from "./first-layer";
import { longestLegend } from "./legend";
import { OVERZOOM } from "./plane";
import type { MapFacts } from "./url-state";

/** What the state in the address is checked against. */
export function factsOf(info: MapInfo): MapFacts {
  return {
    layers: info.layers.map((layer) => layer.name),
    arrangements: arrangementsOf(info).map(({ name }) => name),
    first: firstLayer(info),
    firstArrangement: firstArrangement(info),
    classes: longestLegend(info).map((each) => each.index),
    examples: info.examples,
    maxZoom: info.max_zoom + OVERZOOM,
  };
}
