// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { Alignment, linksOf, lookedAt, shownPiece, strongest } from "../src/galleries/alignment";
import { scoresSentence, type Translated, wordSentence } from "../src/galleries/translations";

const ATTENTION = [
  [0.9, 0.05, 0.05],
  [0.1, 0.85, 0.05],
];
const VALUES: Translated = {
  example_id: "test.en#1",
  label: null,
  attributes: null,
  source: "red house",
  translation: "rotes Haus",
  log_probability: -0.5,
  truncated: false,
  source_truncated: false,
  source_words: [" red", " house", ""],
  words: [" rotes", " Haus"],
  word_log_probabilities: [Math.log(0.5), 0],
  attention: ATTENTION,
  alternatives: [],
  references: null,
  chrf: null,
};

describe("alignment", () => {
  it("has a curve for each weight that can be seen", () => {
    expect(linksOf(ATTENTION)).toEqual([
      { source: 0, word: 0, weight: 0.9 },
      { source: 0, word: 1, weight: 0.1 },
      { source: 1, word: 1, weight: 0.85 },
    ]);
    expect(linksOf([[null, 0.01]])).toEqual([]);
  });

  it("names what a word looked at most", () => {
    expect(strongest([0.1, 0.7, null])).toBe(1);
    expect(strongest([])).toBeNull();
    expect(lookedAt([" red", " house", ""], ATTENTION[1]!)).toContain("“house” (85");
    expect(shownPiece("")).toBe("∎");
    expect(shownPiece(" ")).toBe("␣");
    expect(shownPiece(" Haus")).toBe("Haus");
  });

  it("marks the chosen word, its row of the matrix and what it looked at; words are text", () => {
    const choose = vi.fn();
    const shown = new Alignment([" <b>", " house", ""], [" rotes", " Haus"], ATTENTION, choose);
    document.body.append(shown.element);
    expect(shown.element.querySelector("b")).toBeNull();
    shown.show(1);
    expect(shown.words.map((word) => word.getAttribute("aria-pressed"))).toEqual(["false", "true"]);
    const sources = shown.element.querySelectorAll<HTMLElement>("[data-testid=source-words] > span");
    expect([...sources].map((each) => each.style.getPropertyValue("--weight"))).toEqual(["0.1", "0.85", "0.05"]);
    expect(shown.element.querySelectorAll(".alignment-matrix .chosen")).toHaveLength(3);
    expect(shown.element.querySelectorAll(".alignment-matrix rect")).toHaveLength(6);
    shown.words[0]!.click();
    expect(choose).toHaveBeenCalledWith(0);
    shown.destroy();
  });
});

describe("translations", () => {
  it("say of a word how probable it was and what it looked at", () => {
    expect(wordSentence(VALUES, 0)).toContain("50");
    expect(wordSentence(VALUES, 0)).toContain("looked most at “red”");
    expect(wordSentence(VALUES, -1)).toContain("Choose a word");
  });

  it("have scores beside those of copying, or none", () => {
    const scores = { bleu: 13.2, chrf: 41.5, ter: 70.1 };
    const said = scoresSentence({ scores, copied: { ...scores, chrf: 31.1 } });
    for (const figure of ["BLEU 13.2", "chrF2 41.5", "TER 70.1; the sources as they are: chrF2 31.1"])
      expect(said).toContain(figure);
    expect(scoresSentence({ scores: null })).toBe("");
  });
});
