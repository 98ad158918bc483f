/** Captions: what is said of an image, and for each word the part of the image that it looked at. */

import type { Row, StoredImage } from "../api/types";
import { fill, h, reducedMotion, setText } from "../lib/dom";
import { formatCount, formatFigure, joined, plural } from "../lib/format";
import { icon } from "../lib/icons";
import type { RadioGroup } from "../lib/radio";
import { alphaMap, largestWeight, strongestCell, type Weights } from "./attention-map";
import { imageElement } from "./image";
import {
  className,
  EXAMPLE_COLUMNS,
  type ExampleValues,
  exampleFacts,
  type Fact,
  factList,
  names,
  percentRange,
  section,
  segments,
} from "./parts";
import { percent } from "./percent";
import { type About, type Opened, rowGallery } from "./types";

interface Alternative {
  caption: string;
  log_probability: number | null;
}

interface Captioned extends ExampleValues {
  image: StoredImage | null;
  caption: string;
  log_probability: number | null;
  truncated: boolean;
  words: string[];
  word_log_probabilities: (number | null)[];
  gates: (number | null)[];
  /** Of each word the weight of every cell, row by row. */
  attention: Weights[];
  grid: [rows: number, columns: number];
  alternatives: Alternative[];
  references: string[] | null;
}

const WORD_MS = 700;
/** Longer side of the enlarged map; the page stretches it over the image. */
const MAP_PX = 256;
/** No word: the image alone. */
export const NO_WORD = -1;

/** The word so many further on; before the first there is the image alone. */
export function stepWord(at: number, by: number, count: number): number {
  return Math.min(count - 1, Math.max(NO_WORD, at + by));
}

/** −1.234 → "−1.23 nats". */
export function nats(value: number | null): string {
  return value === null ? "" : `${formatFigure(value).replace("-", "−")} nats`;
}

/** What is known of a word: how probable it was, and its gate. */
export function wordFigures(caption: Pick<Captioned, "word_log_probabilities" | "gates">, at: number): string {
  const said = caption.word_log_probabilities[at] ?? null;
  const gate = caption.gates[at] ?? null;
  return joined(said !== null && percent(Math.exp(said)), nats(said), gate !== null && `gate β ${formatFigure(gate)}`);
}

class CaptionView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly values: Captioned;
  private readonly stage = h("div", { class: "easel layers", testid: "captioned" });
  private readonly canvas = h("canvas", { class: "overlay", role: "img", testid: "attention" });
  private readonly legend = h("div", { class: "heat-legend" });
  private readonly reading = h("output", { class: "word-reading", testid: "word-reading" });
  private readonly button = h("button", {
    type: "button",
    class: "icon-button",
    testid: "words-play",
    on: { click: () => this.toggle() },
  });
  private readonly words: HTMLButtonElement[];
  private readonly scales: RadioGroup;
  private scale = "caption";
  /** The word that was chosen or that is being played, and the one under the mouse. */
  private at = NO_WORD;
  private hovered: number | null = null;
  private timer = 0;

  constructor(row: Row<Captioned>, about: About) {
    const { values } = row;
    const classes = names(about.manifest.details, "classes");
    this.values = values;
    this.title = values.example_id;
    this.detail = joined(className(classes, values.label), String(about.manifest.details["model"] ?? ""));
    this.words = values.words.map((word, i) => this.word(word, i));
    this.scales = segments(
      "Full strength is the largest weight of",
      [
        ["caption", "Scale of the caption"],
        ["word", "Scale of the word"],
      ],
      (scale) => this.rescale(scale),
      "scale",
    );
    this.scales.select(this.scale);
    const opacity = percentRange(
      "Opacity",
      80,
      (fraction) => this.stage.style.setProperty("--opacity", String(fraction)),
      "opacity",
    );
    const controls = h("div", { class: "easel-controls" }, this.scales.element, opacity);
    const played = h("div", { class: "film" }, this.button, this.reading);
    const side = h("div", { class: "side" }, ...this.sections(about, classes));
    this.element = h(
      "div",
      { class: "opened captions" },
      h("div", { class: "wide" }, controls, this.stage, this.sentence(), played, this.legend),
      side,
    );
    this.showImage();
    this.label();
    this.draw();
  }

  private sentence(): HTMLElement {
    const { caption, truncated } = this.values;
    const sentence = h(
      "div",
      { class: "sentence-words", role: "group", label: `Caption: ${caption}`, testid: "words" },
      ...this.words,
      truncated && this.cut(),
    );
    sentence.addEventListener("pointerleave", () => this.hover(null));
    return sentence;
  }

  onKey(key: string): boolean {
    if (key === " ") this.toggle();
    else if (key === "[") this.step(-1);
    else if (key === "]") this.step(1);
    else if (key.toLowerCase() === "s") this.rescale(this.scale === "caption" ? "word" : "caption");
    else return false;
    return true;
  }

  destroy(): void {
    this.stop();
    this.stage.replaceChildren();
  }

  private showImage(): void {
    const image = imageElement(this.values.image, { alt: this.values.caption, class: "under" });
    this.canvas.width = this.canvas.height = MAP_PX;
    if (image instanceof HTMLImageElement)
      image.addEventListener("load", () => this.fit(image.naturalWidth, image.naturalHeight));
    fill(this.stage, image, this.canvas);
    this.stage.style.setProperty("--opacity", "0.8");
  }

  /** Gives the map the shape of the image, so that both cover the same part of the stage. */
  private fit(width: number, height: number): void {
    const scale = MAP_PX / Math.max(width, height, 1);
    this.canvas.width = Math.max(1, Math.round(scale * width));
    this.canvas.height = Math.max(1, Math.round(scale * height));
    this.stage.style.setProperty("--ratio", String(width / height || 1));
    this.draw();
  }

  /** A word with the line of its gate. */
  private word(word: string, at: number): HTMLButtonElement {
    const gate = h("i", { attrs: { "aria-hidden": "true" } });
    gate.style.setProperty("--gate", String(this.values.gates[at] ?? 0));
    return h(
      "button",
      {
        type: "button",
        class: "word",
        title: wordFigures(this.values, at),
        testid: `word-${at}`,
        on: { pointerenter: () => this.hover(at), focus: () => this.choose(at), click: () => this.choose(at) },
      },
      h("span", { attrs: { dir: "auto" } }, word),
      gate,
    );
  }

  private cut(): HTMLElement {
    const said = `Truncated: it did not end within ${plural(this.values.words.length, "word")}`;
    return h(
      "span",
      { class: "cut", title: said, testid: "truncated" },
      "… ",
      h("span", { class: "badge-word" }, "truncated"),
    );
  }

  private get shown(): number {
    return this.hovered ?? this.at;
  }

  private hover(at: number | null): void {
    this.hovered = at;
    this.draw();
  }

  private choose(at: number): void {
    this.stop();
    this.at = at;
    this.draw();
  }

  private step(by: number): void {
    this.hovered = null;
    this.choose(stepWord(this.at, by, this.words.length));
    // Who moves along by Tab goes on from the word that is shown.
    if (this.words.includes(document.activeElement as HTMLButtonElement)) this.words[this.at]?.focus();
  }

  private rescale(scale: string): void {
    this.scale = scale;
    this.scales.select(scale);
    this.draw();
  }

  private toggle(): void {
    if (this.timer) this.stop();
    else this.play();
  }

  private play(): void {
    const last = this.words.length - 1;
    this.hovered = null;
    this.at = this.at >= last ? NO_WORD : this.at;
    const on = () => {
      this.at = stepWord(this.at, 1, this.words.length);
      this.draw();
      if (this.at >= last) this.stop();
    };
    this.timer = window.setInterval(on, reducedMotion() ? 2 * WORD_MS : WORD_MS);
    on();
    this.label();
  }

  private stop(): void {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.label();
  }

  private label(): void {
    const label = this.timer ? "Stop the caption" : "Play the caption";
    fill(this.button, icon(this.timer ? "pause" : "play"));
    this.button.setAttribute("aria-label", label);
    this.button.title = `${label} (Space)`;
  }

  private draw(): void {
    const { shown } = this;
    const { words, attention, grid } = this.values;
    const map = attention[shown];
    this.words.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === shown));
    });
    this.canvas.hidden = !map;
    this.legend.hidden = !map;
    setText(
      this.reading,
      shown === NO_WORD
        ? "Choose a word to see where it looked."
        : joined(`word ${shown + 1} of ${words.length}`, wordFigures(this.values, shown)),
    );
    if (!map) return;
    const full = largestWeight(this.scale === "word" ? [map] : attention);
    const { width, height } = this.canvas;
    this.canvas
      .getContext("2d")
      ?.putImageData(new ImageData(alphaMap(map, grid, height, width, full), width, height), 0, 0);
    this.canvas.setAttribute("aria-label", `Attention of “${words[shown]}”, largest in ${strongestCell(map, grid)}`);
    const ends = ["0", "of the attention, in a cell", percent(full)];
    fill(
      this.legend,
      h("span", { class: "heat" }),
      h("span", { class: "heat-ends" }, ...ends.map((end) => h("span", {}, end))),
    );
  }

  private sections(about: About, classes: readonly string[]): HTMLElement[] {
    const { values } = this;
    const lines = values.alternatives.map((each) =>
      h("li", {}, saying(each.caption), h("span", { class: "faint" }, nats(each.log_probability))),
    );
    const references = (values.references ?? []).map((text) => h("li", {}, saying(text)));
    const gates = h(
      "p",
      { class: "faint small-print" },
      "The line under a word is its gate β: how much of the image the word was given.",
    );
    return [
      section("Caption", factList(captionFacts(values, about)), gates),
      ...(lines.length > 0
        ? [section("Next best", h("ol", { class: "sayings", testid: "alternatives" }, ...lines))]
        : []),
      ...(references.length > 0
        ? [section("The dataset says", h("ul", { class: "sayings", testid: "references" }, ...references))]
        : []),
      section("Example", factList(exampleFacts(values, classes))),
    ];
  }
}

function saying(text: string): HTMLElement {
  return h("span", { attrs: { dir: "auto" } }, text);
}

function captionFacts(values: Captioned, about: About): Fact[] {
  const { log_probability, words, truncated, grid } = values;
  const { beam, vocabulary_words } = about.manifest.details;
  return [
    ["Log-probability", nats(log_probability)],
    ["Words", `${formatCount(words.length)}${truncated ? ", truncated" : ""}`],
    ["Beam", typeof beam === "number" ? formatCount(beam) : ""],
    ["Vocabulary", typeof vocabulary_words === "number" ? plural(vocabulary_words, "word") : ""],
    ["Attention", `${grid.join(" × ")} cells`],
  ];
}

export const gallery = rowGallery<Captioned>({
  kind: "captions",
  noun: "image",
  wallColumns: ["example_id", "image", "caption", "log_probability", "truncated"],
  // `attention` has more numbers a row than are given without being asked for.
  columns: [
    ...EXAMPLE_COLUMNS,
    "image",
    "caption",
    "log_probability",
    "truncated",
    "words",
    "word_log_probabilities",
    "gates",
    "attention",
    "grid",
    "alternatives.caption",
    "alternatives.log_probability",
    "references",
  ],
  orders: [
    { value: "", label: "As in the dataset" },
    { value: "-log_probability", label: "Surest first" },
    { value: "log_probability", label: "Least sure first" },
  ],
  hints: [
    [["Space"], "word by word"],
    [["[", "]"], "word"],
    [["S"], "scale"],
  ],
  tile({ values }) {
    const { image, caption, log_probability, truncated } = values;
    return { image, name: caption, caption: nats(log_probability), ...(truncated ? { badge: "truncated" } : {}) };
  },
  open: (row, about) => new CaptionView(row, about),
});
