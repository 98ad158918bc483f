// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { rowSearch } from "../src/api/client";
import { blockStart, ConfusionMatrix, strength } from "../src/galleries/confusion-matrix";
import { formatPlace, parsePlace } from "../src/galleries/place";
import { stepRuns, verdict } from "../src/galleries/predictions";
import {
  accuracySentence,
  type ClassRow,
  calibrationSentence,
  cellsOf,
  figures,
  type Matched,
  type Summary,
  sorted,
} from "../src/galleries/predictions-data";
import { MeasuresPart } from "../src/galleries/predictions-measures";
import { binSentence, reliabilityDiagram } from "../src/galleries/reliability";
import type { About } from "../src/galleries/types";
import { job, manifest } from "./helpers/builders";
import { at, press, settle, shown, texts } from "./helpers/page";
import { Service } from "./helpers/service";

const BIN = { low: 0.8, high: 0.9, examples: 4, confidence: 0.85, accuracy: 0.5 };
const SUMMARY: Summary = {
  examples: 12,
  labeled: 10,
  accuracy: 0.7,
  top_accuracy: [0.7, 0.9],
  macro: { precision: 0.5, recall: 0.6, f1: 0.55 },
  weighted: { precision: 0.7, recall: 0.7, f1: 0.7 },
  log_loss: 0.5,
  brier_score: 0.4,
  calibration: { expected_error: 0.1, maximum_error: 0.35, bins: [BIN] },
  mean_entropy: 0.3,
  mean_confidence: 0.8,
  steps: null,
};
const MATCHED: Matched = {
  matched_by: "name",
  outputs_of_labels: [2, 0],
  unmatched: 0,
  unmatched_classes: [],
  why: "",
};

/** Shirts that are taken for coats (3) more often than the reverse (1); bags that never are. */
function classes(): ClassRow[] {
  const row = (index: number, name: string, rest: Partial<ClassRow>): ClassRow => ({
    index,
    name,
    place: index,
    support: 4,
    predicted: 4,
    predicted_unlabeled: 0,
    correct: 4,
    precision: 1,
    recall: 1,
    f1: 1,
    confused_with: [index],
    confused_counts: [4],
    ...rest,
  });
  return [
    row(0, "coat", { recall: 0.75, f1: 0.6, confused_with: [0, 2], confused_counts: [3, 1] }),
    row(1, "<b>bag", { precision: null }),
    row(2, "shirt", { recall: 0.25, f1: 0.3, confused_with: [0, 2], confused_counts: [3, 1] }),
  ];
}

describe("what was measured, in words", () => {
  it("says how often it is right, and of how many", () => {
    expect(accuracySentence(SUMMARY, MATCHED)).toBe(
      "Right for 70 % of 10 examples; the label is among its 2 likeliest for 90 %. 2 examples without a label that applies.",
    );
  });

  it("judges nothing where no label applies, and says why", () => {
    const none = { ...SUMMARY, labeled: 0, accuracy: null, top_accuracy: null };
    const matched = { ...MATCHED, why: "none of the classes has the name of an output" };
    expect(accuracySentence(none, matched)).toContain("No label applies: none of the classes has the name");
    expect(
      figures({ ...none, macro: null, weighted: null, log_loss: null, brier_score: null, calibration: null }),
    ).toEqual([
      ["Mean entropy", "0.3 nats"],
      ["Examples", "12"],
    ]);
    expect(calibrationSentence(none)).toBe("");
  });

  it("calls it too sure, too unsure, or neither", () => {
    expect(calibrationSentence(SUMMARY)).toContain("10 % apart in the mean of 15 bins, 35 % at most: too sure.");
    expect(calibrationSentence({ ...SUMMARY, mean_confidence: 0.6 })).toContain("too unsure");
    expect(calibrationSentence({ ...SUMMARY, mean_confidence: 0.702 })).toContain("neither");
  });

  it("says a bin, with and without examples", () => {
    expect(binSentence(BIN)).toBe("80 % to 90 % sure: 4 examples, 85 % sure in the mean, 50 % right");
    expect(binSentence({ ...BIN, examples: 0, accuracy: null, confidence: null })).toBe(
      "80 % to 90 % sure: no example",
    );
    const drawn = reliabilityDiagram([BIN, { ...BIN, examples: 0, accuracy: null, confidence: null }]);
    expect(drawn.querySelectorAll(".reliability-bar")).toHaveLength(1);
    expect(texts(drawn, "li")).toHaveLength(1);
  });

  it("says what was said at each step as runs", () => {
    expect(stepRuns([1, 1, 0, 0], ["a", "b"])).toBe("b from step 0, a from step 2");
    expect([true, false, null].map(verdict)).toEqual(["right", "wrong", ""]);
  });
});

describe("confusions", () => {
  it("come with the commonest first, and the diagonal last", () => {
    const cells = cellsOf(classes());
    expect(cells.map((cell) => `${cell.true.name} ${cell.predicted.name} ${cell.count}`)).toEqual([
      "shirt coat 3",
      "coat shirt 1",
      "<b>bag <b>bag 4",
      "coat coat 3",
      "shirt shirt 1",
    ]);
    expect(cells[0]!.share).toBe(0.75);
  });

  it("are sorted by any column, those without a value last", () => {
    const by = (key: Parameters<typeof sorted>[1], down: boolean) =>
      sorted(classes(), key, down).map((row) => row.index);
    expect(by("f1", false)).toEqual([2, 0, 1]);
    expect(by("f1", true)).toEqual([1, 0, 2]);
    expect(by("precision", false)).toEqual([0, 2, 1]);
    expect(by("precision", true)).toEqual([0, 2, 1]);
    expect(by("name", false)).toEqual([1, 0, 2]);
  });

  it("are drawn so that few can be seen, too", () => {
    expect([0, 0.0001, 0.25, 1].map(strength)).toEqual([0, 0.12, 0.5, 1]);
    expect([0, 50, 99].map((place) => blockStart(place, 100, 30))).toEqual([0, 35, 70]);
  });

  it("are moved over by keys, and chosen by Enter", () => {
    const chosen: string[] = [];
    const cells = cellsOf(classes());
    const matrix = new ConfusionMatrix(classes(), cells, (cell) =>
      chosen.push(`${cell.true.name} ${cell.predicted.name}`),
    );
    shown(matrix.element);
    const canvas = at(matrix.element, "confusion");
    press(canvas, "ArrowDown");
    press(canvas, "ArrowDown");
    expect(at(matrix.element, "confusion-reading").textContent).toBe("shirt taken for coat: 3 (75 %)");
    press(canvas, "Enter");
    press(canvas, "ArrowRight");
    press(canvas, "Enter"); // shirts are never taken for bags
    expect(chosen).toEqual(["shirt coat"]);
  });

  it("of many classes are shown as a block around a cell, and whole again", () => {
    const many = Array.from({ length: 100 }, (_, index) => ({
      ...classes()[1]!,
      index,
      place: index,
      confused_with: [index],
    }));
    const matrix = new ConfusionMatrix(many, cellsOf(many), () => undefined);
    shown(matrix.element);
    const canvas = at(matrix.element, "confusion");
    expect(canvas.getAttribute("aria-label")).toContain("of 100 classes");
    press(canvas, "Enter");
    expect(canvas.getAttribute("aria-label")).toContain("of 30 of 100 classes");
    press(canvas, "Escape");
    expect(canvas.getAttribute("aria-label")).toContain("of 100 classes");
  });
});

describe("the measures above the wall", () => {
  let service: Service;
  beforeEach(() => {
    service = new Service();
  });
  afterEach(() => vi.unstubAllGlobals());

  it("show the examples of a confusion, and of a class", async () => {
    const rows = classes().map((values, row) => ({ row, values }));
    service.on(/rows\/classes\?/, () => ({ total: 3, offset: 0, columns: [], rows }));
    const file = { path: "data/classes.parquet", kind: "classes", size_bytes: 1, sha256: "", rows: 3 };
    const about: About = {
      job: job({ id: "predictions-1" }),
      manifest: manifest({ files: [file], details: { summary: SUMMARY, labels: MATCHED } }),
    };
    const asked: [readonly string[], string][] = [];
    const part = new MeasuresPart(about, { show: (where, words) => asked.push([where, words]) });
    shown(part.element);
    await settle();
    at(part.element, "confusion-pair").click();
    expect(asked).toEqual([[["label=0", "prediction=0"], "shirt → coat"]]);
    at(part.element, "sort-name").click();
    expect(texts(at(part.element, "classes"), "tbody button")).toEqual(["<b>bag", "coat", "shirt"]);
    at(part.element, "classes").querySelectorAll<HTMLElement>("tbody button")[2]!.click();
    expect(asked[1]).toEqual([["label=0"], "shirt"]);
    part.destroy();
  });
});

describe("conditions of rows", () => {
  it("are repeated in a request, and kept in the address of what is opened", () => {
    expect(rowSearch({ limit: 2, where: ["label=1", "correct=false"] })).toBe(
      "?limit=2&where=label%3D1&where=correct%3Dfalse",
    );
    expect(rowSearch({ where: [] })).toBe("");
    const place = { order: "-loss", where: ["label=1"], index: 3 };
    expect(parsePlace(formatPlace(place))).toEqual(place);
    expect(parsePlace(formatPlace({ order: "", where: ["label=1"], index: 0 }))).toEqual({
      order: "",
      where: ["label=1"],
      index: 0,
    });
  });
});
