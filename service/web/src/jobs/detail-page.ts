/** The page of one job, live until the job ends. */

import { ApiError, getJob, getLog, getManifest, stopJob } from "../api/client";
import { isMap, isTerminal, type Job, type Manifest } from "../api/types";
import { messagePage } from "../app/message-page";
import type { Page } from "../app/router";
import { hasGallery } from "../galleries/index";
import { describeJob } from "../job-parts/describe";
import { ProgressBar, pageHead, reasonLine, reuseLine, StatusChip } from "../job-parts/parts";
import { poll } from "../job-parts/poll";
import { fill, h, setText } from "../lib/dom";
import { elapsedSeconds, formatAgo, formatDuration, joined, plural } from "../lib/format";
import { icon } from "../lib/icons";
import { galleryPath } from "../lib/paths";
import { CurveBlock } from "./curve";
import {
  filesBlock,
  inputsBlock,
  passedOverBlock,
  qualityBlock,
  remarksBlock,
  specBlock,
  timingsBlock,
} from "./detail-parts";

const LOG_BYTES = 16_384;

class JobView {
  readonly element: HTMLElement;
  private readonly chip = new StatusChip();
  private readonly bar: ProgressBar;
  private readonly facts = h("p", { class: "faint" });
  private readonly actions = h("div", { class: "actions" });
  private readonly notes = h("div", { class: "chain-notes" });
  private readonly log = h("pre", { class: "log", tabIndex: 0, label: "End of the log", testid: "job-log" });
  private readonly result = h("div", { class: "result" });
  private readonly curve = new CurveBlock();
  private readonly head = pageHead([h("a", { href: "/jobs", class: "trail" }, "Jobs")]);
  private shown = "";

  constructor(job: Job) {
    this.bar = new ProgressBar("Progress");
    const kind = job.job[0]!.toUpperCase() + job.job.slice(1);
    const title = job.title || describeJob(job) || kind;
    document.title = `${title} · featurescape`;
    const side = h("div", { class: "side" }, inputsBlock(job), specBlock(job.spec));
    const log = h("section", { class: "block" }, h("h2", {}, "Log"), this.log);
    this.element = h(
      "div",
      { class: "page" },
      this.head.element,
      h(
        "main",
        { class: "page-main job" },
        h(
          "div",
          { class: "page-title" },
          title !== kind && h("p", { class: "kind" }, kind),
          h("h1", {}, title),
          h("code", { class: "faint", testid: "job-id" }, job.id),
        ),
        h(
          "section",
          { class: "job-status card" },
          h("div", { class: "job-line" }, this.chip.element, this.facts, h("span", { class: "push" }), this.actions),
          this.bar.element,
          this.notes,
        ),
        h("div", { class: "columns" }, h("div", { class: "wide" }, this.curve.element, this.result, log), side),
      ),
    );
  }

  destroy(): void {
    this.head.destroy();
    this.curve.destroy();
  }

  update(job: Job, now: number): void {
    this.chip.update(job.status);
    this.bar.update(job, now);
    if (!isTerminal(job.status)) this.curve.update(job.progress?.curve);
    const seconds = elapsedSeconds(job.started_at, job.ended_at, now);
    const attempt = job.attempt > 1 ? `attempt ${job.attempt}` : "";
    setText(
      this.facts,
      joined(
        `submitted ${formatAgo(job.created_at, now)}`,
        seconds === null ? "" : `${isTerminal(job.status) ? "took" : "for"} ${formatDuration(seconds)}`,
        attempt,
      ),
    );
    const errors = job.error_rows ?? job.progress?.errors ?? 0;
    const key = JSON.stringify([job.status, job.reason, errors]);
    if (key === this.shown) return;
    this.shown = key;
    fill(
      this.notes,
      reasonLine(job),
      reuseLine(job),
      errors > 0 &&
        h(
          "p",
          { class: "warning", testid: "error-rows" },
          `${plural(errors, "example")} could not be read; errors.parquet says why`,
        ),
    );
    fill(this.actions, this.action(job));
  }

  private action(job: Job): HTMLElement | null {
    if (isMap(job) && job.status === "SUCCEEDED") {
      return h(
        "a",
        { class: "button primary", href: `/maps/${encodeURIComponent(job.id)}`, testid: "open-map" },
        "Open map",
        icon("arrow"),
      );
    }
    if (hasGallery(job)) {
      return h(
        "a",
        { class: "button primary", href: galleryPath(job.id), testid: "open-gallery" },
        "Open gallery",
        icon("arrow"),
      );
    }
    if (isTerminal(job.status)) return null;
    const button = h("button", { type: "button", class: "button", testid: "stop" }, icon("stop"), "Stop");
    button.addEventListener("click", () => {
      button.disabled = true;
      stopJob(job.id).catch((error: Error) => {
        button.disabled = false;
        this.notes.append(h("p", { class: "problem", role: "alert" }, error.message));
      });
    });
    return button;
  }

  showLog(text: string): void {
    const follow = this.log.scrollTop + this.log.clientHeight >= this.log.scrollHeight - 8;
    setText(this.log, text.trimEnd() || "Nothing is written yet.");
    if (follow) this.log.scrollTop = this.log.scrollHeight;
  }

  async showManifest(manifest: Manifest, signal: AbortSignal): Promise<void> {
    fill(
      this.result,
      passedOverBlock(manifest),
      remarksBlock(manifest),
      qualityBlock(manifest),
      timingsBlock(manifest),
      filesBlock(manifest),
    );
    await this.curve.show(manifest, signal);
  }

  showOffline(message: string): void {
    setText(this.facts, message);
  }
}

export async function jobPage(app: HTMLElement, id: string): Promise<Page> {
  let first: Job;
  try {
    first = await getJob(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return messagePage(app, "No such job", error.message);
    throw error;
  }
  const view = new JobView(first);
  fill(app, view.element);
  let manifest: Manifest | null = null;
  let logged = false;
  let job = first;

  const end = poll(async (signal) => {
    try {
      const ended = isTerminal(job.status);
      if (!ended) job = await getJob(id, signal);
      view.update(job, Date.now());
      if (!ended || !logged) {
        view.showLog(await getLog(id, LOG_BYTES, signal).catch(() => ""));
        logged = true;
      }
      if (job.status === "SUCCEEDED" && !manifest) {
        const found = await getManifest(id, signal);
        await view.showManifest(found, signal);
        manifest = found;
      }
      document.body.dataset.ready = "true";
    } catch (error) {
      if (!signal.aborted) view.showOffline((error as Error).message);
      return false;
    }
    return !isTerminal(job.status);
  });

  return {
    destroy() {
      end();
      view.destroy();
    },
  };
}
