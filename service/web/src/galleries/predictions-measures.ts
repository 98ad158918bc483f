/** The measures above the wall of examples: sentences, confusion, calibration, classes, steps. */

import { tableRows } from "../api/table-rows";
import { LineChart, lineLegend } from "../charts/line-chart";
import { fill, h } from "../lib/dom";
import { formatCount, formatFigure } from "../lib/format";
import { ConfusionMatrix } from "./confusion-matrix";
import { factList, section } from "./parts";
import { percent } from "./percent";
import {
  accuracySentence,
  type Cell,
  CLASS_COLUMNS,
  type ClassRow,
  calibrationSentence,
  cellsOf,
  figures,
  matchedOf,
  predictedCount,
  type SortKey,
  type StepMeasures,
  sorted,
  summaryOf,
} from "./predictions-data";
import { reliabilityDiagram } from "./reliability";
import type { About, Above, WallFilter } from "./types";

const TOP_CONFUSIONS = 12;
const CLASS_ROWS = 20;
const SORTS: readonly (readonly [key: SortKey, label: string])[] = [
  ["name", "Class"],
  ["support", "Examples"],
  ["predicted", "Predicted"],
  ["precision", "Precision"],
  ["recall", "Recall"],
  ["f1", "F1"],
];

export class MeasuresPart implements Above {
  readonly element = h("div", { class: "measures", testid: "measures" });
  private readonly ended = new AbortController();
  private readonly charts: { destroy(): void }[] = [];

  constructor(
    private readonly about: About,
    private readonly filter: WallFilter,
  ) {
    const summary = summaryOf(about);
    const sentence = h("p", { class: "sentence", testid: "accuracy" }, accuracySentence(summary, matchedOf(about)));
    this.element.append(section("How good", sentence, factList(figures(summary))));
    if (summary.calibration) {
      const said = h("p", { class: "sentence", testid: "calibration" }, calibrationSentence(summary));
      this.element.append(
        section("Can its confidence be believed", said, reliabilityDiagram(summary.calibration.bins)),
      );
    }
    if (summary.steps) this.element.append(this.steps(summary.steps));
    void this.load();
  }

  destroy(): void {
    this.ended.abort();
    for (const chart of this.charts) chart.destroy();
  }

  private async load(): Promise<void> {
    const slot = h("div", { class: "measures-classes" });
    this.element.append(slot);
    try {
      const rows = await tableRows<ClassRow>(this.about.manifest, "classes", CLASS_COLUMNS, this.ended.signal);
      const cells = cellsOf(rows);
      fill(slot, cells.length > 0 && this.confusions(rows, cells), this.classes(rows));
    } catch (error) {
      if (this.ended.signal.aborted) return;
      fill(slot, h("p", { class: "problem", role: "alert" }, (error as Error).message));
    }
  }

  private confusions(rows: readonly ClassRow[], cells: readonly Cell[]): HTMLElement {
    const matrix = new ConfusionMatrix(rows, cells, (cell) => this.show(cell));
    this.charts.push(matrix);
    const wrong = cells.filter((cell) => cell.true !== cell.predicted).slice(0, TOP_CONFUSIONS);
    const items = wrong.map((cell) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "text-button", testid: "confusion-pair", on: { click: () => this.show(cell) } },
          h("span", { attrs: { dir: "auto" } }, `${cell.true.name} → ${cell.predicted.name}`),
        ),
        h("span", { class: "faint" }, `${formatCount(cell.count)} (${percent(cell.share)})`),
      ),
    );
    const list = h("ol", { class: "confusions", testid: "confusions" }, ...items);
    const about = h("p", { class: "faint" }, "Classes that are taken for each other stand beside each other.");
    return section(
      "What it takes for what",
      h("div", { class: "confusion-and-list" }, matrix.element, h("div", {}, list, about)),
    );
  }

  /** The examples of a cell: those of its label of which its prediction is said. */
  private show(cell: Cell): void {
    this.filter.show(
      [...this.ofLabel(cell.true), `prediction=${cell.predicted.index}`],
      `${cell.true.name} → ${cell.predicted.name}`,
    );
  }

  /** The label whose output it is; a prediction has no label of the dataset. */
  private ofLabel(row: ClassRow): string[] {
    const label = matchedOf(this.about).outputs_of_labels.indexOf(row.index);
    return label < 0 ? [] : [`label=${label}`];
  }

  private classes(rows: readonly ClassRow[]): HTMLElement {
    const known = rows.filter((row) => row.support + predictedCount(row) > 0);
    const table = new ClassTable(known, (row) => {
      const where = row.support > 0 ? this.ofLabel(row) : [`prediction=${row.index}`];
      this.filter.show(where, row.name);
    });
    return section("Class by class", table.element);
  }

  private steps(steps: StepMeasures): HTMLElement {
    const lines = [
      { name: "accuracy", color: "s0", values: steps.accuracy.map((each) => each ?? Number.NaN) },
      { name: "confidence", color: "s1", values: steps.confidence },
      { name: "decided", color: "s2", values: steps.decided },
    ].filter((line) => line.values.some(Number.isFinite));
    const chart = new LineChart(lines, {
      label: "Accuracy, confidence and the part that has decided, after each step",
      xTitle: "step",
      yTitle: "part of the examples",
      yTick: percent,
      read: percent,
      testid: "chart-steps",
    });
    const entropy = new LineChart([{ name: "entropy", color: "s3", values: steps.entropy }], {
      label: "Mean entropy after each step",
      xTitle: "step",
      yTitle: "nats",
      yTick: formatFigure,
      read: formatFigure,
      testid: "chart-entropy",
    });
    this.charts.push(chart, entropy);
    return section("Step by step", chart.element, lineLegend(lines), entropy.element);
  }
}

class ClassTable {
  readonly element = h("div", { class: "class-table", testid: "classes" });
  private key: SortKey;
  private descending: boolean;
  private all = false;

  constructor(
    private readonly rows: readonly ClassRow[],
    private readonly onChoose: (row: ClassRow) => void,
  ) {
    const judged = rows.some((row) => row.f1 !== null);
    this.key = judged ? "f1" : "predicted";
    this.descending = !judged;
    this.draw();
  }

  private draw(focus?: SortKey): void {
    const rows = sorted(this.rows, this.key, this.descending);
    const shown = this.all ? rows : rows.slice(0, CLASS_ROWS);
    const body = h("tbody", {}, ...shown.map((row) => this.row(row)));
    const more = shown.length < rows.length && this.more(rows.length);
    fill(
      this.element,
      h("table", {}, h("thead", {}, h("tr", {}, ...SORTS.map((each) => this.header(...each)))), body),
      more,
    );
    if (focus) this.element.querySelector<HTMLElement>(`[data-key="${focus}"]`)?.focus();
  }

  private header(key: SortKey, label: string): HTMLElement {
    const chosen = key === this.key;
    const button = h(
      "button",
      {
        type: "button",
        class: "text-button",
        testid: `sort-${key}`,
        attrs: { "data-key": key },
        on: { click: () => this.sort(key) },
      },
      `${label}${chosen ? (this.descending ? " ↓" : " ↑") : ""}`,
    );
    const order = chosen ? (this.descending ? "descending" : "ascending") : "none";
    return h("th", { attrs: { scope: "col", "aria-sort": order } }, button);
  }

  private sort(key: SortKey): void {
    this.descending = key === this.key ? !this.descending : key === "support" || key === "predicted";
    this.key = key;
    this.draw(key);
  }

  private row(row: ClassRow): HTMLElement {
    const name = h(
      "button",
      { type: "button", class: "text-button", attrs: { dir: "auto" }, on: { click: () => this.onChoose(row) } },
      row.name,
    );
    const part = (value: number | null) => h("td", {}, value === null ? "–" : percent(value));
    const count = (value: number) => h("td", {}, formatCount(value));
    return h(
      "tr",
      {},
      h("th", { attrs: { scope: "row" } }, name),
      count(row.support),
      count(predictedCount(row)),
      part(row.precision),
      part(row.recall),
      h("td", {}, row.f1 === null ? "–" : formatFigure(row.f1)),
    );
  }

  private more(count: number): HTMLElement {
    const open = () => {
      this.all = true;
      this.draw();
    };
    return h(
      "button",
      { type: "button", class: "button", testid: "classes-all", on: { click: open } },
      `All ${formatCount(count)} classes`,
    );
  }
}
