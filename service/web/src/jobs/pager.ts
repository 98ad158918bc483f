/** Which page of a list is shown, and the way to the others. */

import { fill, h } from "../lib/dom";
import { formatCount } from "../lib/format";
import { icon } from "../lib/icons";

/** "26 – 50 of 1,234". */
export function rangeText(page: number, perPage: number, total: number): string {
  const first = page * perPage + 1;
  return `${formatCount(first)} – ${formatCount(Math.min(total, first + perPage - 1))} of ${formatCount(total)}`;
}

export class Pager {
  readonly element = h("nav", { class: "pager", attrs: { hidden: "" } });
  private shown = "";

  /** @param label says of what */
  constructor(
    label: string,
    private readonly perPage: number,
    private readonly onPage: (page: number) => void,
  ) {
    this.element.setAttribute("aria-label", label);
  }

  update(page: number, total: number): void {
    const last = Math.max(0, Math.ceil(total / this.perPage) - 1);
    this.element.hidden = last === 0 && page === 0;
    const key = `${page}/${total}`;
    if (key === this.shown) return;
    this.shown = key;
    const text = page > last ? `no page ${formatCount(page + 1)}` : rangeText(page, this.perPage, total);
    fill(
      this.element,
      this.button("Previous", page > 0 ? Math.min(page - 1, last) : null, "back"),
      h("span", { class: "faint" }, text),
      this.button("Next", page < last ? page + 1 : null, "arrow"),
    );
  }

  private button(name: string, page: number | null, iconName: "back" | "arrow"): HTMLElement {
    const click = () => page !== null && this.onPage(page);
    const props = { type: "button", class: "button", testid: `page-${name.toLowerCase()}`, on: { click } };
    const button = h("button", props, ...(iconName === "back" ? [icon("back"), name] : [name, icon("arrow")]));
    button.disabled = page === null;
    return button;
  }
}
