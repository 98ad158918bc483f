/** Keyboard shortcuts of the map page. OpenLayers itself has arrows, plus and minus while the map has the focus. */

import { toggleTheme } from "../app/theme";
import type { Ask } from "../job-parts/ask";
import { isTyping } from "../lib/dom";

const ASKS: Readonly<Record<string, Ask>> = { d: "dream", e: "explain", u: "units" };

export interface KeyActions {
  layer(index: number): unknown;
  fit(): void;
  showAll(): void;
  search(): void;
  help(): void;
  neighbors(): void;
  ask(what: Ask): void;
  escape(): void;
}

/** Listens until the returned function is called. */
export function bindKeys(actions: KeyActions): () => void {
  const table: Record<string, () => unknown> = {
    f: actions.fit,
    a: actions.showAll,
    n: actions.neighbors,
    t: toggleTheme,
    "/": actions.search,
    "?": actions.help,
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      actions.escape();
      return;
    }
    if (isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    const asked = ASKS[key];
    const action = /^[1-9]$/.test(key)
      ? () => actions.layer(Number(key) - 1)
      : asked
        ? () => actions.ask(asked)
        : table[key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
