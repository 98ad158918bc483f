/** A map whose examples are found by words and conditions: the strip, marks of all, and a selection of them. */

import { findOnMap } from "../api/client";
import type { FindAnswer, FoundExample } from "../api/types";
import { h } from "../lib/dom";
import { formatCount } from "../lib/format";
import type { Asked } from "./expression";
import type { Found, FoundPart } from "./found-strip";

export const PAGE = 60;
export const MOST_MARKED = 20_000;

/** How many are found and marked, in words. */
export function foundTitle({ total, examples, marks }: FindAnswer): string {
  const found = `${formatCount(total)} of ${formatCount(examples)} found`;
  return marks && marks.count < total ? `${found}, ${formatCount(marks.count)} marked` : found;
}

/** The classes that most of what is found has. */
function mostOf({ classes }: FindAnswer): string {
  const first = classes.slice(0, 3).map(({ name, count }) => `${name ?? "no label"} ${formatCount(count)}`);
  return classes.length > 3 ? `${first.join(", ")}, …` : first.join(", ");
}

function asFound({ texts, ...example }: FoundExample): Found {
  return { ...example, said: texts.find(({ name }) => name !== "id" && name !== "class") ?? texts[0] };
}

/** What is found, with the next pages as they are walked to. */
export async function findPart(map: string, asked: Asked, signal: AbortSignal) {
  const answer = await findOnMap(map, { ...asked, limit: PAGE, marked: MOST_MARKED }, signal);
  const part: FoundPart = {
    title: foundTitle(answer),
    detail: mostOf(answer),
    label: `Found: ${[asked.words, asked.where].filter(Boolean).join(" where ")}`,
    found: answer.results.map(asFound),
    more: async (offset) => (await findOnMap(map, { ...asked, offset, limit: PAGE }, signal)).results.map(asFound),
  };
  return { answer, part };
}

/** A button that makes a selection of all that is found. */
export function selectAll(asked: Asked, onSelect: (asked: Asked) => void): HTMLElement {
  return h(
    "button",
    {
      type: "button",
      class: "button small",
      testid: "found-select",
      title: "Select all that is found: counts, exports, a dataset",
      on: { click: () => onSelect(asked) },
    },
    "Select all",
  );
}
