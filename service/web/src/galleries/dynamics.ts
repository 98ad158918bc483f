/** Dynamics: why gradients vanish, explode, and why the cell's path does not; each chart with its numbers said. */

import { tableRows } from "../api/table-rows";
import type { Page, Route } from "../app/router";
import { toggleTheme } from "../app/theme";
import { type Line, LineChart, lineLegend } from "../charts/line-chart";
import { type Cloud, Plane } from "../charts/plane";
import {
  type Clipped,
  type Eigenvalues,
  type GradientNorm,
  grouped,
  type Headlines,
  headlines,
  type Power,
  type Saturation,
  type Spectrum,
  series,
} from "../dynamics/data";
import {
  clippingSentence,
  fromLog10,
  gateColor,
  gateName,
  gateOf,
  gatesSentence,
  gradientsSentence,
  jacobiansSentence,
  matrixName,
  networkName,
  pathName,
  placeName,
  powerOfTen,
  powersSentence,
  spectraSentence,
} from "../dynamics/words";
import { describeJob } from "../job-parts/describe";
import { pageHead } from "../job-parts/parts";
import { fill, h, isTyping } from "../lib/dom";
import { formatCount, formatFigure, joined, plural } from "../lib/format";
import type { About, PageGallery } from "./types";

const COLORS = 8;
const MOST_PLANES = 8;
const MOST_LINES = 16;

function color(index: number): string {
  return `s${index % COLORS}`;
}

interface Chart {
  element: HTMLElement;
  destroy(): void;
}

class DynamicsPage implements Page {
  private readonly head: ReturnType<typeof pageHead>;
  private readonly main = h("main", { class: "page-main dynamics" });
  private readonly ended = new AbortController();
  private readonly charts: Chart[] = [];
  private readonly told: Headlines;
  private readonly several: boolean;

  constructor(
    app: HTMLElement,
    private readonly about: About,
  ) {
    const { job, manifest } = about;
    this.told = headlines(manifest);
    this.several = this.told.networks.some((each) => each.layers > 1 || each.bidirectional);
    const title = job.title || describeJob(job) || "Dynamics";
    this.head = pageHead([
      h("a", { href: "/jobs", class: "trail" }, "Jobs"),
      h("a", { href: `/jobs/${encodeURIComponent(job.id)}`, class: "trail", title: job.id, testid: "to-job" }, title),
    ]);
    document.title = `${title} · featurescape`;
    fill(
      this.main,
      h(
        "div",
        { class: "page-title" },
        h("p", { class: "kind" }, "Dynamics"),
        h("h1", {}, title),
        h("p", { class: "faint" }, this.summary()),
      ),
    );
    fill(app, h("div", { class: "page dynamics-page" }, this.head.element, this.main));
    document.addEventListener("keydown", this.onKey);
    void this.load();
  }

  destroy(): void {
    this.ended.abort();
    document.removeEventListener("keydown", this.onKey);
    for (const chart of this.charts) chart.destroy();
    this.head.destroy();
  }

  private readonly onKey = (event: KeyboardEvent) => {
    if (event.key === "t" && !isTyping(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey)
      toggleTheme();
  };

  private summary(): string {
    const { networks, examples, steps } = this.told;
    const named = networks.map(
      (each) =>
        `${networkName(each.network)} of ${plural(each.hidden_units, "unit")}${each.layers > 1 ? `, ${each.layers} layers` : ""}${each.training ? "" : ", not trained"}`,
    );
    return joined(...named, examples > 0 && `${plural(examples, "example")} of ${formatCount(steps)} steps`);
  }

  private async load(): Promise<void> {
    try {
      await Promise.all(
        [this.spectra(), this.powers(), this.gradients(), this.jacobians(), this.gates(), this.clipping()].map(
          async (part) => {
            const slot = h("div", { class: "slot" });
            this.main.append(slot);
            const element = await part;
            if (element) slot.replaceWith(element);
            else slot.remove();
          },
        ),
      );
    } catch (error) {
      if (this.ended.signal.aborted) return;
      this.main.append(h("p", { class: "problem", role: "alert" }, (error as Error).message));
    }
    document.body.dataset.ready = "true";
  }

  private rows<V>(kind: string, columns: readonly string[]): Promise<V[]> {
    return tableRows<V>(this.about.manifest, kind, columns, this.ended.signal);
  }

  private kept<T extends Chart>(chart: T): HTMLElement {
    this.charts.push(chart);
    return chart.element;
  }

  private part(name: string, title: string, sentence: string, ...content: Node[]): HTMLElement {
    return h(
      "section",
      { class: "part", testid: `part-${name}` },
      h("h2", {}, title),
      h("p", { class: "sentence", testid: `sentence-${name}` }, sentence),
      ...content,
    );
  }

  private place(row: { network: string; layer: string | null }): string {
    return placeName(row.network, row.layer, this.several);
  }

  /** A square per network and layer, a color per group of its rows. */
  private planes<V extends { network: string; layer: string | null }>(
    rows: readonly V[],
    clouds: (rows: V[]) => Cloud[],
    options: { label: string; xTitle: string; yTitle: string; guide: "circle" | "shares"; testid: string },
  ): HTMLElement {
    const places = [...grouped(rows, (row) => this.place(row))].slice(0, MOST_PLANES);
    return h(
      "div",
      { class: "planes" },
      ...places.map(([title, found]) => {
        const drawn = clouds(found);
        const plane = this.kept(new Plane(drawn, { ...options, title, label: `${options.label}: ${title}` }));
        if (drawn.length > 1) plane.append(lineLegend(drawn));
        return plane;
      }),
    );
  }

  private async spectra(): Promise<HTMLElement | null> {
    const columns = ["network", "layer", "matrix", "eigenvalues_real", "eigenvalues_imaginary"];
    const rows = (await this.rows<Spectrum>("spectra", columns)).filter(
      (row) => row.eigenvalues_real && !row.matrix.startsWith("theta_x"),
    );
    if (rows.length === 0) return null;
    const colored = (row: Spectrum, i: number) =>
      color(row.network === "matrix" ? i : gateColor(gateOf(row.matrix) ?? "h"));
    const clouds = (found: Spectrum[]) => found.map((row, i) => cloud(matrixName(row.matrix), colored(row, i), [row]));
    const planes = this.planes(rows, clouds, {
      ...EIGENVALUES,
      label: "Eigenvalues of the matrices",
      testid: "plane-spectra",
    });
    return this.part("spectra", "Eigenvalues", spectraSentence(this.told), planes);
  }

  private async powers(): Promise<HTMLElement | null> {
    const columns = ["network", "layer", "matrix", "power", "log10_norm", "log10_largest"];
    const rows = (await this.rows<Power>("powers", columns)).filter((row) => !gateOf(row.matrix));
    if (rows.length === 0) return null;
    const named = (row: Power) =>
      row.network === "matrix" ? row.matrix : `${this.place(row)} ${matrixName(row.matrix)}`;
    const lines = [...grouped(rows, named)].slice(0, MOST_LINES).map(
      ([name, found], i): Line => ({
        name,
        color: color(i),
        values: series(
          found,
          (row) => row.power,
          (row) => row.log10_norm,
        ),
        beside: series(
          found,
          (row) => row.power,
          (row) => row.log10_largest,
        ),
      }),
    );
    const chart = this.kept(
      new LineChart(lines, {
        ...LOGARITHMIC,
        label: "Norms of the powers of each matrix",
        xTitle: "t",
        yTitle: "‖θᵗ‖",
        testid: "chart-powers",
      }),
    );
    return this.part("powers", "Powers", powersSentence(this.told, rows), chart, lineLegend(lines));
  }

  private async gradients(): Promise<HTMLElement | null> {
    const rows = await this.rows<GradientNorm>("gradient_norms", [
      "network",
      "layer",
      "path",
      "distance",
      "log10_mean",
      "log10_low",
      "log10_high",
    ]);
    if (rows.length === 0) return null;
    const lines = [...grouped(rows, (row) => `${this.place(row)} ${pathName(row.path)}`)]
      .slice(0, MOST_LINES)
      .map(([name, found], i): Line => {
        const of = (value: (row: GradientNorm) => number) => series(found, (row) => row.distance, value);
        return {
          name,
          color: color(i),
          values: of((row) => row.log10_mean),
          band: [of((row) => row.log10_low), of((row) => row.log10_high)],
        };
      });
    const options = {
      ...LOGARITHMIC,
      label: "Norms of the gradients through time",
      xTitle: "steps back",
      yTitle: "norm of the gradient",
      testid: "chart-gradients",
    };
    const chart = this.kept(new LineChart(lines, options));
    return this.part("gradients", "Gradients through time", gradientsSentence(this.told), chart, lineLegend(lines));
  }

  private async jacobians(): Promise<HTMLElement | null> {
    const rows = await this.rows<Eigenvalues>("jacobians", [
      "network",
      "layer",
      "eigenvalues_real",
      "eigenvalues_imaginary",
    ]);
    if (rows.length === 0) return null;
    const order = [...new Set(rows.map((row) => row.network))];
    const clouds = (found: Eigenvalues[]) => [
      cloud(`${found.length} steps`, color(order.indexOf(found[0]!.network)), found),
    ];
    const planes = this.planes(rows, clouds, {
      ...EIGENVALUES,
      label: "Eigenvalues of the Jacobians",
      testid: "plane-jacobians",
    });
    return this.part("jacobians", "One step on data", jacobiansSentence(this.told), planes);
  }

  private async gates(): Promise<HTMLElement | null> {
    const rows = await this.rows<Saturation>("saturation", ["network", "layer", "gate", "unit", "low", "high"]);
    if (rows.length === 0) return null;
    const clouds = (found: Saturation[]) =>
      [...grouped(found, (row) => row.gate)].map(([gate, units]) => ({
        name: `${gateName(gate)} ${gate}`,
        color: color(gateColor(gate)),
        x: units.map((row) => row.low),
        y: units.map((row) => row.high),
      }));
    const planes = this.planes(rows, clouds, {
      label: "How often each unit is saturated",
      xTitle: "share of steps shut",
      yTitle: "share of steps open",
      guide: "shares",
      testid: "plane-gates",
    });
    return this.part("gates", "Gates", gatesSentence(this.told), planes);
  }

  private async clipping(): Promise<HTMLElement | null> {
    const sentence = clippingSentence(this.told);
    const rows = await this.rows<Clipped>("clipping", ["network", "batch", "norm", "clipped_norm"]);
    if (rows.length === 0) return sentence ? this.part("clipping", "Clipping", sentence) : null;
    const lines = [...grouped(rows, (row) => networkName(row.network))].map(
      ([name, found], i): Line => ({
        name,
        color: color(i),
        values: series(
          found,
          (row) => row.batch,
          (row) => row.norm,
        ),
        beside: series(
          found,
          (row) => row.batch,
          (row) => row.clipped_norm,
        ),
      }),
    );
    const chart = new LineChart(lines, {
      label: "Norms of the parameters’ gradient, batch by batch",
      xTitle: "batch",
      yTitle: "norm",
      level: { value: this.told.clip_norm, name: "clip" },
      yTick: formatFigure,
      read: formatFigure,
      testid: "chart-clipping",
    });
    return this.part("clipping", "Clipping", sentence, this.kept(chart), lineLegend(lines));
  }
}

const EIGENVALUES = { xTitle: "real part of λ", yTitle: "imaginary part of λ", guide: "circle" } as const;
const LOGARITHMIC = { level: { value: 0, name: "1" }, yTick: powerOfTen, read: fromLog10, whole: true };

function cloud(name: string, colorName: string, rows: readonly Eigenvalues[]): Cloud {
  return {
    name,
    color: colorName,
    x: rows.flatMap((row) => row.eigenvalues_real ?? []),
    y: rows.flatMap((row) => row.eigenvalues_imaginary ?? []),
  };
}

export const gallery: PageGallery = {
  show: (app: HTMLElement, about: About, _route: Route): Page => new DynamicsPage(app, about),
};
