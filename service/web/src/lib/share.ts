/** Copying the address of a page; where the browser gives no clipboard, it is shown to be copied. */

import { openDialog } from "./dialog";
import { h } from "./dom";

let notice: HTMLElement | null = null;

/** Says something for a moment, at the bottom of the page. */
export function notify(text: string): void {
  notice?.remove();
  const shown = h("p", { class: "notice card", role: "status", testid: "notice" }, text);
  notice = shown;
  document.body.append(shown);
  window.setTimeout(() => shown.remove(), 2500);
}

/** Copies an address of this service. */
export async function share(path: string): Promise<void> {
  const url = new URL(path, location.origin).href;
  try {
    await navigator.clipboard.writeText(url);
    notify("The link is copied");
  } catch {
    const field = h("input", { class: "field", label: "Link", attrs: { readonly: "" } });
    field.value = url;
    openDialog("Copy the link", "share-dialog", h("div", { class: "dialog-form" }, field));
    field.select();
  }
}
