/** What the address bar keeps of the live page. An uploaded image stays in the browser: it is not in it. */

import type { Method, ModelChoice } from "../api/types";

/** How a unit can be explained; the first is the default. */
export const METHODS = ["saliency", "guided_backprop", "deconvolution"] as const satisfies readonly Method[];

/** An image that the service has: an example of a map, or an image in a row of an artifact. */
export type Source = { map: string; row: number } | { job: string; kind: string; row: number; at: string };

export interface LiveState {
  model: ModelChoice | null;
  layer: string | null;
  channel: number | null;
  method: Method;
  source: Source | null;
}

const ID = /^[a-z0-9-]{1,40}$/;
const NUMBER = /^\d{1,10}$/;
const OPTION = /^model\.([a-z][a-z0-9_]{0,63})$/;
const MOST_CHARACTERS = 4096;

function numberIn(query: URLSearchParams, name: string): number | null {
  const text = query.get(name) ?? "";
  return NUMBER.test(text) ? Number(text) : null;
}

function sourceIn(query: URLSearchParams): Source | null {
  const row = numberIn(query, "row");
  const map = query.get("map") ?? "";
  const job = query.get("job") ?? "";
  const kind = query.get("kind") ?? "";
  const at = query.get("at") ?? "";
  if (row === null) return null;
  if (ID.test(map)) return { map, row };
  return ID.test(job) && kind && at ? { job, kind, row, at } : null;
}

function modelIn(query: URLSearchParams): ModelChoice | null {
  const name = query.get("model");
  if (!name) return null;
  const training = query.get("training") ?? "";
  const weights = query.get("weights") || "pretrained";
  const options = [...query].flatMap(([key, value]): [string, string][] => {
    const option = OPTION.exec(key)?.[1];
    return option && value.length <= MOST_CHARACTERS ? [[option, value]] : [];
  });
  return { ...Object.fromEntries(options), name, weights, ...(ID.test(training) ? { training } : {}) };
}

const OWN = new Set(["name", "weights", "training"]);

/** The model of a spec; null where there is none, or where texts do not name it: a shape that no training gives. */
export function modelChoice(model: Record<string, unknown> | null): ModelChoice | null {
  if (typeof model?.["name"] !== "string") return null;
  if (model["shape"] && !model["training"]) return null;
  const texts = Object.entries(model).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return { weights: "pretrained", ...Object.fromEntries(texts), name: model["name"] };
}

/** Its name for people: `lenet`, `torchvision/convnext_tiny`. */
export function modelLabel({ name, architecture }: ModelChoice): string {
  return architecture ? `${name}/${architecture}` : name;
}

/** Reads a query string; what is missing or malformed is left open. */
export function parseLiveState(search: string): LiveState {
  const query = new URLSearchParams(search);
  const method = METHODS.find((known) => known === query.get("method"));
  return {
    model: modelIn(query),
    layer: query.get("layer") || null,
    channel: numberIn(query, "channel"),
    method: method ?? METHODS[0],
    source: sourceIn(query),
  };
}

/** The query string of a state: what is open or the default is left out. */
export function formatLiveState(state: LiveState): string {
  const query = new URLSearchParams();
  const { model, source } = state;
  if (model) query.set("model", model.name);
  if (model?.training) query.set("training", model.training);
  if (model && model.weights !== "pretrained") query.set("weights", model.weights);
  for (const [option, value] of Object.entries(model ?? {})) {
    if (value !== undefined && !OWN.has(option)) query.set(`model.${option}`, value);
  }
  if (state.layer) query.set("layer", state.layer);
  if (state.channel !== null) query.set("channel", String(state.channel));
  if (state.method !== METHODS[0]) query.set("method", state.method);
  for (const [name, value] of Object.entries(source ?? {})) query.set(name, String(value));
  const text = query.toString();
  return text ? `?${text}` : "";
}

/** The address of an image's bytes. */
export function sourceUrl(source: Source): string {
  const id = encodeURIComponent;
  if ("map" in source) return `/v1/maps/${id(source.map)}/examples/${source.row}/image`;
  return `/v1/jobs/${id(source.job)}/rows/${id(source.kind)}/${source.row}/image?at=${id(source.at)}`;
}

/** The address of the live page with an image that the service has. */
export function livePath(source: Source, model: ModelChoice | null = null): string {
  return `/live${formatLiveState({ model, layer: null, channel: null, method: METHODS[0], source })}`;
}
