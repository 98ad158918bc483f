/** From a point of a map to a job for that one image: what is asked, as a spec. */

import type { Catalog, CollectionCard, Job, ModelCard } from "../api/types";
import { canonical } from "../lib/unit-links";

export type Ask = "dream" | "explain" | "units";

type Fields = Record<string, unknown>;

/** Where a map's examples come from: the parts of its features job that count. */
export interface Source {
  dataset: Fields;
  model: Fields;
}

/** A `units` job that has looked at the model, and its layer. */
export interface Looked {
  layer: string;
}

const TITLES: Record<Ask, string> = { dream: "Dream of", explain: "Explanation of", units: "Units of" };
const TITLE_CHARACTERS = 200;
const STRONGEST = 16;

/** A model of the catalog, or a collection: the job finds out what a network of that is like. */
type Card = ModelCard | CollectionCard;

/** Dataset and model of a features job. */
export function sourceOf(features: Job): Source {
  const { dataset, model } = features.spec;
  if (model === null) throw new Error("This map is of vectors, which came without a network; none can be asked.");
  if (!isFields(dataset) || !isFields(model)) throw new Error("This map does not say which images it shows.");
  return { dataset, model };
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

/** The features job whose features these are, where a dataset is the output of another job. */
export function earlierJob({ dataset }: Source): string | null {
  return dataset["name"] === "features" && typeof dataset["job"] === "string" ? dataset["job"] : null;
}

/** The dataset with this one example only. */
function only(dataset: Fields, exampleId: string): Fields {
  if (dataset["example"] === "model") {
    throw new Error("An example of this map is a model with all its views; this works on single images.");
  }
  return { ...dataset, limit: null, example_ids: [exampleId] };
}

function suits(card: Card, ask: Ask): boolean {
  const dreams = !("dream_layer" in card) || Boolean(card.dream_layer);
  return card.reads === "images" && card.gives === "classes" && (ask !== "dream" || dreams);
}

/** The map's own network, unless it cannot do this; then the first of the catalog that comes with weights. */
export function modelFor(ask: Ask, own: Fields, catalog: Catalog): { model: Fields; card: Card } {
  const known: Card[] = [...catalog.models, ...catalog.collections];
  const mine = known.find((card) => card.name === own["name"]);
  if (mine && suits(mine, ask)) return { model: own, card: mine };
  const other = catalog.models.find(
    (card) => suits(card, ask) && card.dream_layer && card.weights?.source === "package",
  );
  if (!other) throw new Error("No network of the catalog can do this.");
  return { model: { name: other.name }, card: other };
}

/** The job for one example; throws where there is none, and says why. */
export function askSpec(ask: Ask, exampleId: string, source: Source, catalog: Catalog, looked: Looked | null): Fields {
  const dataset = only(source.dataset, exampleId);
  const { model, card } = modelFor(ask, source.model, catalog);
  const title = `${TITLES[ask]} ${exampleId}`.slice(0, TITLE_CHARACTERS);
  const common = { dataset, model, title };
  if (ask === "dream") return { job: "dreams", ...common };
  if (ask === "explain") return { job: "gradients", ...common };
  const own = "default_layer" in card ? (card.dream_layer ?? card.default_layer) : "";
  const layers = [...new Set([looked?.layer ?? "", own])].filter(Boolean);
  const asked = layers.length > 0 ? { layers } : {};
  return { job: "activations", ...common, ...asked, strongest_channels: STRONGEST, values: "none" };
}

/** The same key for the same question, so that asking again finds the answer: 53 bits of its JSON. */
export function askKey(spec: Fields): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (const character of canonical(spec)) {
    const code = character.codePointAt(0)!;
    a = Math.imul(a ^ code, 2654435761);
    b = Math.imul(b ^ code, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return `viewer-${(4294967296 * (2097151 & b) + (a >>> 0)).toString(36)}`;
}
