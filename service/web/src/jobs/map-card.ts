/** A finished map as a card: its image, its name, what it shows. */

import type { Job } from "../api/types";
import { h, setText } from "../lib/dom";
import { formatAgo, formatBytes, joined, plural } from "../lib/format";
import { actionsMenu } from "../lib/menu";
import { mapPath } from "../lib/paths";
import { type Changes, jobActions } from "./actions";
import { MapPreview } from "./preview";

/** The name of a job for people: its title, or what it is of. */
export function nameOf({ id, title, dataset, model }: Job): string {
  return title || joined(dataset, model) || id;
}

export class MapCard {
  readonly element: HTMLElement;
  private readonly preview: MapPreview;
  private readonly title: HTMLAnchorElement;
  private readonly about = h("p", { class: "faint" });
  private readonly facts = h("p", { class: "faint" });
  private readonly menu = actionsMenu("Actions");

  constructor(
    job: Job,
    private readonly changes: Changes,
  ) {
    this.preview = new MapPreview(job.id);
    this.title = h("a", { class: "map-title", href: mapPath(job.id), testid: "open-map", attrs: { dir: "auto" } });
    this.element = h(
      "article",
      { class: "map-card", testid: "map-card" },
      this.preview.element,
      h("div", { class: "map-card-head" }, this.title, this.menu.element),
      this.about,
      this.facts,
    );
  }

  update(job: Job, now: number): void {
    const name = nameOf(job);
    const about = joined(job.dataset, job.model);
    setText(this.title, name);
    setText(this.about, about === name ? "" : about);
    setText(
      this.facts,
      joined(
        job.rows === null ? "" : plural(job.rows, "example"),
        job.size_bytes === null ? "" : formatBytes(job.size_bytes),
        formatAgo(job.ended_at ?? job.created_at, now),
      ),
    );
    this.menu.show(jobActions(job, this.changes));
  }

  destroy(): void {
    this.preview.destroy();
    this.menu.destroy();
  }
}
