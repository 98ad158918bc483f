/** What a job is about, in a few words. */

import type { Job } from "../api/types";
import { joined } from "../lib/format";

/** Dataset and model of a job, its own or of what it was made from: "digits · lenet"; empty where there is neither. */
export function describeJob({ dataset, model }: Pick<Job, "dataset" | "model">): string {
  return joined(dataset, model);
}
