/** The keyboard shortcuts, in a dialog. */

import { h } from "../lib/dom";
import { icon } from "../lib/icons";
import type { Shortcut } from "./part";

type Row = readonly [keys: readonly string[], about: string];

const FIRST: readonly Row[] = [
  [["←", "↑", "→", "↓"], "Move the map"],
  [["+", "−"], "Zoom in, zoom out"],
  [["Enter"], "Open the example at the cross"],
  [["1", "2", "3"], "Choose the color layer"],
];
const LAST: readonly Row[] = [
  [["←", "→", "Enter"], "Walk along what was found, open it"],
  [["Esc"], "Close what is open"],
];

export class HelpDialog {
  readonly element: HTMLDialogElement;

  constructor(shortcuts: readonly Shortcut[]) {
    const close = h(
      "button",
      { type: "button", class: "icon-button", label: "Close", on: { click: () => this.element.close() } },
      icon("close"),
    );
    const own = shortcuts.map(({ key, about }): Row => [[key.toUpperCase()], about]);
    const rows = [...FIRST, ...own, ...LAST].map(([keys, what]) =>
      h("div", {}, h("dt", {}, ...keys.map((key) => h("kbd", {}, key))), h("dd", {}, what)),
    );
    this.element = h(
      "dialog",
      { class: "help card", testid: "help", label: "Keyboard shortcuts" },
      h("header", { class: "panel-head" }, h("h2", {}, "Keyboard"), close),
      h("dl", {}, ...rows),
      h("p", { class: "faint" }, "Double click on a class shows only that class."),
    );
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  toggle(): void {
    if (this.element.open) this.element.close();
    else this.element.showModal();
  }
}
