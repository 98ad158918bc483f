/** Two images of one place, before and after, with a line between them that is dragged. */

import { fill, h } from "../lib/dom";
import { sharpen } from "./image";

const STEP = 5;

/** Where the line is put by a key, in percent; null: the key is not for it. */
export function splitAfter(key: string, split: number): number | null {
  const moved: Record<string, number> = {
    ArrowLeft: split - STEP,
    ArrowDown: split - STEP,
    ArrowRight: split + STEP,
    ArrowUp: split + STEP,
    Home: 0,
    End: 100,
  };
  const next = moved[key];
  return next === undefined ? null : Math.min(100, Math.max(0, next));
}

export class Compare {
  readonly element: HTMLElement;
  private readonly before = h("img", { class: "before", attrs: { draggable: "false" } });
  private readonly after = h("img", { class: "after", testid: "after", attrs: { draggable: "false" } });
  private readonly handle = h("div", {
    class: "compare-handle",
    role: "slider",
    tabIndex: 0,
    label: "Line between before and after",
    testid: "compare-handle",
    attrs: { "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal" },
  });
  private split = 50;

  /**
   * @param ratio width over height of the images
   */
  constructor(
    ratio: number,
    private readonly words: readonly [before: string, after: string],
  ) {
    this.before.alt = words[0];
    this.after.alt = words[1];
    for (const image of [this.before, this.after]) image.addEventListener("load", () => sharpen(image));
    const labels = words.map((word, i) =>
      h("span", { class: `compare-word ${i === 0 ? "first" : "second"}`, attrs: { "aria-hidden": "true" } }, word),
    );
    this.element = h(
      "div",
      { class: "compare easel", testid: "compare" },
      this.after,
      this.before,
      ...labels,
      this.handle,
    );
    this.element.style.setProperty("--ratio", String(ratio));
    this.element.addEventListener("pointerdown", (event) => this.onPointer(event));
    this.handle.addEventListener("keydown", (event) => {
      const next = splitAfter(event.key, this.split);
      if (next === null) return;
      event.preventDefault();
      this.move(next);
    });
    fill(this.handle, h("i", {}));
    this.move(50);
  }

  setBefore(url: string): void {
    this.before.src = url;
  }

  setAfter(url: string, word: string): void {
    if (this.after.getAttribute("src") === url) return;
    this.after.src = url;
    this.after.alt = word;
    this.element.querySelector(".compare-word.second")!.textContent = word;
  }

  /** Shows only what was before, or only what came of it; at the line again: both. */
  toggle(): void {
    this.move(this.split >= 50 ? 0 : 100);
  }

  private move(split: number): void {
    this.split = split;
    this.element.style.setProperty("--split", `${split}%`);
    this.handle.setAttribute("aria-valuenow", String(Math.round(split)));
    this.handle.setAttribute("aria-valuetext", `${Math.round(split)} % ${this.words[0]}`);
  }

  private onPointer(event: PointerEvent): void {
    if (event.button !== 0) return;
    event.preventDefault();
    this.handle.focus({ preventScroll: true });
    const follow = (move: PointerEvent) => {
      const box = this.element.getBoundingClientRect();
      this.move(Math.min(100, Math.max(0, (100 * (move.clientX - box.left)) / box.width)));
    };
    const end = () => {
      this.element.removeEventListener("pointermove", follow);
      this.element.removeEventListener("pointerup", end);
      this.element.removeEventListener("pointercancel", end);
    };
    this.element.setPointerCapture(event.pointerId);
    this.element.addEventListener("pointermove", follow);
    this.element.addEventListener("pointerup", end);
    this.element.addEventListener("pointercancel", end);
    follow(event);
  }
}
