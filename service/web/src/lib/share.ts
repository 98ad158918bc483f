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
  window.setTimeout(() => shown.remove(), Math.max(2500, 70 * text.length));
}

export interface Shared {
  /** Where the link leads, as "this view"; empty: the page. */
  what?: string;
  /** What the link leaves out, as "without …"; empty: nothing. */
  lacks?: string;
}

/** Copies an address of this service. */
export async function share(path: string, { what = "", lacks = "" }: Shared = {}): Promise<void> {
  const url = new URL(path, location.origin).href;
  const to = what ? ` to ${what}` : "";
  const besides = lacks ? `, ${lacks}` : "";
  try {
    await navigator.clipboard.writeText(url);
    notify(`The link${to} is copied${besides}`);
  } catch {
    showLink(url, to, besides);
  }
}

function showLink(url: string, to: string, besides: string): void {
  const field = h("input", { class: "field", label: "Link", testid: "link", attrs: { readonly: "" } });
  field.value = url;
  const why = h("p", { class: "faint" }, `The browser does not let this page copy: copy the selected link${besides}.`);
  openDialog(`Link${to}`, "share-dialog", h("div", { class: "dialog-form" }, why, field));
  field.focus();
  field.select();
}
