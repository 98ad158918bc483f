/** How many examples are drawn of how many, and how deep the view is. */

import type { ColorLayer } from "../api/types";
import { formatCount } from "../lib/format";

export interface DrawnFacts {
  layer: ColorLayer;
  examples: number;
  /** Examples of the classes that are hidden. */
  hidden: number;
  /** Tile zoom that is drawn. */
  z: number;
}

/** "1,797 of 1,797 images drawn": never silent about what is left out. */
export function drawnText({ layer, examples, hidden, z }: DrawnFacts): string {
  const drawn = layer.drawn[z] ?? layer.drawn.at(-1) ?? examples;
  const total = formatCount(examples);
  const icons = layer.legend.icons?.[z] ?? layer.legend.icons?.at(-1);
  if (icons !== undefined) return `${formatCount(icons)} icons for ${formatCount(drawn)} of ${total} images`;
  if (layer.legend.kind === "images") {
    const text = `${formatCount(drawn)} of ${total} images`;
    return drawn >= examples ? `${text} drawn` : `${text} at this zoom`;
  }
  const shown = layer.legend.kind === "category" ? Math.max(0, drawn - hidden) : drawn;
  return `${formatCount(shown)} of ${total} examples drawn`;
}

/** "×8": how much larger than at zoom 0. */
export function zoomText(zoom: number): string {
  const factor = 2 ** zoom;
  return `× ${factor < 9.95 ? factor.toFixed(1) : formatCount(Math.round(factor))}`;
}
