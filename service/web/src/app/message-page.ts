/** A page that says one thing: not found, not a map, service away. */

import { fill, h } from "../lib/dom";
import { mark } from "../lib/icons";
import type { Page } from "./router";

export function messagePage(app: HTMLElement, title: string, message: string): Page {
  document.title = `${title} · featurescape`;
  fill(
    app,
    h(
      "main",
      { class: "message-page" },
      mark(),
      h("h1", {}, title),
      h("p", { testid: "message" }, message),
      h("p", {}, h("a", { href: "/jobs", class: "button" }, "All jobs")),
    ),
  );
  document.body.dataset.ready = "true";
  return { destroy: () => undefined };
}
