/** Search, order and filters above the lists. */

import { getCatalog } from "../api/client";
import { fill, h } from "../lib/dom";
import { icon } from "../lib/icons";
import { type Listing, ORDERS, STATES } from "./listing";

const TYPE_MS = 250;

const NAMES: Readonly<Record<string, string>> = {
  newest: "Newest first",
  oldest: "Oldest first",
  title: "By title",
  size: "Largest first",
  any: "Any state",
  unfinished: "Unfinished",
  done: "Done",
  failed: "Failed",
  stopped: "Stopped",
};

function select(label: string, testid: string, values: readonly string[], onChange: (value: string) => void) {
  const element = h("select", { class: "field select", label, testid });
  fill(element, ...values.map((value) => h("option", { attrs: { value } }, NAMES[value] ?? value)));
  element.addEventListener("change", () => onChange(element.value));
  return element;
}

type Change = (change: Partial<Listing>, how: "typed" | "chosen") => void;

/** The field for words. */
export class SearchField {
  private readonly field = h("input", {
    type: "search",
    class: "field",
    label: "Search maps and jobs",
    testid: "list-search",
    attrs: { placeholder: "Search", maxlength: "200" },
  });
  readonly element = h("div", { class: "list-search" }, icon("search"), this.field);
  private timer = 0;

  constructor(change: Change) {
    const typed = () => change({ q: this.field.value.trim(), page: 0, maps: 0 }, "typed");
    this.field.addEventListener("input", () => {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(typed, TYPE_MS);
    });
  }

  show({ q }: Listing): void {
    if (this.field.value.trim() !== q) this.field.value = q;
  }

  destroy(): void {
    window.clearTimeout(this.timer);
  }
}

export class OrderSelect {
  readonly element: HTMLSelectElement;

  constructor(change: Change) {
    const chosen = (order: string) => change({ order: order as Listing["order"], page: 0, maps: 0 }, "chosen");
    this.element = select("Order", "list-order", ORDERS, chosen);
  }

  show({ order }: Listing): void {
    this.element.value = order;
  }
}

/** Job type and state. */
export class Filters {
  private readonly state: HTMLSelectElement;
  private readonly type: HTMLSelectElement;
  readonly element: HTMLElement;

  constructor(change: Change) {
    const pick = (state: string) => change({ state: state as Listing["state"], page: 0 }, "chosen");
    this.state = select("State", "list-state", STATES, pick);
    this.type = select("Type of job", "list-type", [], (job) => change({ job, page: 0 }, "chosen"));
    this.offer([]);
    this.element = h("div", { class: "filters" }, this.type, this.state);
    getCatalog().then(
      ({ jobs }) => this.offer(namesOf(jobs)),
      () => undefined, // The list itself says that nobody answers.
    );
  }

  show({ job, state }: Listing): void {
    this.state.value = state;
    if (job !== "" && ![...this.type.options].some(({ value }) => value === job))
      this.type.append(h("option", { attrs: { value: job } }, job));
    this.type.value = job;
  }

  private offer(types: readonly string[]): void {
    const chosen = this.type.value;
    fill(
      this.type,
      h("option", { attrs: { value: "" } }, "Any type"),
      ...types.map((value) => h("option", { attrs: { value } }, value)),
    );
    if (chosen !== "") this.type.value = chosen;
  }
}

function namesOf(jobs: unknown): string[] {
  return Array.isArray(jobs) ? jobs.map((job: { name?: unknown }) => String(job?.name)) : [];
}
