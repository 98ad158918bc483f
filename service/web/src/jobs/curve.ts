/** The curve of a training on its job's page: losses and accuracy, epoch by epoch. */

import { tableRows } from "../api/table-rows";
import type { Curve, Manifest } from "../api/types";
import { type Line, LineChart, lineLegend } from "../charts/line-chart";
import { fill, h } from "../lib/dom";
import { formatFigure } from "../lib/format";

interface HistoryRow {
  epoch: number;
  loss: number | null;
  validation_loss: number | null;
  validation_accuracy: number | null;
}

const COLUMNS = ["epoch", "loss", "validation_loss", "validation_accuracy"] as const;

/** Values at epochs 0, 1, 2, …: NaN where there is none, a straight line between epochs that are shown. */
export function byEpoch(epochs: readonly number[], values: readonly (number | null)[]): number[] {
  const found = new Array<number>((epochs.at(-1) ?? -1) + 1).fill(NaN);
  epochs.forEach((epoch, i) => {
    const value = values[i] ?? NaN;
    const [before, known] = [epochs[i - 1] ?? epoch, values[i - 1] ?? NaN];
    for (let at = before + 1; at <= epoch; at++) {
      found[at] = at === epoch ? value : known + ((value - known) * (at - before)) / (epoch - before);
    }
    found[epoch] = value;
  });
  return found;
}

/** The curve that the rows of a history have. */
export function curveOf(rows: readonly HistoryRow[]): Curve {
  const column = (name: keyof HistoryRow) => rows.map((row) => row[name]);
  return {
    epoch: rows.map((row) => row.epoch),
    loss: column("loss"),
    validation_loss: column("validation_loss"),
    validation_accuracy: column("validation_accuracy"),
  };
}

/** What is said below a finished curve. */
export function keptSentence(details: Record<string, unknown>): string {
  const kept = details["kept_epoch"] ?? details["best_epoch"];
  return typeof kept === "number" ? `The weights that are kept are those of epoch ${kept}.` : "";
}

const HISTORIES: readonly [kind: string, title: string][] = [
  ["encoder_history", "Curve of the encoder"],
  ["history", "Curve"],
];

/** Charts that follow a running training, and then have its whole history. */
export class CurveBlock {
  readonly element = h("div", { class: "curves" });
  private charts: LineChart[] = [];
  private shown = "";

  /** While the job runs. */
  update(curve: Curve | undefined): void {
    if (!curve || curve.epoch.length < 2) return;
    const key = JSON.stringify(curve);
    if (key === this.shown) return;
    this.shown = key;
    this.clear();
    fill(this.element, this.section("Curve", curve, ""));
  }

  /** When it has ended well: from the tables of its artifact. */
  async show(manifest: Manifest, signal: AbortSignal): Promise<void> {
    if (manifest.job !== "training") return;
    const curves = await Promise.all(
      HISTORIES.map(async ([kind]) => curveOf(await tableRows<HistoryRow>(manifest, kind, COLUMNS, signal))),
    );
    this.clear();
    fill(
      this.element,
      ...HISTORIES.map(([kind, title], i) => {
        const note = kind === "history" ? keptSentence(manifest.details) : "";
        return curves[i]!.epoch.length > 0 && this.section(title, curves[i]!, note);
      }),
    );
  }

  private section(title: string, curve: Curve, note: string): HTMLElement {
    const line = (name: string, color: string, values: readonly (number | null)[]): Line => ({
      name,
      color,
      values: byEpoch(curve.epoch, values),
    });
    const losses = [line("training", "s0", curve.loss), line("validation", "s1", curve.validation_loss)];
    const accuracy = [line("validation", "s1", curve.validation_accuracy)];
    return h(
      "section",
      { class: "block", testid: "curve" },
      h("h2", {}, title),
      this.chart(losses, "loss (nats)", "chart-loss"),
      lineLegend(losses),
      this.chart(accuracy, "accuracy", "chart-accuracy"),
      note !== "" && h("p", { class: "faint", testid: "kept-epoch" }, note),
    );
  }

  private chart(lines: readonly Line[], yTitle: string, testid: string): HTMLElement {
    const label = `${yTitle} by epoch`;
    const chart = new LineChart(lines, {
      label,
      xTitle: "epoch",
      yTitle,
      yTick: formatFigure,
      read: formatFigure,
      testid,
    });
    this.charts.push(chart);
    return chart.element;
  }

  private clear(): void {
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
  }

  destroy(): void {
    this.clear();
  }
}
