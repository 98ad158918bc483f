/** From a channel of a layer to its page, where a `units` job has looked at that layer of that model. */

import { getCatalog, listJobs } from "../api/client";
import type { Job } from "../api/types";
import { unitPath } from "./paths";

const NEWEST = 200;

/** The same JSON, whatever the order of its keys; what is null counts as left out. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, each]) => each !== null);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`)
    .join()}}`;
}

/** The newest finished `units` jobs of a model, by layer. A job that names none has the model's own choice. */
export function unitJobs(jobs: readonly Job[], model: unknown, dreamLayer: string | null): Map<string, Job> {
  const found = new Map<string, Job>();
  for (const job of jobs) {
    const layer = job.spec["layer"] ?? dreamLayer;
    if (job.job !== "units" || job.status !== "SUCCEEDED" || typeof layer !== "string" || found.has(layer)) continue;
    if (canonical(job.spec["model"]) === canonical(model)) found.set(layer, job);
  }
  return found;
}

/** The newest finished `units` jobs of a model, by layer. */
export async function findUnitJobs(model: unknown): Promise<Map<string, Job>> {
  const [{ jobs }, { models }] = await Promise.all([
    listJobs(`job=units&status=SUCCEEDED&limit=${NEWEST}`),
    getCatalog(),
  ]);
  const name = (model as { name?: unknown } | null)?.name;
  return unitJobs(jobs, model, models.find((card) => card.name === name)?.dream_layer ?? null);
}

/** Addresses of the units of a layer, or null where no job has made their pages. */
export async function unitLinks(model: unknown, layer: string): Promise<((channel: number) => string) | null> {
  const job = (await findUnitJobs(model)).get(layer);
  return job ? (channel) => unitPath(job.id, channel) : null;
}
