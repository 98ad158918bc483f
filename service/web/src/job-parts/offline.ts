/** A line that says that the service does not answer, and that it is asked again. */

import { isUnreachable } from "../api/client";
import { h, setText } from "../lib/dom";

/** Words for an error of a page that asks again by itself. */
export function offlineText(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return isUnreachable(error) ? `${message} It is asked again every few seconds.` : message;
}

export class OfflineNote {
  readonly element = h("p", { class: "problem offline", role: "alert", testid: "offline", attrs: { hidden: "" } });

  show(error: unknown): void {
    setText(this.element, offlineText(error));
    this.element.hidden = false;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
