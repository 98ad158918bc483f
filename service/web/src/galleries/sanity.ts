/** The sanity check of a gradients job: what is left of a method's maps while weights become random. */

import { getRows } from "../api/client";
import type { StoredImage } from "../api/types";
import { LineChart } from "../charts/line-chart";
import { fill, h } from "../lib/dom";
import { plural } from "../lib/format";
import { imageElement } from "./image";
import { section } from "./parts";
import type { About } from "./types";

interface Spread {
  least: number;
  low: number;
  median: number;
  high: number;
  largest: number;
}

interface StageFigures {
  measured: number;
  undefined: number;
  spearman: Spread | null;
}

interface CheckedMethod {
  method: string;
  verdict: "passed" | "failed" | "undecided" | "unmeasured";
  stages: StageFigures[];
}

/** As the manifest has it. */
export interface SanityCheck {
  examples: string[];
  draws: number;
  modules: number;
  stages: { stage: number; modules: number; module: string | null }[];
  methods: CheckedMethod[];
  passes_below: number;
  fails_above: number;
}

interface CheckedImage {
  example_id: string;
  image: StoredImage | null;
  checks: { method: string; draw: number; stage: number; spearman: number | null; overlay: StoredImage | null }[];
}

const COLUMNS = [
  "example_id",
  "image",
  "checks.method",
  "checks.draw",
  "checks.stage",
  "checks.spearman",
  "checks.overlay",
];
const MOST_IMAGES = 16;

/** The check that the job made; null: none was asked for. */
export function sanityOf(about: About): SanityCheck | null {
  return (about.manifest.details["sanity"] as SanityCheck | null | undefined) ?? null;
}

const figure = (value: number) => value.toFixed(2);

/** The verdict in words, which say no more than was measured. */
export function sanitySentence(check: SanityCheck, name: string): string {
  const method = check.methods.find((each) => each.method === name);
  if (!method) return "This method was not checked.";
  const last = method.stages[method.stages.length - 1];
  const of = `${plural(check.examples.length, "image")}, ${plural(check.draws, "random network")} each`;
  const undefined_ = last?.undefined
    ? ` Of ${last.undefined + last.measured}, ${last.undefined} had no differences to compare.`
    : "";
  if (!last?.spearman) return `With all weights random, no map had differences to compare (${of}).`;
  const { low, median, high } = last.spearman;
  const measured = `With all weights random, the rank correlation with the map of the given weights is ${figure(median)} in the median, half of them from ${figure(low)} to ${figure(high)} (${of}).${undefined_}`;
  return `${measured} ${verdictWords(check, method.verdict)}`;
}

function verdictWords(check: SanityCheck, verdict: CheckedMethod["verdict"]): string {
  if (verdict === "passed")
    return `Passed: three in four are below ${check.passes_below}. These maps depended on the weights; it does not follow that they show what the network decides by.`;
  if (verdict === "failed")
    return `Failed: three in four are above ${check.fails_above}. Weights that learned nothing give much the same maps.`;
  if (verdict === "undecided")
    return `Undecided: neither are three in four below ${check.passes_below}, nor above ${check.fails_above}.`;
  return "Unmeasured: fewer than half can be compared.";
}

/** Median and quartiles by stage; the given weights are stage 0, where a map is compared with itself. */
export function sanityCurve(method: CheckedMethod): { values: number[]; low: number[]; high: number[] } {
  const of = (key: keyof Spread) => [1, ...method.stages.map(({ spearman }) => spearman?.[key] ?? Number.NaN)];
  return { values: of("median"), low: of("low"), high: of("high") };
}

/** The part of an opened image that shows the check, of one method at a time. */
export class SanityPart {
  readonly element: HTMLElement;
  private readonly content = h("div", { class: "sanity" });
  private readonly ended = new AbortController();
  private chart: LineChart | null = null;
  private shown: CheckedImage | null = null;
  private method = "";

  constructor(
    private readonly check: SanityCheck,
    private readonly about: About,
    exampleId: string,
  ) {
    this.element = section("Sanity check", this.content);
    this.element.dataset.testid = "sanity";
    void this.load(exampleId);
  }

  show(method: string): void {
    this.method = method;
    this.chart?.destroy();
    this.chart = null;
    const sentence = h("p", { class: "sentence", testid: "sanity-sentence" }, sanitySentence(this.check, method));
    const checked = this.check.methods.find((each) => each.method === method);
    if (!checked) return fill(this.content, sentence);
    const { values, low, high } = sanityCurve(checked);
    this.chart = new LineChart([{ name: "rank correlation", color: "s0", values, band: [low, high] }], {
      label: "Rank correlation with the map of the given weights, by stage",
      xTitle: "stage",
      yTitle: "rank correlation",
      level: { value: this.check.passes_below, name: "passes below" },
      yTick: (value) => value.toFixed(1),
      read: figure,
      testid: "chart-sanity",
    });
    const legend = h(
      "p",
      { class: "quiet" },
      `Median over all images and random networks, quartiles shaded; the line is at ${this.check.passes_below}.`,
    );
    fill(this.content, sentence, this.strip(), this.chart.element, legend);
  }

  destroy(): void {
    this.ended.abort();
    this.chart?.destroy();
  }

  private async load(exampleId: string): Promise<void> {
    try {
      const page = await getRows<CheckedImage>(
        this.about.manifest.job_id,
        "sanity",
        { limit: MOST_IMAGES, columns: COLUMNS },
        this.ended.signal,
      );
      const rows = page.rows.map((row) => row.values);
      this.shown = rows.find((row) => row.example_id === exampleId) ?? rows[0] ?? null;
      this.show(this.method);
    } catch (error) {
      if (!this.ended.signal.aborted)
        this.content.append(h("p", { class: "problem", role: "alert" }, (error as Error).message));
    }
  }

  /** The maps of the first draw, stage by stage, of this image or the first that was checked. */
  private strip(): HTMLElement {
    const row = this.shown;
    if (!row) return h("div", {});
    const checks = row.checks.filter((each) => each.method === this.method && each.draw === 0);
    const cells = checks.map(({ stage, spearman, overlay }) => {
      const about = this.check.stages[stage];
      const what = stage === 0 ? "given weights" : `${about?.modules ?? "?"} of ${this.check.modules} random`;
      return h(
        "li",
        { title: about?.module ? `random down to ${about.module}` : what },
        h(
          "span",
          { class: "layers small" },
          imageElement(row.image, { alt: "", class: "under" }),
          imageElement(overlay, { alt: `Stage ${stage}: ${what}`, class: "overlay" }),
        ),
        h("span", {}, `${stage} · ${what}`),
        h("span", { class: "quiet" }, spearman === null ? "no differences" : figure(spearman)),
      );
    });
    return h(
      "figure",
      { class: "sanity-strip" },
      h("ol", { testid: "sanity-strip" }, ...cells),
      h("figcaption", {}, `${row.example_id}, first random network`),
    );
  }
}
