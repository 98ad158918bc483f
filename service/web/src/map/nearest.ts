/** The nearest to words, an image or an example, as the strip shows them. */

import type { SearchAnswer } from "../api/types";
import { formatCount, formatFigure } from "../lib/format";
import type { FoundPart } from "./found-strip";

/** How the nearest were found: among how many, by which distance, and with which recall. */
export function howFound(found: SearchAnswer): string {
  const metric = found.metric === "cosine" ? "by cosine" : "by Euclidean distance";
  const among = `among ${formatCount(found.examples)}, ${metric}`;
  if (found.method === "exact") return `${among}; all compared`;
  return `${among}; by an index, recall ${found.recall.toFixed(2)}`;
}

export function nearestPart(what: string, answer: SearchAnswer): FoundPart {
  return {
    title: `${formatCount(answer.results.length)} nearest ${what}`,
    detail: howFound(answer),
    label: `Nearest ${what}`,
    found: answer.results.map(({ similarity, distance, ...result }) => ({
      ...result,
      figure: formatFigure(similarity ?? distance),
      measure: similarity === null ? "distance" : "similarity",
    })),
  };
}
