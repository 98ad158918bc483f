/** Time left in a stage, from the pace at which `done` was seen to grow. */

import type { Progress } from "../api/types";

interface Sighting {
  at: number;
  done: number;
}

/** Sightings older than this say little of the present pace. */
const WINDOW_SECONDS = 30;
const LEAST_SECONDS = 2;

/** Part of the stage that is done, 0…1; null where the stage does not say. */
export function fraction(progress: Progress | null): number | null {
  if (!progress || progress.total <= 0) return null;
  return Math.min(1, Math.max(0, progress.done / progress.total));
}

export class EtaTracker {
  private stage = "";
  private sightings: Sighting[] = [];

  /** Takes one progress report; returns seconds left in its stage, or null while it cannot be told. */
  observe(progress: Progress): number | null {
    const { stage, attempt, done, total, updated_at: at } = progress;
    const key = `${attempt}/${stage}`;
    const last = this.sightings.at(-1);
    if (key !== this.stage || (last && done < last.done)) {
      this.stage = key;
      this.sightings = [];
    }
    if (this.sightings.at(-1)?.at !== at) this.sightings.push({ at, done });
    const cutoff = at - WINDOW_SECONDS;
    while (this.sightings.length > 2 && this.sightings[1]!.at <= cutoff) this.sightings.shift();
    const first = this.sightings[0]!;
    const seconds = at - first.at;
    if (total <= 0 || done >= total || seconds < LEAST_SECONDS || done <= first.done) return null;
    return ((total - done) * seconds) / (done - first.done);
  }
}
