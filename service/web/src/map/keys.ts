/** Keyboard shortcuts of the map page. OpenLayers itself has arrows, plus and minus while the map has the focus. */

import { isTyping } from "../lib/dom";
import type { Shortcut } from "./part";

export interface KeyActions {
  layer(index: number): unknown;
  escape(): void;
}

/** Listens until the returned function is called; raises where two shortcuts have one key. */
export function bindKeys(shortcuts: readonly Shortcut[], actions: KeyActions): () => void {
  const table = new Map(shortcuts.map(({ key, run }) => [key, run]));
  if (table.size < shortcuts.length) throw new RangeError("two shortcuts have one key");
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      actions.escape();
      return;
    }
    if (isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    const run = /^[1-9]$/.test(key) ? () => actions.layer(Number(key) - 1) : table.get(key);
    if (!run) return;
    event.preventDefault();
    run();
  };
  document.addEventListener("keydown", onKey);
  return () => document.removeEventListener("keydown", onKey);
}
