/** Maps with their images, and the chains of jobs: the home page has both, the page of jobs all chains. Both are live. */

import { listJobs } from "../api/client";
import type { JobPage } from "../api/types";
import type { Page, Route } from "../app/router";
import { OfflineNote } from "../job-parts/offline";
import { pageHead } from "../job-parts/parts";
import { type Poll, poll } from "../job-parts/poll";
import { fill, h, setText } from "../lib/dom";
import { joined, plural } from "../lib/format";
import { notify } from "../lib/share";
import type { Changes } from "./actions";
import { anyActive } from "./group";
import { formatListing, isFiltered, jobsQuery, type Listing, mapsQuery, parseListing } from "./listing";
import { ChainList, MapGrid } from "./lists";
import { Filters, OrderSelect, SearchField } from "./toolbar";

const NOTHING: JobPage = { jobs: [], total: 0, inputs: [] };

class Lists implements Page {
  private listing = parseListing(location.search);
  private readonly head = pageHead([]);
  private readonly search: SearchField;
  private readonly order: OrderSelect;
  private readonly filters: Filters;
  private readonly chains: ChainList;
  private readonly grid: MapGrid;
  private readonly counted = h("p", { class: "faint", testid: "counted" });
  private readonly running = h("p", { class: "faint", testid: "running" });
  private readonly offline = new OfflineNote();
  private readonly asking: Poll;

  constructor(
    app: HTMLElement,
    private readonly page: "home" | "jobs",
  ) {
    const changes: Changes = { renamed: () => this.asking.now(), deleted: (ids) => this.deleted(ids) };
    const change = (part: Partial<Listing>, how: "typed" | "chosen") => this.change(part, how);
    this.search = new SearchField(change);
    this.order = new OrderSelect(change);
    this.filters = new Filters(change);
    this.chains = new ChainList(changes, (page) => this.change({ page }, "chosen"));
    this.grid = new MapGrid(changes, (maps) => this.change({ maps }, "chosen"));
    document.title = page === "home" ? "featurescape" : "Jobs · featurescape";
    fill(app, h("div", { class: "page" }, this.head.element, page === "home" ? this.homeMain() : this.jobsMain()));
    this.showListing();
    this.asking = poll((signal) => this.ask(signal));
  }

  destroy(): void {
    this.asking.end();
    this.search.destroy();
    this.head.destroy();
    this.chains.destroy();
    this.grid.destroy();
  }

  /** Back and forward among searches and pages of the list. */
  follow(route: Route): boolean {
    if (route.page !== this.page) return false;
    this.listing = parseListing(location.search);
    this.showListing();
    this.asking.now();
    return true;
  }

  private homeMain(): HTMLElement {
    const tools = h("div", { class: "tools" }, this.search.element, this.order.element);
    const maps = h("div", { class: "page-title with-tools" }, h("h1", {}, "Maps"), this.counted, tools);
    const jobs = h(
      "div",
      { class: "section-title with-tools" },
      h("h2", {}, "Jobs"),
      this.running,
      this.filters.element,
    );
    return h(
      "main",
      { class: "page-main" },
      ...[maps, this.offline.element, this.grid.element],
      h("section", { class: "jobs-section", label: "Jobs" }, jobs, this.chains.element),
    );
  }

  private jobsMain(): HTMLElement {
    const tools = h("div", { class: "tools" }, this.search.element, this.filters.element, this.order.element);
    const title = h("div", { class: "page-title with-tools" }, h("h1", {}, "Jobs"), this.running, tools);
    return h("main", { class: "page-main" }, title, this.offline.element, this.chains.element);
  }

  private showListing(): void {
    this.search.show(this.listing);
    this.order.show(this.listing);
    this.filters.show(this.listing);
  }

  /** What is typed stays one entry of the history; what is chosen is an entry of its own. */
  private change(part: Partial<Listing>, how: "typed" | "chosen"): void {
    this.listing = { ...this.listing, ...part };
    const address = location.pathname + formatListing(this.listing);
    if (how === "chosen") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
    this.showListing();
    this.asking.now();
  }

  private deleted(ids: readonly string[]): void {
    notify(`${plural(ids.length, "job")} deleted`);
    this.asking.now();
  }

  private async ask(signal: AbortSignal): Promise<boolean> {
    const { listing } = this;
    const home = this.page === "home";
    try {
      const [maps, jobs] = await Promise.all([
        home ? listJobs(mapsQuery(listing), signal) : NOTHING,
        listJobs(jobsQuery(listing, home), signal),
      ]);
      if (signal.aborted || listing !== this.listing) return true;
      this.offline.hide();
      this.show(maps, jobs);
      document.body.dataset.ready = "true";
      return anyActive([...jobs.jobs, ...jobs.inputs]);
    } catch (error) {
      if (!signal.aborted) this.offline.show(error);
      return false;
    }
  }

  private show(maps: JobPage, jobs: JobPage): void {
    const home = this.page === "home";
    if (home) this.grid.show(maps, this.listing);
    this.chains.show(jobs, this.listing, home ? "No other jobs." : null);
    setText(this.counted, maps.total > 0 ? plural(maps.total, "map") : "");
    const running = [...jobs.jobs, ...jobs.inputs].filter((job) => job.status === "RUNNING").length;
    const what = isFiltered(this.listing) ? "match" : "";
    const total = jobs.total > 0 ? joined(`${plural(jobs.total, "chain")} ${what}`.trim()) : "";
    setText(this.running, joined(total, running > 0 && `${running} running`));
  }
}

/** Maps first, what else there is beneath. */
export function homePage(app: HTMLElement): Page {
  return new Lists(app, "home");
}

export function jobsPage(app: HTMLElement): Page {
  return new Lists(app, "jobs");
}
