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
  return { name, weights, ...(ID.test(training) ? { training } : {}) };
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
