/** What a predictions job measured: its manifest's summary, and the rows of its classes. */

import { formatCount, formatFigure, plural } from "../lib/format";
import { percent } from "./percent";
import type { About } from "./types";

export interface Bin {
  low: number;
  high: number;
  examples: number;
  confidence: number | null;
  accuracy: number | null;
}

interface Averages {
  precision: number;
  recall: number;
  f1: number;
}

export interface StepMeasures {
  examples: number[];
  accuracy: (number | null)[];
  entropy: number[];
  confidence: number[];
  decided: number[];
}

/** As the manifest has it. */
export interface Summary {
  examples: number;
  labeled: number;
  accuracy: number | null;
  top_accuracy: number[] | null;
  macro: Averages | null;
  weighted: Averages | null;
  log_loss: number | null;
  brier_score: number | null;
  calibration: { expected_error: number; maximum_error: number; bins: Bin[] } | null;
  mean_entropy: number | null;
  mean_confidence: number | null;
  steps: StepMeasures | null;
}

export interface Matched {
  matched_by: "name" | "order" | "none";
  outputs_of_labels: number[];
  unmatched: number;
  unmatched_classes: string[];
  why: string;
}

export interface ClassRow {
  index: number;
  name: string;
  place: number;
  support: number;
  predicted: number;
  predicted_unlabeled: number;
  correct: number;
  precision: number | null;
  recall: number | null;
  f1: number | null;
  confused_with: number[];
  confused_counts: number[];
}

export const CLASS_COLUMNS = [
  "index",
  "name",
  "place",
  "support",
  "predicted",
  "predicted_unlabeled",
  "correct",
  "precision",
  "recall",
  "f1",
  "confused_with",
  "confused_counts",
];

export interface Cell {
  true: ClassRow;
  predicted: ClassRow;
  count: number;
  /** Of the examples of the class. */
  share: number;
}

export function summaryOf({ manifest }: About): Summary {
  return manifest.details["summary"] as Summary;
}

export function matchedOf({ manifest }: About): Matched {
  return manifest.details["labels"] as Matched;
}

/** Cells of the confusion matrix that are not zero, the commonest confusion first, then the diagonal. */
export function cellsOf(rows: readonly ClassRow[]): Cell[] {
  const byIndex = new Map(rows.map((row) => [row.index, row]));
  const cells = rows.flatMap((row) =>
    row.confused_with.flatMap((output, i) => {
      const predicted = byIndex.get(output);
      const count = row.confused_counts[i] ?? 0;
      return predicted ? [{ true: row, predicted, count, share: count / Math.max(1, row.support) }] : [];
    }),
  );
  const wrong = (cell: Cell) => (cell.true === cell.predicted ? 1 : 0);
  return cells.sort((a, b) => wrong(a) - wrong(b) || b.count - a.count);
}

/** How good the classifier is, in a sentence. */
export function accuracySentence(summary: Summary, matched: Matched): string {
  const { accuracy, labeled, examples, top_accuracy } = summary;
  if (accuracy === null) {
    const why = matched.why ? `: ${matched.why}` : "";
    return `No label applies${why}. What it says of ${plural(examples, "example")} can be looked at, not judged.`;
  }
  const last = top_accuracy?.length ?? 1;
  const within = last > 1 ? `; the label is among its ${last} likeliest for ${percent(top_accuracy![last - 1]!)}` : "";
  const left = examples - labeled;
  const others = left > 0 ? ` ${plural(left, "example")} without a label that applies.` : "";
  const why = left > 0 && matched.why ? ` (${matched.why})` : "";
  return `Right for ${percent(accuracy)} of ${plural(labeled, "example")}${within}.${others}${why}`;
}

/** Whether its confidence can be believed, in a sentence. */
export function calibrationSentence(summary: Summary): string {
  const { calibration, mean_confidence, accuracy } = summary;
  if (!calibration || mean_confidence === null || accuracy === null) return "";
  const { expected_error, maximum_error } = calibration;
  const gap = mean_confidence - accuracy;
  const lean =
    Math.abs(gap) < 0.005 ? "on the whole neither too sure nor too unsure" : gap > 0 ? "too sure" : "too unsure";
  return `Confidence and accuracy are ${percent(expected_error)} apart in the mean of 15 bins, ${percent(maximum_error)} at most: ${lean}.`;
}

/** Figures beside the sentence. */
export function figures(summary: Summary): [term: string, value: string][] {
  const { macro, weighted, calibration, log_loss, brier_score, mean_entropy } = summary;
  const known: [string, string | null][] = [
    ["F1, mean of the classes", macro && formatFigure(macro.f1)],
    ["F1, by examples", weighted && formatFigure(weighted.f1)],
    ["Log loss", log_loss === null ? null : `${formatFigure(log_loss)} nats`],
    ["Brier score", brier_score === null ? null : formatFigure(brier_score)],
    ["Expected calibration error", calibration && percent(calibration.expected_error)],
    ["Mean entropy", mean_entropy === null ? null : `${formatFigure(mean_entropy)} nats`],
    ["Examples", formatCount(summary.examples)],
  ];
  return known.filter((each): each is [string, string] => each[1] !== null);
}

export type SortKey = "name" | "support" | "precision" | "recall" | "f1" | "predicted";

/** The rows by a column; those without a value come last, equal ones stay as they were. */
export function sorted(rows: readonly ClassRow[], key: SortKey, descending: boolean): ClassRow[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [sortValue(a, key), sortValue(b, key)];
    if (x === null || y === null) return Number(x === null) - Number(y === null);
    return sign * (typeof x === "string" ? x.localeCompare(String(y)) : x - Number(y));
  });
}

/** A class counts as predicted for examples without a label, too. */
export function predictedCount(row: ClassRow): number {
  return row.predicted + row.predicted_unlabeled;
}

function sortValue(row: ClassRow, key: SortKey): string | number | null {
  return key === "predicted" ? predictedCount(row) : row[key];
}
