/** On maps of states: which step of its example a point is, marked on the image or in its caption, and said. */

import type { Example, MapInfo } from "../api/types";
import { h } from "../lib/dom";
import { formatCount } from "../lib/format";

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** The state's place in its example; null where the point is a whole example. */
export function stepOf(example: Example, unit: MapInfo["step_unit"]): { step: number; steps: number } | null {
  const { step, steps } = example.attributes;
  return unit && typeof step === "number" && typeof steps === "number" && steps > 0 ? { step, steps } : null;
}

/**
 * Where row `step` of `steps` lies in a frame that holds the whole image, in parts of the frame. A
 * network that reads rows sees the square in the middle of the image.
 */
export function rowBox(
  image: { width: number; height: number },
  ratio: number,
  { step, steps }: { step: number; steps: number },
): Box {
  const { width, height } = image;
  const side = Math.min(width, height);
  const shown = width / height;
  const across = Math.min(1, shown / ratio);
  const down = Math.min(1, ratio / shown);
  return {
    left: (1 - across) / 2 + (across * (width - side)) / 2 / width,
    top: (1 - down) / 2 + (down * ((height - side) / 2 + (side * step) / steps)) / height,
    width: (across * side) / width,
    height: (down * side) / steps / height,
  };
}

/** The mark over the row that the network had read last. */
export function rowMark(box: Box): HTMLElement {
  const mark = h("i", { class: "state-mark", testid: "state-mark", attrs: { "aria-hidden": "true" } });
  for (const [name, part] of Object.entries(box)) mark.style.setProperty(name, `${(100 * part).toFixed(3)}%`);
  return mark;
}

const STEPS = { row: "After row", view: "View", word: "Word" } as const;

/** The step in words, counted from 1. */
export function stepLine({ step, steps }: { step: number; steps: number }, unit: "row" | "view" | "word"): string {
  return `${STEPS[unit]} ${formatCount(step + 1)} of ${formatCount(steps)}`;
}

/** The words of the caption that a state is from; null where it is from none. */
export function wordsOf(example: Example, unit: MapInfo["step_unit"]): string[] | null {
  const { words } = example.attributes;
  return unit === "word" && Array.isArray(words) ? words.map(String) : null;
}

/** The caption, with the word marked that was chosen from the state. */
export function captionMark(words: string[], { step }: { step: number }): HTMLElement {
  const marked = words.flatMap((word, i) => [
    i > 0 && " ",
    i === step ? h("mark", { testid: "state-word" }, word) : word,
  ]);
  return h("p", { class: "state-caption", testid: "state-caption", attrs: { dir: "auto" } }, ...marked);
}

/** What is known of an example as plain values, without what the marked caption says. */
export function plainAttributes(
  example: Example,
  unit: MapInfo["step_unit"],
): [name: string, value: string | number][] {
  const told = wordsOf(example, unit) ? ["caption", "token"] : [];
  return Object.entries(example.attributes).flatMap(([name, value]) =>
    Array.isArray(value) || told.includes(name) ? [] : [[name, value]],
  );
}

/** The id of the example that a state is of. */
export function exampleOf(example: Example, unit: MapInfo["step_unit"]): Example {
  if (!stepOf(example, unit)) return example;
  return { ...example, example_id: example.example_id.replace(/#\d+$/, "") };
}
