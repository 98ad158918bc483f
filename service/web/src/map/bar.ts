/** The bar at the top right. Where the page is narrow, the tools of its second half stand in a menu, with their names. */

import { h } from "../lib/dom";
import { icon } from "../lib/icons";

export interface Bar {
  readonly element: HTMLElement;
  destroy(): void;
}

/**
 * @param tools always in sight
 * @param more in the menu of narrow pages; the name that each has for screen readers is shown there
 */
export function toolBar(tools: readonly HTMLElement[], more: readonly HTMLElement[]): Bar {
  const label = "More";
  const button = h(
    "button",
    {
      type: "button",
      class: "icon-button more-button",
      testid: "more",
      ...{ label, title: label, attrs: { "aria-expanded": "false", "aria-controls": "more-tools" } },
    },
    icon("more"),
  );
  const list = h(
    "div",
    { class: "more-tools", role: "group", label: "More tools", attrs: { id: "more-tools" } },
    ...more,
  );
  const element = h("div", { class: "top card" }, ...tools, button, list);
  const open = (shown: boolean) => {
    element.classList.toggle("more-open", shown);
    button.setAttribute("aria-expanded", String(shown));
  };
  const isOpen = () => element.classList.contains("more-open");
  button.addEventListener("click", () => open(!isOpen()));
  list.addEventListener("click", () => open(false));
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen()) return;
    event.stopPropagation();
    open(false);
    button.focus();
  });
  const away = (event: Event) => {
    if (!element.contains(event.target as Node)) open(false);
  };
  document.addEventListener("pointerdown", away);
  return { element, destroy: () => document.removeEventListener("pointerdown", away) };
}
