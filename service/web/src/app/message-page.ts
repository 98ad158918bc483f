/** A page that says one thing: not found, not a map, service away. */

import { isAlive } from "../api/client";
import { fill, h } from "../lib/dom";
import { mark } from "../lib/icons";
import type { Page } from "./router";

const AGAIN_MS = 3000;

export function messagePage(app: HTMLElement, title: string, message: string): Page {
  show(app, title, message, [
    h("a", { href: "/", class: "button" }, "All maps"),
    h("a", { href: "/jobs", class: "button" }, "All jobs"),
  ]);
  return { destroy: () => undefined };
}

/** Where nobody answers: asks again by itself, and opens the page when the service is back. */
export function awayPage(app: HTMLElement, onBack: () => void): Page {
  const now = h("button", { type: "button", class: "button", testid: "try-again", on: { click: onBack } }, "Try now");
  const message = `Nobody answers at ${location.host}. The page opens by itself when the service is back.`;
  show(app, "The service does not answer", message, [now]);
  let ended = false;
  let timer = 0;
  const ask = async () => {
    const alive = await isAlive();
    if (ended) return;
    if (alive) onBack();
    else again();
  };
  const again = () => {
    timer = window.setTimeout(() => void ask(), AGAIN_MS);
  };
  again();
  return {
    destroy: () => {
      ended = true;
      window.clearTimeout(timer);
    },
  };
}

function show(app: HTMLElement, title: string, message: string, ways: HTMLElement[]): void {
  document.title = `${title} · featurescape`;
  fill(
    app,
    h(
      "main",
      { class: "message-page" },
      mark(),
      h("h1", {}, title),
      h("p", { testid: "message" }, message),
      h("div", { class: "ways" }, ...ways),
    ),
  );
  document.body.dataset.ready = "true";
}
