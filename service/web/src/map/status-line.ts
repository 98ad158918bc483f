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
  /** Images on the screen, as the tiles say; null: they do not. */
  inSight?: number | null;
  /** Whether full images were asked for and cannot be read. */
  unreadable?: boolean;
}

/** "1,797 of 1,797 images drawn": never silent about what is left out. */
export function drawnText(facts: DrawnFacts): string {
  const { layer, examples, hidden, z } = facts;
  const drawn = layer.drawn[z] ?? layer.drawn.at(-1) ?? examples;
  const total = formatCount(examples);
  const icons = layer.legend.icons?.[z] ?? layer.legend.icons?.at(-1);
  if (icons !== undefined) return `${formatCount(icons)} icons for ${formatCount(drawn)} of ${total} images`;
  if (layer.legend.kind === "images") {
    return imagesText(facts, drawn);
  }
  const shown = layer.legend.kind === "category" ? Math.max(0, drawn - hidden) : drawn;
  return `${formatCount(shown)} of ${total} examples drawn`;
}

/** At a level that has not all images it is not known of which classes they are: what is in sight is counted. */
function imagesText({ examples, hidden, inSight, unreadable }: DrawnFacts, drawn: number): string {
  const total = formatCount(examples);
  const without = unreadable ? " · thumbnails only: the full images cannot be read from their dataset" : "";
  const all = drawn >= examples;
  const known = inSight !== null && inSight !== undefined;
  if (hidden > 0 && !all && known) return `${formatCount(inSight)} of ${total} images in sight${without}`;
  const left = all ? Math.max(0, drawn - hidden) : drawn;
  const text = `${formatCount(left)} of ${total} images ${all ? "drawn" : "at this zoom"}`;
  return (known && inSight < left ? `${text}, ${formatCount(inSight)} in sight` : text) + without;
}

/** "×8": how much larger than at zoom 0. */
export function zoomText(zoom: number): string {
  const factor = 2 ** zoom;
  return `× ${factor < 9.95 ? factor.toFixed(1) : formatCount(Math.round(factor))}`;
}
