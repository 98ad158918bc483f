/** Chains of jobs as one row: training → features → embedding → tiles, following each job's inputs. */

import { isTerminal, type Job, type Status } from "../api/types";
import { joined } from "../lib/format";

export interface Chain {
  /** The job that no other of the list builds on. */
  last: Job;
  /** From the first input to `last`. */
  stages: Job[];
  title: string;
  status: Status;
  /** Newest first change of any stage, for the order of the list. */
  createdAt: string;
}

function ancestors(job: Job, byId: ReadonlyMap<string, Job>, into: Map<string, Job>): void {
  for (const id of Object.values(job.inputs)) {
    const input = byId.get(id);
    if (!input || into.has(input.id)) continue;
    into.set(input.id, input);
    ancestors(input, byId, into);
  }
}

/** Number of inputs behind a job: the order of a chain. */
function depth(job: Job, byId: ReadonlyMap<string, Job>, guard = 0): number {
  if (guard > 32) return guard;
  const inputs = Object.values(job.inputs).flatMap((id) => byId.get(id) ?? []);
  return inputs.length === 0 ? 0 : 1 + Math.max(...inputs.map((input) => depth(input, byId, guard + 1)));
}

/** One status for the chain: what needs attention first. */
export function chainStatus(stages: readonly Job[]): Status {
  const has = (status: Status) => stages.some((job) => job.status === status);
  if (stages.at(-1)?.status === "SUCCEEDED") return "SUCCEEDED";
  if (has("FAILED")) return "FAILED";
  if (has("STOPPED")) return "STOPPED";
  if (has("RUNNING")) return "RUNNING";
  if (has("PENDING")) return has("SUCCEEDED") ? "RUNNING" : "PENDING";
  return "SUCCEEDED";
}

function chainTitle(stages: readonly Job[]): string {
  const named = stages.findLast((job) => job.title);
  const last = stages.at(-1)!;
  return named?.title ?? (joined(last.dataset, last.model) || last.id);
}

/** Groups a list of jobs into chains, newest first. A job shared by two chains is in both. */
export function groupChains(jobs: readonly Job[]): Chain[] {
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const used = new Set(jobs.flatMap((job) => Object.values(job.inputs)));
  const chains = jobs
    .filter((job) => !used.has(job.id))
    .map((last): Chain => {
      const found = new Map<string, Job>([[last.id, last]]);
      ancestors(last, byId, found);
      const stages = [...found.values()].sort((a, b) => depth(a, byId) - depth(b, byId));
      return { last, stages, title: chainTitle(stages), status: chainStatus(stages), createdAt: last.created_at };
    });
  return chains.sort((a, b) => b.createdAt.localeCompare(a.createdAt));
}

/** Whether anything in the list may still change. */
export function anyActive(jobs: readonly Job[]): boolean {
  return jobs.some((job) => !isTerminal(job.status));
}
