/** Predictions: how good the classifier is, and under it the examples with what it says of each. */

import type { Row, StoredImage } from "../api/types";
import { LineChart } from "../charts/line-chart";
import { Asking } from "../job-parts/asking";
import { h } from "../lib/dom";
import { formatFigure, joined } from "../lib/format";
import { imageElement } from "./image";
import {
  attributesOf,
  className,
  EXAMPLE_COLUMNS,
  type ExampleValues,
  exampleFacts,
  type Fact,
  factList,
  names,
  section,
} from "./parts";
import { percent } from "./percent";
import { predictedText } from "./predicted-text";
import { MeasuresPart } from "./predictions-measures";
import { type About, type Opened, rowGallery } from "./types";

interface Predicted extends ExampleValues {
  thumbnail: StoredImage | null;
  prediction: number;
  predicted: string;
  confidence: number | null;
  entropy: number | null;
  margin: number | null;
  correct: boolean | null;
  label_rank: number | null;
  loss: number | null;
  top: number[];
  top_probabilities: (number | null)[];
  step_predictions?: number[];
  step_confidences?: (number | null)[];
  step_entropies?: (number | null)[];
  decided_at?: number;
}

const WALL_COLUMNS = ["example_id", "label", "thumbnail", "predicted", "confidence", "correct", "attributes"];
const STEP_COLUMNS = ["step_predictions", "step_confidences", "step_entropies", "decided_at"];
const COLUMNS = [
  ...EXAMPLE_COLUMNS,
  "thumbnail",
  "prediction",
  "predicted",
  "confidence",
  "entropy",
  "margin",
  "correct",
  "label_rank",
  "loss",
  "top",
  "top_probabilities",
];

/** "right", "wrong", or nothing where there is no label to judge by. */
export function verdict(correct: boolean | null): string {
  return correct === null ? "" : correct ? "right" : "wrong";
}

/** What was said at each step, as runs: "trouser from step 0, dress from step 9". */
export function stepRuns(predictions: readonly number[], outputs: readonly string[]): string {
  const runs = predictions.flatMap((output, step) =>
    step === 0 || output !== predictions[step - 1] ? [`${className(outputs, output)} from step ${step}`] : [],
  );
  return runs.join(", ");
}

class PredictionView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly asking: Asking;
  private chart: LineChart | null = null;

  constructor(row: Row<Predicted>, about: About) {
    const { values } = row;
    const { details } = about.manifest;
    const outputs = names(details, "outputs");
    const classes = names(details, "classes");
    this.asking = new Asking(about.job.id);
    this.title = values.example_id;
    this.detail = joined(className(classes, values.label), String(details["model"] ?? ""));
    const text = values.thumbnail ? null : textOf(values);
    const shown =
      text === null
        ? imageElement(values.thumbnail, { alt: values.example_id, class: "predicted-image" })
        : predictedText(text, values.step_predictions ?? [], outputs);
    const steps = this.steps(values, outputs);
    this.element = h(
      "div",
      { class: "opened predictions" },
      h("div", { class: "wide" }, shown, text === null ? this.asking.show(values) : null, steps),
      h(
        "div",
        { class: "side" },
        section("It says", topList(values, outputs)),
        section("How sure", factList(facts(values))),
        section("Example", factList(exampleFacts(values, classes))),
      ),
    );
  }

  destroy(): void {
    this.asking.stop();
    this.chart?.destroy();
  }

  onKey(key: string): boolean {
    const ask = ({ d: "dream", e: "explain", u: "units" } as const)[key.toLowerCase()];
    if (ask) void this.asking.ask(ask);
    return ask !== undefined;
  }

  private steps(values: Predicted, outputs: readonly string[]): HTMLElement | null {
    const { step_predictions, step_confidences, decided_at } = values;
    if (!step_predictions || !step_confidences) return null;
    this.chart = new LineChart(
      [{ name: "confidence", color: "s0", values: step_confidences.map((each) => each ?? Number.NaN) }],
      {
        label: "Probability of the prediction after each step",
        xTitle: "step",
        yTitle: "probability",
        yTick: percent,
        read: percent,
        testid: "chart-steps",
      },
    );
    const said = `${stepRuns(step_predictions, outputs)}; decided at step ${decided_at ?? 0}.`;
    return section("Step by step", h("p", { class: "sentence", testid: "step-runs" }, said), this.chart.element);
  }
}

/** The text of an example that is one; null: it is none. */
function textOf({ attributes }: ExampleValues): string | null {
  const text = new Map(attributesOf(attributes)).get("text");
  return typeof text === "string" ? text : null;
}

/** The likeliest classes, a bar each. */
function topList(values: Predicted, outputs: readonly string[]): HTMLElement {
  const items = values.top.map((output, i) => {
    const chance = values.top_probabilities[i] ?? 0;
    const bar = h("i", { attrs: { "aria-hidden": "true" } });
    bar.style.setProperty("--share", String(chance));
    return h(
      "li",
      {},
      h("span", { attrs: { dir: "auto" } }, className(outputs, output)),
      h("span", { class: "faint" }, percent(chance)),
      bar,
    );
  });
  return h("ol", { class: "chances", testid: "top" }, ...items);
}

function nats(value: number | null): string {
  return value === null ? "" : `${formatFigure(value)} nats`;
}

function facts(values: Predicted): Fact[] {
  return [
    ["Right or wrong", verdict(values.correct) || "no label to judge by"],
    ["Rank of the label", values.label_rank === null ? "" : String(values.label_rank)],
    ["Entropy", nats(values.entropy)],
    ["Margin", values.margin === null ? "" : percent(values.margin)],
    ["Loss", nats(values.loss)],
  ];
}

export const gallery = rowGallery<Predicted>({
  kind: "predictions",
  noun: "example",
  wallColumns: WALL_COLUMNS,
  columns: COLUMNS,
  moreColumns: (about) =>
    (about.manifest.details["summary"] as { steps?: unknown } | undefined)?.steps ? STEP_COLUMNS : [],
  orders: [
    { value: "", label: "As in the dataset" },
    { value: "-confidence", where: ["correct=false"], label: "Wrong, surest first" },
    { value: "-loss", label: "Largest loss first" },
    { value: "-entropy", label: "Least sure first" },
    { value: "margin", label: "Smallest margin first" },
  ],
  hints: [
    [["D"], "dream it"],
    [["E"], "explain it"],
    [["U"], "which units"],
  ],
  above: (about, filter) => new MeasuresPart(about, filter),
  tile({ values }, about) {
    const { thumbnail, predicted, confidence, correct, label } = values;
    const own = className(names(about.manifest.details, "classes"), label);
    const said = `${predicted}${confidence === null ? "" : `, ${percent(confidence)}`}`;
    return {
      image: thumbnail,
      text: thumbnail ? null : textOf(values),
      name: said,
      caption: correct === false ? `is ${own}` : own,
      ...(correct === false ? { badge: "wrong" } : {}),
    };
  },
  open: (row, about) => new PredictionView(row, about),
});
