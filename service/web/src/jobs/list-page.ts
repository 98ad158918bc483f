/** The list of jobs, live. */

import { listJobs } from "../api/client";
import type { JobPage } from "../api/types";
import type { Page } from "../app/router";
import { fill, h, setText } from "../lib/dom";
import { joined, plural } from "../lib/format";
import { ChainRow } from "./chain-row";
import { anyActive, type Chain, groupChains } from "./group";
import { emptyState, pageHead } from "./parts";
import { poll } from "./poll";

const LIMIT = 200;

export function jobsPage(app: HTMLElement): Page {
  document.title = "Jobs · featurescape";
  const head = pageHead([]);
  const summary = h("p", { class: "faint" });
  const offline = h("p", { class: "problem", role: "alert", attrs: { hidden: "" } });
  const list = h("div", { class: "chains", testid: "jobs-list" });
  const rows = new Map<string, ChainRow>();
  fill(
    app,
    h(
      "div",
      { class: "page" },
      head.element,
      h(
        "main",
        { class: "page-main" },
        h("div", { class: "page-title" }, h("h1", {}, "Maps and jobs"), summary),
        offline,
        list,
      ),
    ),
  );

  function showChains(chains: readonly Chain[]): void {
    const now = Date.now();
    const kept = new Set(chains.map((chain) => chain.last.id));
    for (const [id, row] of rows) {
      if (kept.has(id)) continue;
      row.destroy();
      rows.delete(id);
    }
    const elements = chains.map((chain) => {
      const row = rows.get(chain.last.id) ?? new ChainRow();
      rows.set(chain.last.id, row);
      row.update(chain, now);
      return row.element;
    });
    const same = elements.length === list.childElementCount && elements.every((each, i) => list.children[i] === each);
    if (!same || elements.length === 0) fill(list, ...(elements.length > 0 ? elements : [emptyState()]));
  }

  function show({ jobs, total }: JobPage): void {
    offline.hidden = true;
    showChains(groupChains(jobs));
    const running = jobs.filter((job) => job.status === "RUNNING").length;
    const newest = total > jobs.length ? `the newest ${jobs.length} of ${plural(total, "job")}` : plural(total, "job");
    setText(summary, total === 0 ? "" : joined(newest, running > 0 ? `${running} running` : ""));
    document.body.dataset.ready = "true";
  }

  const end = poll(async (signal) => {
    try {
      const page = await listJobs(`limit=${LIMIT}`, signal);
      if (!signal.aborted) show(page);
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
      for (const row of rows.values()) row.destroy();
    },
  };
}
