/** The bar of selecting: which tool, what becomes of the selection before, and selections without drawing. */

import type { LegendClass } from "../api/types";
import { fill, h } from "../lib/dom";
import { type IconName, icon } from "../lib/icons";
import type { Tool } from "./selection-draw";
import type { How } from "./selection-query";

export interface BarActions {
  classes: readonly LegendClass[];
  onTool(tool: Tool | null): void;
  onInView(): void;
  onClass(label: number): void;
  /** Of the example that is open. */
  onNeighbors(): void;
  onInvert(): void;
  onClear(): void;
  onClose(): void;
}

const HOWS: readonly [How, string, string][] = [
  ["new", "New", "A new selection"],
  ["add", "Add", "Add to the selection (Shift)"],
  ["remove", "Remove", "Remove from the selection (Alt)"],
];

export class SelectionBar {
  readonly element: HTMLElement;
  how: How = "new";
  private readonly tools: Record<Tool, HTMLElement>;
  private readonly neighbors: HTMLButtonElement;
  private readonly changing: HTMLButtonElement[];
  private readonly hows = h("div", { class: "selection-how", role: "group", label: "With what is selected" });

  constructor(private readonly actions: BarActions) {
    const act = (name: IconName, label: string, run: () => void) => this.button(name, label, run);
    this.tools = {
      lasso: act("lasso", "Lasso (L)", () => this.choose("lasso")),
      box: act("box", "Box (B)", () => this.choose("box")),
    };
    this.neighbors = act("neighbors", "The open example and its neighbors", () => actions.onNeighbors());
    this.changing = [
      act("invert", "Invert (I)", () => actions.onInvert()),
      act("close", "Clear the selection", () => actions.onClear()),
    ];
    this.element = h(
      "div",
      { class: "selection-bar card", role: "toolbar", label: "Select", testid: "selection-bar", attrs: { hidden: "" } },
      ...Object.values(this.tools),
      this.hows,
      act("fit", "What is in view (V)", () => actions.onInView()),
      this.neighbors,
      this.classes(),
      ...this.changing,
      h("button", { type: "button", class: "text-button", on: { click: () => actions.onClose() } }, "Done"),
    );
    this.showHow();
  }

  /** Shows which tool is on, and what can be done. */
  show(tool: Tool | null, can: { change: boolean; neighbors: boolean }): void {
    for (const [name, button] of Object.entries(this.tools)) button.setAttribute("aria-pressed", String(name === tool));
    this.neighbors.disabled = !can.neighbors;
    for (const button of this.changing) button.disabled = !can.change;
  }

  private choose(tool: Tool): void {
    const on = this.tools[tool].getAttribute("aria-pressed") === "true";
    this.actions.onTool(on ? null : tool);
  }

  private button(name: IconName, label: string, run: () => void): HTMLButtonElement {
    return h("button", { type: "button", class: "icon-button", label, title: label, on: { click: run } }, icon(name));
  }

  private showHow(): void {
    const buttons = HOWS.map(([how, word, title]) =>
      h(
        "button",
        {
          type: "button",
          title,
          attrs: { "aria-pressed": String(how === this.how) },
          on: {
            click: () => {
              this.how = how;
              this.showHow();
            },
          },
        },
        word,
      ),
    );
    fill(this.hows, ...buttons);
  }

  private classes(): HTMLElement | null {
    const { classes, onClass } = this.actions;
    if (classes.length === 0) return null;
    const field = h(
      "select",
      { label: "Select a class", testid: "selection-class" },
      h("option", { attrs: { value: "" } }, "Class"),
      ...classes.map(({ index, name }) => h("option", { attrs: { value: String(index) } }, name)),
    );
    field.addEventListener("change", () => {
      if (field.value !== "") onClass(Number(field.value));
      field.value = "";
    });
    return field;
  }
}
