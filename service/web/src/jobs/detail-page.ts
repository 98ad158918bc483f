/** The page of one job, live until the job ends. */

import { ApiError, getJob, getLog, getManifest, stopJob } from "../api/client";
import { isMap, isTerminal, type Job, type Manifest } from "../api/types";
import { messagePage } from "../app/message-page";
import { navigate, type Page } from "../app/router";
import { hasGallery } from "../galleries/index";
import { describeJob } from "../job-parts/describe";
import { OfflineNote } from "../job-parts/offline";
import { ProgressBar, pageHead, reasonLine, reuseLine, StatusChip } from "../job-parts/parts";
import { poll } from "../job-parts/poll";
import { waitsFor } from "../job-parts/waits";
import { fill, h, setText } from "../lib/dom";
import { elapsedSeconds, formatAgo, formatDuration, joined, plural } from "../lib/format";
import { icon } from "../lib/icons";
import { actionsMenu } from "../lib/menu";
import { galleryPath } from "../lib/paths";
import { notify } from "../lib/share";
import { jobActions } from "./actions";
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
  private readonly title = h("h1", { attrs: { dir: "auto" } });
  private readonly menu = actionsMenu("Actions");
  private readonly offline = new OfflineNote();
  private shown = "";

  constructor(
    job: Job,
    private readonly renamed: (job: Job) => void,
  ) {
    this.bar = new ProgressBar("Progress");
    const kind = kindOf(job);
    this.showTitle(job);
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
          titleOf(job) !== kind && h("p", { class: "kind" }, kind),
          this.title,
          h("code", { class: "faint", testid: "job-id" }, job.id),
        ),
        this.offline.element,
        h(
          "section",
          { class: "job-status card" },
          h(
            "div",
            { class: "job-line" },
            this.chip.element,
            this.facts,
            h("span", { class: "push" }),
            this.actions,
            this.menu.element,
          ),
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
    this.menu.destroy();
  }

  private showTitle(job: Job): void {
    setText(this.title, titleOf(job));
    document.title = `${titleOf(job)} · featurescape`;
  }

  /** @param inputs the jobs that it is made from, while it waits for them */
  update(job: Job, inputs: readonly Job[], now: number): void {
    this.offline.hide();
    this.showTitle(job);
    const deleted = () => {
      notify("The job is deleted");
      navigate("/");
    };
    this.menu.show(jobActions(job, { renamed: this.renamed, deleted }));
    this.chip.update(job.status);
    this.bar.update(job, now, waitsFor(job, inputs));
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

  showOffline(error: unknown): void {
    this.offline.show(error);
  }
}

function kindOf({ job }: Job): string {
  return job[0]!.toUpperCase() + job.slice(1);
}

function titleOf(job: Job): string {
  return job.title || describeJob(job) || kindOf(job);
}

/** The jobs that one waits for; none where they cannot be told now. */
async function inputsOf(job: Job, signal: AbortSignal): Promise<Job[]> {
  if (job.status !== "PENDING") return [];
  const ids = [...new Set(Object.values(job.inputs))];
  return Promise.all(ids.map((id) => getJob(id, signal))).catch(() => []);
}

export async function jobPage(app: HTMLElement, id: string): Promise<Page> {
  let first: Job;
  try {
    first = await getJob(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return messagePage(app, "No such job", error.message);
    throw error;
  }
  let manifest: Manifest | null = null;
  let logged = false;
  let job = first;
  const view = new JobView(first, (renamed) => {
    job = renamed;
    polling.now();
  });
  fill(app, view.element);

  const polling = poll(async (signal) => {
    try {
      const ended = isTerminal(job.status);
      if (!ended) job = await getJob(id, signal);
      view.update(job, await inputsOf(job, signal), Date.now());
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
      if (!signal.aborted) view.showOffline(error);
      return false;
    }
    return !isTerminal(job.status);
  });

  return {
    destroy() {
      polling.end();
      view.destroy();
    },
  };
}
