/** The galleries: job type → module. A new one is a file here and a line. */

import type { Job } from "../api/types";
import type { Gallery } from "./types";

type Load = () => Promise<{ gallery: Gallery }>;

export const GALLERIES: Readonly<Record<string, Load>> = {
  dreams: () => import("./dreams"),
  filters: () => import("./filters"),
  activations: () => import("./activations"),
  gradients: () => import("./gradients"),
  units: () => import("./units"),
  dynamics: () => import("./dynamics"),
  captions: () => import("./captions"),
  predictions: () => import("./predictions"),
  translations: () => import("./translations"),
};

/** Whether the job's artifact can be looked at as a gallery now. */
export function hasGallery(job: Job): boolean {
  return Object.hasOwn(GALLERIES, job.job) && job.status === "SUCCEEDED";
}

/** The gallery of a job type, or null where there is none. */
export async function loadGallery(job: string): Promise<Gallery | null> {
  const load = Object.hasOwn(GALLERIES, job) ? GALLERIES[job] : undefined;
  return load ? (await load()).gallery : null;
}
