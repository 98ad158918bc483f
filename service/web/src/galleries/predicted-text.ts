/** A text with what the network said after each of its characters: runs of one class, in its color and by name. */

import { h } from "../lib/dom";
import { className } from "./parts";

/** Colors that are told apart; the rarer classes share the last one. */
const COLORS = 8;

export interface Run {
  text: string;
  output: number;
  /** Its first character, from 0. */
  from: number;
}

/** The characters of a text, by code points, in runs of one prediction; what has none is left out. */
export function runsOf(text: string, predictions: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (const [at, character] of Array.from(text).slice(0, predictions.length).entries()) {
    const output = predictions[at]!;
    const last = runs.at(-1);
    if (last?.output === output) last.text += character;
    else runs.push({ text: character, output, from: at });
  }
  return runs;
}

/** The place of each output's color: the one with the most characters first. */
export function colorPlaces(runs: readonly Run[]): Map<number, number> {
  const counts = new Map<number, number>();
  for (const { output, text } of runs) counts.set(output, (counts.get(output) ?? 0) + Array.from(text).length);
  const ordered = [...counts].toSorted((a, b) => b[1] - a[1] || a[0] - b[0]);
  return new Map(ordered.map(([output], place) => [output, Math.min(place, COLORS - 1)]));
}

/** The text, and which color is which class. Hostile text: text nodes only. */
export function predictedText(text: string, predictions: readonly number[], outputs: readonly string[]): HTMLElement {
  const runs = runsOf(text, predictions);
  const places = colorPlaces(runs);
  const spans = runs.map(({ text: part, output, from }) =>
    h(
      "span",
      { class: `run c${places.get(output)}`, title: `${className(outputs, output)} from character ${from + 1}` },
      part,
    ),
  );
  const names = [...places].map(([output, place]) =>
    h("li", {}, h("i", { class: `run c${place}`, attrs: { "aria-hidden": "true" } }), className(outputs, output)),
  );
  return h(
    "div",
    { class: "predicted-text" },
    h("p", { attrs: { dir: "auto" }, testid: "predicted-text" }, ...spans),
    h("ul", { class: "faint", attrs: { dir: "auto" } }, ...names),
  );
}
