/** The buttons under an opened example: dream it, explain it, which units. Each is a job, watched here. */

import { getCatalog, getJob, submitJob } from "../api/client";
import { type Catalog, type Example, isTerminal, type Job } from "../api/types";
import { navigate } from "../app/router";
import { fill, h, setText } from "../lib/dom";
import { galleryPath } from "../lib/paths";
import { findUnitJobs } from "../lib/unit-links";
import { type Ask, askKey, askSpec, modelFor, type Source } from "./ask";
import { ProgressBar, reasonLine } from "./parts";
import { type Poll, poll } from "./poll";
import { findSource } from "./source";

const BUTTONS: readonly (readonly [ask: Ask, label: string, key: string])[] = [
  ["dream", "Dream it", "D"],
  ["explain", "Explain it", "E"],
  ["units", "Which units", "U"],
];
export class Asking {
  readonly element = h("section", { class: "asking", testid: "asking" });
  private readonly status = h("div", { class: "asking-status", testid: "asking-status" });
  private buttons: HTMLButtonElement[] = [];
  private example: Pick<Example, "example_id"> | null = null;
  private source: Promise<Source> | null = null;
  private catalog: Promise<Catalog> | null = null;
  private polling: Poll | null = null;
  private turn = 0;

  /**
   * @param features id of the job that has read the examples: the features job of a map, or a `predictions` job
   */
  constructor(private readonly features: string) {}

  /** The buttons for an example; what was asked for the one before goes on, but is no longer watched. */
  show(example: Pick<Example, "example_id">): HTMLElement {
    this.stop();
    this.example = example;
    this.buttons = BUTTONS.map(([ask, label, key]) =>
      h(
        "button",
        {
          type: "button",
          class: "button",
          title: `${label} (${key})`,
          testid: `ask-${ask}`,
          on: { click: () => void this.ask(ask) },
        },
        label,
      ),
    );
    fill(this.status);
    fill(this.element, h("div", { class: "asking-buttons" }, ...this.buttons), this.status);
    return this.element;
  }

  /** Ends the watching; a job that runs goes on. */
  stop(): void {
    this.turn += 1;
    this.polling?.end();
    this.polling = null;
    this.example = null;
  }

  /** Submits the job, or finds the one that was asked for before, and shows how far it is. */
  async ask(ask: Ask): Promise<void> {
    const { example } = this;
    if (!example || this.buttons.some((button) => button.disabled)) return;
    const turn = ++this.turn;
    this.enable(false);
    fill(this.status, h("p", { class: "faint", role: "status" }, "Asking …"));
    try {
      const job = await this.submit(ask, example.example_id);
      if (turn === this.turn) this.watch(job, turn);
    } catch (error) {
      if (turn === this.turn) this.failed((error as Error).message);
    }
  }

  private async submit(ask: Ask, exampleId: string): Promise<Job> {
    this.source ??= findSource(this.features);
    this.catalog ??= getCatalog();
    const [source, catalog] = await Promise.all([this.source, this.catalog]).catch((error: unknown) => {
      this.source = this.catalog = null;
      throw error;
    });
    const looked = ask === "units" ? await this.lookedAt(source, catalog) : null;
    const spec = askSpec(ask, exampleId, source, catalog, looked);
    const key = askKey(spec);
    const job = await submitJob(spec, key);
    // What failed or was stopped is tried anew.
    return job.status === "FAILED" || job.status === "STOPPED"
      ? submitJob(spec, `${key}-${Date.now().toString(36)}`)
      : job;
  }

  /** The layer of a finished `units` job of the same network, so that its units have pages. */
  private async lookedAt(source: Source, catalog: Catalog): Promise<{ layer: string } | null> {
    const { model } = modelFor("units", source.model, catalog);
    const [layer] = (await findUnitJobs(model)).keys();
    return layer === undefined ? null : { layer };
  }

  private watch(first: Job, turn: number): void {
    let job = first;
    const bar = new ProgressBar("Progress");
    fill(
      this.status,
      bar.element,
      h("a", { class: "faint", href: `/jobs/${encodeURIComponent(job.id)}`, testid: "asking-job" }, job.id),
    );
    this.polling = poll(async (signal) => {
      if (!isTerminal(job.status)) job = await getJob(job.id, signal);
      if (turn !== this.turn) return false;
      bar.update(job, Date.now());
      if (isTerminal(job.status)) this.ended(job);
      return !isTerminal(job.status);
    });
  }

  /** One example went in: a job that gave no row of it has FAILED, with the reason. */
  private ended(job: Job): void {
    this.polling?.end();
    if (job.status === "SUCCEEDED") navigate(galleryPath(job.id, 0));
    else this.failed("", job);
  }

  private failed(message: string, job?: Job): void {
    this.enable(true);
    const link = job && h("a", { href: `/jobs/${encodeURIComponent(job.id)}`, class: "text-button" }, "its job");
    const problem = h("p", { class: "problem", role: "alert", testid: "asking-problem" });
    setText(problem, message);
    fill(this.status, message !== "" ? problem : null, job ? reasonLine(job) : null, link);
  }

  private enable(on: boolean): void {
    for (const button of this.buttons) button.disabled = !on;
  }
}
