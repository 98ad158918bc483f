/** The color layer that a map opens in. */

import type { MapInfo } from "../api/types";

/**
 * The images, where each point is one; else the first layer that was drawn, which is the density unless the job was asked
 * for another order.
 */
export function firstLayer(info: Pick<MapInfo, "layers" | "step_unit">): string {
  const first = info.layers[0]!.name;
  const ofImages = !info.step_unit || info.step_unit === "view";
  if (!ofImages) return first;
  return info.layers.find((layer) => layer.legend.kind === "images")?.name ?? first;
}
