/** Keyboard, drag and drop, and the clipboard of the live page. */

import { toggleTheme } from "../app/theme";
import { isTyping } from "../lib/dom";
import { gridStep } from "../lib/grid-step";
import { takeImages } from "../lib/image-files";

export interface LiveActions {
  /** Moves to the channel that `to` says, given the current one, their number and the columns. */
  move(to: (at: number, count: number, columns: number) => number): void;
  method(index: number): void;
  layer(step: -1 | 1): void;
  choose(): void;
  file(file: Blob): void;
}

const METHODS = 3;

function onKey(event: KeyboardEvent, actions: LiveActions): void {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
  const number = /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
  const table: Record<string, () => void> = {
    "[": () => actions.layer(-1),
    "]": () => actions.layer(1),
    o: () => actions.choose(),
    t: toggleTheme,
  };
  if (gridStep(event.key, 0, 1, 1) !== null) {
    actions.move((at, count, columns) => gridStep(event.key, at, count, columns) ?? at);
  } else if (number >= 1 && number <= METHODS) actions.method(number - 1);
  else if (table[event.key.toLowerCase()]) table[event.key.toLowerCase()]!();
  else return;
  event.preventDefault();
}

/** Listens until the returned function is called; `target` is marked while an image is held over the page. */
export function bindLiveKeys(target: HTMLElement, actions: LiveActions): () => void {
  const ended = new AbortController();
  document.addEventListener("keydown", (event) => onKey(event, actions), { signal: ended.signal });
  takeImages(target, actions.file, ended.signal);
  return () => ended.abort();
}
