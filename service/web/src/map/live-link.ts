/** The way from an open example to the live page. */

import type { Example } from "../api/types";
import { h } from "../lib/dom";
import { livePath } from "../lib/live-path";

/** A link to the live page with the image of an example. */
export function lookLive(map: string, { row }: Pick<Example, "row">): HTMLElement {
  const href = livePath({ map, row });
  return h(
    "p",
    { class: "live-link" },
    h("a", { class: "text-button", href, testid: "look-live" }, "Look inside, live"),
  );
}
