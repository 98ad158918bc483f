/** The list of chains of jobs, and that of finished maps. */

import type { Job, JobPage } from "../api/types";
import { emptyState } from "../job-parts/parts";
import { fill, h } from "../lib/dom";
import { plural } from "../lib/format";
import type { Changes } from "./actions";
import { ChainRow } from "./chain-row";
import { type Chain, groupChains } from "./group";
import { KeptList } from "./kept-list";
import { isFiltered, JOBS_PER_PAGE, type Listing, MAPS_PER_PAGE } from "./listing";
import { MapCard } from "./map-card";
import { Pager } from "./pager";

/** The chains of a page, in the order in which the service gave their last jobs. */
export function chainsOf({ jobs, inputs }: JobPage): Chain[] {
  const places = new Map(jobs.map((job, i) => [job.id, i]));
  const chains = groupChains([...jobs, ...inputs]).filter(({ last }) => places.has(last.id));
  return chains.sort((a, b) => places.get(a.last.id)! - places.get(b.last.id)!);
}

export class ChainList {
  private readonly rows = h("div", { class: "chains", testid: "jobs-list" });
  private readonly none = h("div", {});
  private readonly list: KeptList<Chain, ChainRow>;
  private readonly pager: Pager;
  readonly element: HTMLElement;

  constructor(changes: Changes, onPage: (page: number) => void) {
    this.list = new KeptList(
      this.rows,
      (chain) => chain.last.id,
      () => new ChainRow(changes),
    );
    this.pager = new Pager("Pages of jobs", JOBS_PER_PAGE, onPage);
    this.element = h("div", {}, this.rows, this.none, this.pager.element);
  }

  show(page: JobPage, listing: Listing, empty: string | null): void {
    const now = Date.now();
    this.list.show(chainsOf(page), (row, chain) => row.update(chain, now));
    this.pager.update(listing.page, page.total);
    if (page.jobs.length > 0) return fill(this.none);
    if (isFiltered(listing) || listing.page > 0)
      return fill(this.none, h("p", { class: "faint none" }, "No job matches."));
    fill(this.none, empty === null ? emptyState() : h("p", { class: "faint none" }, empty));
  }

  destroy(): void {
    this.list.destroy();
  }
}

export class MapGrid {
  private readonly cards = h("div", { class: "map-cards", testid: "maps" });
  private readonly none = h("div", {});
  private readonly list: KeptList<Job, MapCard>;
  private readonly pager: Pager;
  readonly element: HTMLElement;

  constructor(changes: Changes, onPage: (page: number) => void) {
    this.list = new KeptList(
      this.cards,
      (job) => job.id,
      (job) => new MapCard(job, changes),
    );
    this.pager = new Pager("Pages of maps", MAPS_PER_PAGE, onPage);
    this.element = h("div", {}, this.cards, this.none, this.pager.element);
  }

  show({ jobs, total }: JobPage, listing: Listing): void {
    const now = Date.now();
    this.list.show(jobs, (card, job) => card.update(job, now));
    this.pager.update(listing.maps, total);
    if (jobs.length > 0) return fill(this.none);
    const sought = listing.q !== "" || listing.maps > 0;
    fill(this.none, sought ? h("p", { class: "faint none" }, "No map matches.") : emptyState("No maps yet"));
  }

  destroy(): void {
    this.list.destroy();
  }
}

/** How much there is, in words. */
export function summaryText(maps: number, jobs: number): string {
  return maps + jobs === 0 ? "" : `${plural(maps, "map")}, and ${plural(jobs, "other job")}`;
}
