/** One row of the jobs list: a chain with its stages side by side. Updated in place at every poll. */

import { isMap, type Job } from "../api/types";
import { hasGallery } from "../galleries/index";
import { ProgressBar, reasonLine, StatusChip } from "../job-parts/parts";
import { waitsFor } from "../job-parts/waits";
import { fill, h, setText } from "../lib/dom";
import { formatAgo, joined, plural } from "../lib/format";
import { icon, mark } from "../lib/icons";
import { actionsMenu } from "../lib/menu";
import { galleryPath } from "../lib/paths";
import { type Changes, jobActions } from "./actions";
import { GalleryPreview } from "./gallery-preview";
import type { Chain } from "./group";
import { MapPreview } from "./preview";

class StageCell {
  readonly element: HTMLAnchorElement;
  private readonly bar: ProgressBar;

  constructor(job: Job) {
    this.bar = new ProgressBar(`${job.job} progress`);
    this.element = h(
      "a",
      { class: "stage", href: `/jobs/${encodeURIComponent(job.id)}`, title: job.id },
      h("span", { class: "stage-name" }, job.job),
      this.bar.element,
    );
  }

  update(job: Job, now: number, waits: string): void {
    this.element.dataset.status = job.status;
    this.bar.update(job, now, waits);
  }
}

export class ChainRow {
  readonly element = h("article", { class: "chain", testid: "job-row" });
  private readonly title = h("a", { class: "chain-title" });
  private readonly detail = h("p", { class: "faint chain-detail" });
  private readonly chip = new StatusChip();
  private readonly stages = h("div", { class: "stages" });
  private readonly notes = h("div", { class: "chain-notes" });
  private readonly figure = h("div", { class: "figure", attrs: { "aria-hidden": "true" } }, mark());
  private readonly open = h("div", { class: "chain-open" });
  private readonly cells = new Map<string, StageCell>();
  private preview: MapPreview | GalleryPreview | null = null;
  private readonly menu = actionsMenu("Actions");
  private notesKey = "";

  constructor(private readonly changes: Changes) {
    const head = h(
      "div",
      { class: "chain-head" },
      h("div", { class: "chain-name" }, this.title, this.detail),
      this.chip.element,
      this.open,
      this.menu.element,
    );
    this.element.append(this.figure, h("div", { class: "chain-main" }, head, this.stages, this.notes));
  }

  update(chain: Chain, now: number): void {
    const { last, stages, status, title } = chain;
    const map = isMap(last) && last.status === "SUCCEEDED";
    const id = encodeURIComponent(last.id);
    setText(this.title, title);
    const gallery = hasGallery(last);
    this.title.href = map ? `/maps/${id}` : gallery ? galleryPath(last.id) : `/jobs/${id}`;
    const made = joined(last.dataset, last.model);
    setText(this.detail, joined(made === title ? "" : made, formatAgo(last.created_at, now)));
    this.chip.update(status);
    this.element.dataset.status = status;
    this.updateStages(stages, now);
    this.menu.show(jobActions(last, this.changes));
    this.updateNotes(stages);
    if (map && !this.preview) this.showMap(last.id);
    if (gallery && !this.preview) this.showGallery(last);
  }

  destroy(): void {
    this.preview?.destroy();
    this.menu.destroy();
  }

  private showMap(id: string): void {
    this.preview = new MapPreview(id);
    fill(this.figure, this.preview.element);
    fill(
      this.open,
      h(
        "a",
        { class: "button primary", href: `/maps/${encodeURIComponent(id)}`, testid: "open-map" },
        "Open map",
        icon("arrow"),
      ),
    );
  }

  private showGallery(job: Job): void {
    this.preview = new GalleryPreview(job);
    fill(this.figure, this.preview.element);
    fill(
      this.open,
      h(
        "a",
        { class: "button primary", href: galleryPath(job.id), testid: "open-gallery" },
        "Open gallery",
        icon("arrow"),
      ),
    );
  }

  private updateStages(stages: readonly Job[], now: number): void {
    for (const job of stages) {
      let cell = this.cells.get(job.id);
      if (!cell) {
        cell = new StageCell(job);
        this.cells.set(job.id, cell);
      }
      cell.update(job, now, waitsFor(job, stages));
    }
    const wanted = stages.map((job) => this.cells.get(job.id)!.element);
    const same =
      wanted.length === this.stages.childElementCount && wanted.every((each, i) => this.stages.children[i] === each);
    if (!same) fill(this.stages, ...wanted);
  }

  private updateNotes(stages: readonly Job[]): void {
    const failed = stages.filter((job) => job.reason);
    const bad = stages.filter((job) => (job.error_rows ?? job.progress?.errors ?? 0) > 0);
    const count = (job: Job) => job.error_rows ?? job.progress?.errors ?? 0;
    const key = JSON.stringify([failed.map((job) => job.reason), bad.map(count)]);
    if (key === this.notesKey) return;
    this.notesKey = key;
    // A chain fails for one reason: that of the first stage. The later ones only say that it failed.
    const first = failed[0];
    fill(
      this.notes,
      first ? reasonLine(first) : null,
      ...bad.map((job) =>
        h("p", { class: "warning" }, `${plural(count(job), "example")} could not be read (${job.job})`),
      ),
    );
  }
}
