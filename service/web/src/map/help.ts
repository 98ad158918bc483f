/** The keyboard shortcuts, in a dialog. */

import { h } from "../lib/dom";
import { icon } from "../lib/icons";

const ROWS: readonly [string[], string][] = [
  [["←", "↑", "→", "↓"], "Move the map"],
  [["+", "−"], "Zoom in, zoom out"],
  [["F"], "Show the whole map"],
  [["Enter"], "Open the example at the cross"],
  [["1", "2", "3"], "Choose the color layer"],
  [["A"], "Show all classes"],
  [["/"], "Search"],
  [["←", "→", "Enter"], "Walk along what was found, open it"],
  [["N"], "Go to the nearest neighbors"],
  [["D"], "Dream the open example"],
  [["E"], "Explain it"],
  [["U"], "Which units see it"],
  [["Esc"], "Close what is open"],
  [["T"], "Light or dark"],
  [["?"], "These shortcuts"],
];

export class HelpDialog {
  readonly element: HTMLDialogElement;

  constructor() {
    const close = h(
      "button",
      { type: "button", class: "icon-button", label: "Close", on: { click: () => this.element.close() } },
      icon("close"),
    );
    const rows = ROWS.map(([keys, what]) =>
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
