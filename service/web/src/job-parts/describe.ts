/** What a job is about, in a few words. */

import type { Job } from "../api/types";
import { joined } from "../lib/format";

function nameIn(spec: Record<string, unknown>, field: string): string {
  const value = spec[field];
  const name = value && typeof value === "object" ? (value as Record<string, unknown>)["name"] : null;
  return typeof name === "string" ? name : "";
}

/** Dataset and model of a job's own spec: "digits · lenet"; empty where it names neither. */
export function describeJob(job: Job): string {
  return joined(nameIn(job.spec, "dataset"), nameIn(job.spec, "model"));
}
