/** Parts that the list and the page of a job share. Each is made once and then updated in place. */

import { isTerminal, type Job, type Status } from "../api/types";
import { themeButton } from "../app/theme-button";
import { fill, h, setText } from "../lib/dom";
import { elapsedSeconds, formatCount, formatDuration, formatEta, joined, plural } from "../lib/format";
import { mark } from "../lib/icons";
import { EtaTracker, fraction } from "./eta";

const STATUS_WORDS: Record<Status, string> = {
  PENDING: "Waiting",
  RUNNING: "Running",
  SUCCEEDED: "Done",
  FAILED: "Failed",
  STOPPED: "Stopped",
};

export class StatusChip {
  readonly element = h("span", { class: "chip" });

  update(status: Status): void {
    this.element.dataset.status = status;
    this.element.title = status;
    setText(this.element, STATUS_WORDS[status]);
  }
}

/** What the rows of an artifact are, by job type, where they are no examples: one, and many. */
const ROWS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  dynamics: ["matrix", "matrices"],
  filters: ["filter", "filters"],
  units: ["unit", "units"],
};

function countedRows({ job, rows }: Job): string {
  return rows === null ? "" : plural(rows, ...(ROWS[job] ?? (["example", "examples"] as const)));
}

/** The line under a bar: what is being done, how far, how long it may take. */
export function progressText(job: Job, eta: number | null, now: number, waits = ""): string {
  const { progress, status } = job;
  if (status === "PENDING") return waits || "waits for its turn: other jobs run";
  if (isTerminal(status)) {
    const seconds = job.ended_at ? elapsedSeconds(job.started_at, job.ended_at, now) : null;
    const rows = status === "SUCCEEDED" ? countedRows(job) : STATUS_WORDS[status].toLowerCase();
    return joined(rows, seconds === null ? "" : formatDuration(seconds));
  }
  if (!progress) return "starting";
  const counted = progress.total > 0 ? `${formatCount(progress.done)} of ${formatCount(progress.total)}` : "";
  const left = eta === null ? "" : formatEta(eta);
  return joined(progress.stage, counted, progress.message, left);
}

/** A bar with its line of text. Indeterminate where the stage does not say how much there is. */
export class ProgressBar {
  readonly element: HTMLElement;
  private readonly fillBar = h("i", {});
  private readonly bar: HTMLElement;
  private readonly text = h("p", { class: "progress-text" });
  private readonly eta = new EtaTracker();

  constructor(label: string) {
    this.bar = h(
      "div",
      {
        class: "bar",
        role: "progressbar",
        label,
        testid: "job-progress",
        attrs: { "aria-valuemin": "0", "aria-valuemax": "100" },
      },
      this.fillBar,
    );
    this.element = h("div", { class: "progress" }, this.bar, this.text);
  }

  /** @param waits what a job that has not begun waits for */
  update(job: Job, now: number, waits = ""): void {
    const part = job.status === "SUCCEEDED" ? 1 : fraction(job.progress);
    const eta = job.progress && job.status === "RUNNING" ? this.eta.observe(job.progress) : null;
    const text = progressText(job, eta, now, waits);
    this.bar.dataset.status = job.status;
    this.bar.classList.toggle("unknown", job.status === "RUNNING" && part === null);
    this.fillBar.style.transform = `scaleX(${job.status === "PENDING" ? 0 : (part ?? 0)})`;
    if (part === null) this.bar.removeAttribute("aria-valuenow");
    else this.bar.setAttribute("aria-valuenow", String(Math.round(part * 100)));
    this.bar.setAttribute("aria-valuetext", text);
    setText(this.text, text);
    this.text.title = text;
  }
}

/** Why a job failed: the stable code and the message. */
export function reasonLine(job: Job): HTMLElement | null {
  if (!job.reason) return null;
  return h("p", { class: "problem", testid: "job-error" }, h("code", {}, job.reason.code), " ", job.reason.message);
}

/** The bar at the top of the pages that are not a map. */
export function pageHead(trail: Node[]): { element: HTMLElement; destroy: () => void } {
  const theme = themeButton();
  const home = h(
    "a",
    { class: "home", href: "/", label: "featurescape: all maps" },
    mark(),
    h("span", {}, "featurescape"),
  );
  const element = h(
    "header",
    { class: "page-head" },
    home,
    ...trail,
    h("span", { class: "push" }),
    h("a", { class: "nav", href: "/jobs" }, "Jobs"),
    h("a", { class: "nav", href: "/live" }, "Live"),
    h("a", { class: "nav", href: "/docs", title: "The HTTP API" }, "API"),
    theme.element,
  );
  return { element, destroy: theme.destroy };
}

/** What to do where there is nothing yet. */
export function emptyState(title = "No jobs yet"): HTMLElement {
  const code = h("pre", {}, h("code", {}));
  fill(
    code.firstElementChild!,
    ["from featurescape import Client", "", `client = Client("${location.origin}")`, 'client.map("~/Pictures")'].join(
      "\n",
    ),
  );
  return h(
    "section",
    { class: "empty" },
    h("h2", {}, title),
    h("p", {}, "Maps are made by jobs that are submitted from Python. This makes one of a folder of images:"),
    code,
    h("p", { class: "faint" }, "It appears here as soon as it is submitted."),
  );
}

/** Whose artifact a job has that was not computed again. */
export function reuseLine(job: Job): HTMLElement | null {
  if (!job.reused_from) return null;
  const link = h("a", { href: `/jobs/${encodeURIComponent(job.reused_from)}` }, h("code", {}, job.reused_from));
  return h("p", { class: "faint", testid: "reused-from" }, "The same as ", link, ", not computed again");
}
