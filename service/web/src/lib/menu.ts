/** A button that opens a short list of actions; Escape, another click or an action closes it. */

import { fill, h } from "./dom";
import { type IconName, icon } from "./icons";

export interface Action {
  name: string;
  icon: IconName;
  testid: string;
  run: (() => void) | string;
}

export interface Menu {
  readonly element: HTMLDetailsElement;
  show(actions: readonly Action[]): void;
  destroy(): void;
}

/** @param label says of what the actions are */
export function actionsMenu(label: string): Menu {
  const list = h("div", { class: "menu-list card", role: "group", label });
  const button = h("summary", { class: "icon-button small", label, title: "Rename, delete, share …" }, icon("more"));
  const element = h("details", { class: "menu", testid: "menu" }, button, list);
  const away = (event: Event) => {
    if (element.open && !element.contains(event.target as Node)) element.open = false;
  };
  let waiting: readonly Action[] | null = null;
  // A list that is being read keeps its entries: a new one would take away the focus, and a click that is half done.
  const showNow = (actions: readonly Action[]) => {
    waiting = null;
    fill(list, ...actions.map((action) => entry(action, () => (element.open = false))));
  };
  element.addEventListener("toggle", () => !element.open && waiting && showNow(waiting));
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !element.open) return;
    event.stopPropagation();
    element.open = false;
    button.focus();
  });
  document.addEventListener("pointerdown", away);
  return {
    element,
    show: (actions) => {
      if (element.open) waiting = actions;
      else showNow(actions);
    },
    destroy: () => document.removeEventListener("pointerdown", away),
  };
}

/** A link, or a button. */
function entry({ name, icon: iconName, testid, run }: Action, close: () => void): HTMLElement {
  const content = [icon(iconName), name];
  if (typeof run === "string")
    return h("a", { class: "menu-entry", href: run, testid, on: { click: close } }, ...content);
  const click = () => {
    close();
    run();
  };
  return h("button", { type: "button", class: "menu-entry", testid, on: { click } }, ...content);
}
