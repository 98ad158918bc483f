/** A group of buttons of which one is chosen: one tab stop, arrow keys move the choice. */

import { h } from "./dom";

export interface Choice {
  value: string;
  label: string;
  testid?: string;
  title?: string;
  content: Node[];
}

export interface RadioGroup {
  element: HTMLElement;
  /** Marks `value` as chosen, without a call of `onChange`. */
  select(value: string): void;
}

const STEPS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

export function radioGroup(
  label: string,
  className: string,
  choices: readonly Choice[],
  onChange: (value: string) => void,
): RadioGroup {
  const buttons = choices.map(({ value, label: name, testid, title, content }) => {
    const button = h(
      "button",
      {
        type: "button",
        role: "radio",
        label: name,
        ...(testid ? { testid } : {}),
        ...(title ? { title } : {}),
        on: { click: () => choose(value) },
      },
      ...content,
    );
    button.dataset.value = value;
    return button;
  });

  function select(value: string): void {
    for (const button of buttons) {
      const chosen = button.dataset.value === value;
      button.setAttribute("aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  function choose(value: string): void {
    select(value);
    onChange(value);
  }

  function onKey(event: KeyboardEvent): void {
    const step = STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const at = buttons.findIndex((button) => button.getAttribute("aria-checked") === "true");
    const next = buttons[(at + step + buttons.length) % buttons.length]!;
    next.focus();
    choose(next.dataset.value!);
  }

  const element = h("div", { role: "radiogroup", label, class: className, on: { keydown: onKey } }, ...buttons);
  return { element, select };
}
