/** The list of jobs, live. */

import { listJobs } from "../api/client";
import type { JobPage } from "../api/types";
import type { Page } from "../app/router";
import { emptyState, pageHead } from "../job-parts/parts";
import { poll } from "../job-parts/poll";
import { fill, h, setText } from "../lib/dom";
import { joined, plural } from "../lib/format";
import { ChainRow } from "./chain-row";
import { anyActive, type Chain, groupChains } from "./group";

const LIMIT = 200;

/** The rows of the list; a chain that is still there keeps its own. */
class ChainList {
  readonly element = h("div", { class: "chains", testid: "jobs-list" });
  private readonly rows = new Map<string, ChainRow>();

  show(chains: readonly Chain[]): void {
    this.drop(new Set(chains.map((chain) => chain.last.id)));
    const now = Date.now();
    const elements = chains.map((chain) => {
      const row = this.rows.get(chain.last.id) ?? new ChainRow();
      this.rows.set(chain.last.id, row);
      row.update(chain, now);
      return row.element;
    });
    const { children, childElementCount: shown } = this.element;
    const same = elements.length === shown && elements.every((each, i) => children[i] === each);
    if (!same || elements.length === 0) fill(this.element, ...(elements.length > 0 ? elements : [emptyState()]));
  }

  destroy(): void {
    this.drop(new Set());
  }

  private drop(kept: ReadonlySet<string>): void {
    for (const [id, row] of this.rows) {
      if (kept.has(id)) continue;
      row.destroy();
      this.rows.delete(id);
    }
  }
}

/** What all jobs are at, in words. */
function summaryText({ jobs, total }: JobPage): string {
  if (total === 0) return "";
  const running = jobs.filter((job) => job.status === "RUNNING").length;
  const newest = total > jobs.length ? `the newest ${jobs.length} of ${plural(total, "job")}` : plural(total, "job");
  return joined(newest, running > 0 ? `${running} running` : "");
}

export function jobsPage(app: HTMLElement): Page {
  document.title = "Jobs · featurescape";
  const head = pageHead([]);
  const summary = h("p", { class: "faint" });
  const offline = h("p", { class: "problem", role: "alert", attrs: { hidden: "" } });
  const list = new ChainList();
  const title = h("div", { class: "page-title" }, h("h1", {}, "Maps and jobs"), summary);
  const main = h("main", { class: "page-main" }, title, offline, list.element);
  fill(app, h("div", { class: "page" }, head.element, main));

  const end = poll(async (signal) => {
    try {
      const page = await listJobs(`limit=${LIMIT}`, signal);
      if (signal.aborted) return false;
      offline.hidden = true;
      list.show(groupChains(page.jobs));
      setText(summary, summaryText(page));
      document.body.dataset.ready = "true";
      return anyActive(page.jobs);
    } catch (error) {
      if (!signal.aborted) {
        setText(offline, (error as Error).message);
        offline.hidden = false;
      }
      return false;
    }
  });

  return {
    destroy() {
      end();
      head.destroy();
      list.destroy();
    },
  };
}
