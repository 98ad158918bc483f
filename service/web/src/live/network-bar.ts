/** Which network, and which of its layers. */

import { getCatalog, listJobs } from "../api/client";
import type { Catalog, Job, ModelChoice, NetworkInfo, Shape } from "../api/types";
import { describeJob } from "../job-parts/describe";
import { fill, h } from "../lib/dom";
import { joined } from "../lib/format";
import { modelLabel } from "../lib/live-path";
import { canonical } from "../lib/unit-links";

export interface NetworkActions {
  onModel(model: ModelChoice): void;
  onLayer(layer: string): void;
}

export interface ModelOption {
  model: ModelChoice;
  text: string;
}

/** Weights of packages first: they are here already; then those that this service has trained. */
export function modelOptions(catalog: Catalog, trainings: readonly Job[]): ModelOption[] {
  const readers = catalog.models.filter((card) => card.reads === "images" && card.gives === "classes");
  const shipped = (source: string) =>
    readers
      .filter((card) => card.weights?.source === source)
      .map(
        (card): ModelOption => ({
          model: { name: card.name, weights: "pretrained" },
          text: joined(card.name, source === "download" && "downloaded when first used"),
        }),
      );
  const names = new Set(readers.map((card) => card.name));
  const trained = trainings.flatMap((job): ModelOption[] => {
    const name = (job.spec["model"] as { name?: unknown } | undefined)?.name;
    if (typeof name !== "string" || !names.has(name)) return [];
    return [
      {
        model: { name, weights: "pretrained", training: job.id },
        text: joined(name, `trained: ${job.title ?? (describeJob(job) || job.id)}`),
      },
    ];
  });
  return [...shipped("package"), ...trained, ...shipped("download")];
}

/** "32 × 112 × 112"; a vector as "1000". */
export function shapeText([channels, height, width]: Shape): string {
  return height * width > 1 ? `${channels} × ${height} × ${width}` : String(channels);
}

/** The layer before or after another among those that people ask for. */
export function neighborLayer(network: NetworkInfo, layer: string, step: -1 | 1): string | null {
  const at = network.suggested.indexOf(layer);
  if (at < 0) return network.suggested[0] ?? null;
  return network.suggested[at + step] ?? null;
}

function key(model: ModelChoice): string {
  return canonical(model);
}

export class NetworkBar {
  private readonly models = h("select", { class: "field select", label: "Network", testid: "live-model" });
  private readonly layers = h("select", {
    class: "field select",
    label: "Layer",
    testid: "live-layer",
    attrs: { disabled: "" },
  });
  readonly element = h(
    "div",
    { class: "live-bar" },
    h("label", { class: "live-choice" }, h("span", {}, "Network"), this.models),
    h("label", { class: "live-choice" }, h("span", {}, "Layer"), this.layers),
  );
  private options: ModelOption[] = [];

  constructor(actions: NetworkActions) {
    this.models.addEventListener("change", () => {
      const chosen = this.options.find(({ model }) => key(model) === this.models.value);
      if (chosen) actions.onModel(chosen.model);
    });
    this.layers.addEventListener("change", () => actions.onLayer(this.layers.value));
  }

  /** Offers what the service has, with ``asked`` among it, and says which is to be taken. */
  async offer(asked: ModelChoice | null): Promise<ModelChoice | null> {
    const [catalog, trainings] = await Promise.all([getCatalog(), listJobs("job=training&status=SUCCEEDED&limit=100")]);
    this.options = modelOptions(catalog, trainings.jobs);
    if (asked && !this.options.some(({ model }) => key(model) === key(asked))) {
      this.options.unshift({ model: asked, text: joined(modelLabel(asked), asked.training ?? asked.weights) });
    }
    fill(this.models, ...this.options.map(({ model, text }) => h("option", { attrs: { value: key(model) } }, text)));
    const chosen = asked ?? this.options[0]?.model ?? null;
    if (chosen) this.models.value = key(chosen);
    return chosen;
  }

  /** The layers of a network; none while it starts. */
  layersOf(network: NetworkInfo | null): void {
    this.layers.disabled = network === null;
    if (!network) return fill(this.layers);
    const shapes = new Map(network.layers.map(({ layer, shape }) => [layer, shape]));
    const option = (layer: string) =>
      h("option", { attrs: { value: layer } }, joined(layer, shapeText(shapes.get(layer)!)));
    const rest = network.layers.map(({ layer }) => layer).filter((layer) => !network.suggested.includes(layer));
    fill(
      this.layers,
      h("optgroup", { attrs: { label: "Layers people ask for" } }, ...network.suggested.map(option)),
      h("optgroup", { attrs: { label: "All others" } }, ...rest.map(option)),
    );
  }

  selectLayer(layer: string): void {
    this.layers.value = layer;
  }
}
