/** The choice of one more map: the newest finished ones. */

import { listJobs } from "../api/client";
import type { Job } from "../api/types";
import { fill, h } from "../lib/dom";

const NEWEST = 100;

function option(job: Job): HTMLElement {
  return h("option", { attrs: { value: job.id } }, job.title ? `${job.title} · ${job.id}` : job.id);
}

/** A select of the maps that are not shown yet. */
export function chooser(shown: ReadonlySet<string>, onChoose: (id: string) => void): HTMLElement {
  const select = h("select", { class: "field select", label: "Add a map", testid: "compare-add" });
  const prompt = () => h("option", { attrs: { value: "" } }, "Add a map …");
  fill(select, prompt());
  select.addEventListener("change", () => select.value !== "" && onChoose(select.value));
  void listJobs(`job=tiles&status=SUCCEEDED&limit=${NEWEST}`)
    .then(({ jobs }) => fill(select, prompt(), ...jobs.filter(({ id }) => !shown.has(id)).map(option)))
    .catch(() => fill(select, h("option", { attrs: { value: "" } }, "The maps could not be listed")));
  return select;
}
