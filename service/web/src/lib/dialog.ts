/** A question in a dialog: a title, content, and buttons; it is gone from the page when it is closed. */

import { h } from "./dom";
import { icon } from "./icons";

export interface Dialog {
  readonly element: HTMLDialogElement;
  close(): void;
}

/** Opens a dialog; Escape and a click beside it close it. */
export function openDialog(title: string, testid: string, ...content: Node[]): Dialog {
  const close = () => element.close();
  const x = h("button", { type: "button", class: "icon-button", label: "Close", on: { click: close } }, icon("close"));
  const element = h(
    "dialog",
    { class: "dialog card", testid, label: title },
    h("header", { class: "dialog-head" }, h("h2", {}, title), x),
    ...content,
  );
  element.addEventListener("click", (event) => {
    if (event.target === element) close();
  });
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return { element, close };
}
