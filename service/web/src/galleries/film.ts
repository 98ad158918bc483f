/** Images one after the other: played, stopped, or moved through by hand. */

import { fill, h, reducedMotion, setText } from "../lib/dom";
import { icon } from "../lib/icons";

const FRAME_MS = 700;

export class Film {
  readonly element: HTMLElement;
  private readonly button = h("button", {
    type: "button",
    class: "icon-button",
    testid: "film-play",
    on: { click: () => this.toggle() },
  });
  private readonly scrub: HTMLInputElement;
  private readonly word = h("output", { class: "film-word", testid: "film-word" });
  private timer = 0;
  private at: number;

  constructor(
    private readonly words: readonly string[],
    private readonly onFrame: (index: number) => void,
  ) {
    this.at = words.length - 1;
    this.scrub = h("input", {
      type: "range",
      class: "range",
      label: "Frame of the film",
      testid: "film-scrub",
      attrs: { min: "0", max: String(words.length - 1), step: "1", value: String(this.at) },
      on: {
        input: () => {
          this.stop();
          this.show(Number(this.scrub.value));
        },
      },
    });
    this.element = h("div", { class: "film" }, this.button, this.scrub, this.word);
    this.label();
    this.show(this.at);
  }

  get playing(): boolean {
    return this.timer !== 0;
  }

  show(index: number): void {
    this.at = Math.min(this.words.length - 1, Math.max(0, index));
    this.scrub.value = String(this.at);
    this.scrub.setAttribute("aria-valuetext", this.words[this.at] ?? "");
    setText(this.word, this.words[this.at] ?? "");
    this.onFrame(this.at);
  }

  /** One frame on or back. */
  step(by: number): void {
    this.stop();
    this.show(this.at + by);
  }

  toggle(): void {
    if (this.playing) this.stop();
    else this.play();
  }

  stop(): void {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.label();
  }

  private play(): void {
    this.show(this.at >= this.words.length - 1 ? 0 : this.at);
    this.timer = window.setInterval(
      () => {
        if (this.at >= this.words.length - 1) this.stop();
        else this.show(this.at + 1);
      },
      reducedMotion() ? 2 * FRAME_MS : FRAME_MS,
    );
    this.label();
  }

  private label(): void {
    const label = this.playing ? "Stop the film" : "Play the film";
    fill(this.button, icon(this.playing ? "pause" : "play"));
    this.button.setAttribute("aria-label", label);
    this.button.title = `${label} (Space)`;
  }
}
