/** Translations: each sentence beside its source, and for each word what of the source it looked at. */

import type { Row } from "../api/types";
import { h, setText } from "../lib/dom";
import { formatCount, formatFigure, joined, plural } from "../lib/format";
import { Alignment, lookedAt, shownPiece } from "./alignment";
import { nats } from "./captions";
import { attributesOf, className, type Fact, factList, names, section } from "./parts";
import { percent } from "./percent";
import { type About, type Opened, rowGallery } from "./types";

interface Alternative {
  translation: string;
  log_probability: number | null;
}

export interface Translated {
  example_id: string;
  label: number | null;
  attributes: string | null;
  source: string;
  translation: string;
  log_probability: number | null;
  truncated: boolean;
  source_truncated: boolean;
  source_words: string[];
  words: string[];
  word_log_probabilities: (number | null)[];
  attention: (number | null)[][];
  alternatives: Alternative[];
  references: string[] | null;
  chrf: number | null;
}

/** What is known of a word: how probable it was, and what it looked at. */
export function wordSentence(values: Translated, at: number): string {
  const piece = values.words[at];
  if (piece === undefined) return "Choose a word to see what it looked at.";
  const said = values.word_log_probabilities[at] ?? null;
  return joined(
    `“${shownPiece(piece)}”`,
    said !== null && percent(Math.exp(said)),
    lookedAt(values.source_words, values.attention[at] ?? []),
  );
}

/** "BLEU 13.2 · chrF2 41.5 · TER 70.1; copying: chrF2 31.1" */
export function scoresSentence(details: Record<string, unknown>): string {
  const [scores, copied] = ["scores", "copied"].map((key) => details[key] as Record<string, number> | null | undefined);
  if (!scores) return "";
  const figures = joined(
    `BLEU ${formatFigure(scores["bleu"] ?? 0)}`,
    `chrF2 ${formatFigure(scores["chrf"] ?? 0)}`,
    `TER ${formatFigure(scores["ter"] ?? 0)}`,
  );
  return copied ? `${figures}; the sources as they are: chrF2 ${formatFigure(copied["chrf"] ?? 0)}` : figures;
}

class TranslationView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly reading = h("output", { class: "word-reading", testid: "word-reading" });
  private readonly alignment: Alignment;
  private readonly values: Translated;
  private at = -1;

  constructor(row: Row<Translated>, about: About) {
    const { values } = row;
    this.values = values;
    this.title = values.example_id;
    this.detail = joined(String(about.manifest.details["model"] ?? ""), scoresSentence(about.manifest.details));
    this.alignment = new Alignment(values.source_words, values.words, values.attention, (at) => this.choose(at));
    this.element = h(
      "div",
      { class: "opened translations" },
      h("div", { class: "wide" }, this.alignment.element, this.reading),
      h("div", { class: "side" }, ...sections(values, about)),
    );
    this.choose(-1);
  }

  onKey(key: string): boolean {
    const by = ({ "[": -1, "]": 1 } as const)[key];
    if (by === undefined) return false;
    this.choose(Math.min(this.values.words.length - 1, Math.max(-1, this.at + by)));
    return true;
  }

  destroy(): void {
    this.alignment.destroy();
  }

  private choose(at: number): void {
    this.at = at;
    this.alignment.show(at);
    setText(this.reading, wordSentence(this.values, at));
  }
}

function sections(values: Translated, about: About): HTMLElement[] {
  const alternatives = values.alternatives.map((each) =>
    h("li", {}, saying(each.translation), h("span", { class: "faint" }, nats(each.log_probability))),
  );
  const references = (values.references ?? []).map((text) => h("li", {}, saying(text)));
  const example: Fact[] = [
    ["Label", className(names(about.manifest.details, "classes"), values.label)],
    ...attributesOf(values.attributes).map(([name, value]): Fact => [name, String(value)]),
  ];
  return [
    section("Source", h("p", { testid: "source" }, saying(values.source))),
    section("Translation", h("p", { testid: "translation" }, saying(values.translation)), factList(facts(values))),
    ...(references.length > 0
      ? [section("The dataset says", h("ul", { class: "sayings", testid: "references" }, ...references))]
      : []),
    ...(alternatives.length > 0
      ? [section("Next best", h("ol", { class: "sayings", testid: "alternatives" }, ...alternatives))]
      : []),
    ...(example.some(([, value]) => value) ? [section("Example", factList(example))] : []),
  ];
}

function saying(text: string): HTMLElement {
  return h("span", { attrs: { dir: "auto" } }, text);
}

function facts(values: Translated): Fact[] {
  const { chrf, log_probability, words, truncated, source_truncated } = values;
  return [
    ["chrF2", chrf === null ? "no translation to compare with" : formatFigure(chrf)],
    ["Log-probability", nats(log_probability)],
    ["Subwords", `${formatCount(words.length)}${truncated ? ", truncated" : ""}`],
    ["Source", source_truncated ? `truncated after ${plural(values.source_words.length, "subword")}` : ""],
  ];
}

export const gallery = rowGallery<Translated>({
  kind: "translations",
  noun: "translation",
  wallColumns: ["example_id", "source", "translation", "chrf", "truncated"],
  columns: [
    "example_id",
    "label",
    "attributes",
    "source",
    "translation",
    "log_probability",
    "truncated",
    "source_truncated",
    "source_words",
    "words",
    "word_log_probabilities",
    "attention",
    "alternatives.translation",
    "alternatives.log_probability",
    "references",
    "chrf",
  ],
  orders: [
    { value: "", label: "As in the dataset" },
    { value: "chrf", label: "Worst chrF2 first" },
    { value: "-chrf", label: "Best chrF2 first" },
  ],
  hints: [[["[", "]"], "word"]],
  tile({ values }) {
    const { source, translation, chrf, truncated } = values;
    return {
      image: null,
      text: source,
      name: translation,
      caption: chrf === null ? "" : `chrF2 ${formatFigure(chrf)}`,
      ...(truncated ? { badge: "truncated" } : {}),
    };
  },
  open: (row, about) => new TranslationView(row, about),
});
