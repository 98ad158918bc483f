/** The dialog that deletes a job: it says first what goes with it, and what stands against it. */

import { ApiError, deleteJob, type Extent, getDeletion } from "../api/client";
import type { Deletion, Job } from "../api/types";
import { describeJob } from "../job-parts/describe";
import { openDialog } from "../lib/dialog";
import { fill, h, setText } from "../lib/dom";
import { formatBytes, joined, plural } from "../lib/format";

const MOST_SHOWN = 12;

type Named = Pick<Job, "id" | "job" | "title">;

function jobList(jobs: readonly Named[]): HTMLElement {
  const rows = jobs
    .slice(0, MOST_SHOWN)
    .map((job) => h("li", {}, h("span", {}, job.job), h("span", { class: "faint" }, job.title || job.id)));
  const more = jobs.length - MOST_SHOWN;
  return h("ul", { class: "deleted-jobs" }, ...rows, more > 0 && h("li", { class: "faint" }, `and ${more} more`));
}

/** What was made from a job, as a refusal lists it. */
function listed(error: unknown): Named[] | null {
  const jobs = error instanceof ApiError ? error.detail["jobs"] : null;
  return Array.isArray(jobs) && jobs.length > 0 ? (jobs as Named[]) : null;
}

class Deleting {
  readonly body = h("div", { class: "dialog-form" });
  private readonly extent: Extent = { dependents: false, inputs: false };
  private readonly problem = h("p", { class: "problem", role: "alert" });
  /** Types of the jobs that only this was made from. */
  private madeFrom: string[] = [];
  private turn = 0;

  constructor(
    private readonly job: Job,
    private readonly onDone: (ids: readonly string[]) => void,
  ) {
    fill(this.body, h("p", { class: "faint" }, "Looking up what was made from it …"));
  }

  /** Shows what would be deleted as things are chosen now. */
  async plan(): Promise<void> {
    const turn = ++this.turn;
    setText(this.problem, "");
    try {
      const planned = await getDeletion(this.job.id, this.extent);
      const more = this.extent.inputs ? planned : await getDeletion(this.job.id, { ...this.extent, inputs: true });
      if (turn === this.turn) this.show(planned, more);
    } catch (error) {
      if (turn === this.turn) this.refuse(error as Error);
    }
  }

  private show(planned: Deletion, more: Deletion): void {
    const others = planned.jobs.length - 1;
    const what = others > 0 ? `this job and ${plural(others, "other")}` : "this job";
    const size = planned.size_bytes > 0 ? formatBytes(planned.size_bytes) : "";
    const without = planned.jobs.map(({ id }) => id);
    if (!this.extent.inputs) this.madeFrom = more.jobs.filter(({ id }) => !without.includes(id)).map(({ job }) => job);
    const only = `Also what only ${others > 0 ? "these were" : "this was"} made from: ${this.madeFrom.join(", ")}`;
    fill(
      this.body,
      h("p", {}, `Deletes ${joined(what, size)}, with all files. This cannot be undone.`),
      jobList(planned.jobs),
      this.extent.dependents && this.choice("dependents", "Also what was made from it"),
      this.madeFrom.length > 0 && this.choice("inputs", only),
      this.problem,
      h("div", { class: "dialog-buttons" }, this.button(planned.jobs.length)),
    );
  }

  private choice(name: keyof Extent, label: string): HTMLElement {
    const box = h("input", { type: "checkbox", testid: `delete-${name}` });
    box.checked = this.extent[name];
    box.addEventListener("change", () => {
      this.extent[name] = box.checked;
      void this.plan();
    });
    return h("label", { class: "check" }, box, label);
  }

  private refuse(error: Error): void {
    const jobs = listed(error);
    if (!jobs) return fill(this.body, h("p", { class: "problem", role: "alert" }, error.message));
    fill(
      this.body,
      h("p", {}, `${jobs.length === 1 ? "A job was" : `${jobs.length} jobs were`} made from it:`),
      jobList(jobs),
      this.choice("dependents", "Delete what was made from it, too"),
    );
  }

  private button(count: number): HTMLElement {
    const name = count === 1 ? "Delete" : `Delete ${count} jobs`;
    const button = h("button", { type: "button", class: "button danger", testid: "confirm-delete" }, name);
    button.addEventListener("click", () => {
      button.disabled = true;
      deleteJob(this.job.id, this.extent)
        .then((deleted) => this.onDone(deleted.jobs.map(({ id }) => id)))
        .catch((error: Error) => {
          button.disabled = false;
          setText(this.problem, error.message);
        });
    });
    return button;
  }
}

/** @param onDone gets the ids of all that was deleted */
export function askDeletion(job: Job, onDone: (ids: readonly string[]) => void): void {
  const deleting = new Deleting(job, (ids) => {
    close();
    onDone(ids);
  });
  const title = `Delete ${job.title || describeJob(job) || job.id}`;
  const { close } = openDialog(title, "delete-dialog", deleting.body);
  void deleting.plan();
}
