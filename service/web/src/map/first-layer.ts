/** The color layer that a map opens in. */

import type { MapInfo } from "../api/types";

/** A map of more images than this is first looked at from afar. */
export const LOOKED_AT_EXAMPLES = 50_000;

/**
 * The images, where they are few enough to look at and each point is one; else the first layer that was drawn,
 * which is the density unless the job was asked for another order.
 */
export function firstLayer(info: Pick<MapInfo, "layers" | "examples" | "step_unit">): string {
  const first = info.layers[0]!.name;
  const ofImages = !info.step_unit || info.step_unit === "view";
  if (info.examples > LOOKED_AT_EXAMPLES || !ofImages) return first;
  return info.layers.find((layer) => layer.legend.kind === "images")?.name ?? first;
}
