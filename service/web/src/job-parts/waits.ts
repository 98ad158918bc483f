/** What a job that has not begun waits for. */

import { isTerminal, type Job } from "../api/types";

/** "waits for features", naming the inputs that have not ended; "" where all have, or it waits for nothing. */
export function waitsFor(job: Job, others: readonly Job[]): string {
  if (job.status !== "PENDING") return "";
  const inputs = new Set(Object.values(job.inputs));
  const left = others.filter((other) => inputs.has(other.id) && !isTerminal(other.status));
  return left.length > 0 ? `waits for ${left.map((other) => other.job).join(" and ")}` : "";
}
