import { describe, expect, it } from "vitest";
import { alphaMap, enlarge, heat, largestWeight, strongestCell } from "../src/galleries/attention-map";
import { gallery, NO_WORD, nats, stepWord, wordFigures } from "../src/galleries/captions";
import { GALLERIES } from "../src/galleries/index";
import type { About, RowGallery } from "../src/galleries/types";

const rounded = (values: Float32Array) => [...values].map((value) => Number(value.toFixed(4)));

describe("enlarging a map", () => {
  it("is linear between the centers of the cells, and constant beyond", () => {
    expect(rounded(enlarge([0, 1], [1, 2], 1, 4))).toEqual([0, 0.25, 0.75, 1]);
    expect(rounded(enlarge([0, 1], [2, 1], 4, 1))).toEqual([0, 0.25, 0.75, 1]);
  });

  it("of the same size is the map", () => {
    expect(rounded(enlarge([0.1, 0.2, 0.3, 0.4, 0, 0], [2, 3], 2, 3))).toEqual([0.1, 0.2, 0.3, 0.4, 0, 0]);
  });

  it("keeps an even map even, and takes what is no number as nothing", () => {
    expect(new Set(rounded(enlarge([0.25, 0.25, 0.25, 0.25], [2, 2], 5, 7)))).toEqual(new Set([0.25]));
    expect(rounded(enlarge([null, 1], [1, 2], 1, 2))).toEqual([0, 1]);
  });

  it("reads the cells row by row", () => {
    const enlarged = enlarge([0, 0, 1, 0, 0, 0], [2, 3], 4, 6);
    expect(enlarged[5]).toBe(1); // top right
    expect(enlarged[0]).toBe(0);
    expect(enlarged[18]).toBe(0); // bottom left
    expect(enlarged[23]).toBe(0);
  });
});

describe("attention as an alpha map", () => {
  it("is clear where nothing is, and the brighter the more there is", () => {
    expect(heat(0)[3]).toBe(0);
    expect(heat(1)).toEqual([255, 250, 160, 255]);
    expect(heat(7)).toEqual(heat(1));
    expect(heat(-1)).toEqual(heat(0));
    const alphas = [0, 0.25, 0.5, 0.75, 1].map((strength) => heat(strength)[3]);
    expect(alphas).toEqual([0, 64, 128, 191, 255]);
  });

  it("is at full strength at the weight that is named", () => {
    const alphas = (full: number) => [...alphaMap([0.1, 0.4], [1, 2], 1, 2, full)].filter((_, i) => i % 4 === 3);
    expect(alphas(0.4)).toEqual([64, 255]);
    expect(alphas(0.8)).toEqual([32, 128]);
  });

  it("of nothing at all is clear", () => {
    expect([...alphaMap([0, 0], [1, 2], 1, 2, 0)]).toEqual(Array(8).fill(0));
    expect([...alphaMap([], [1, 2], 1, 2, 1)].filter((_, i) => i % 4 === 3)).toEqual([0, 0]);
  });

  it("finds the largest weight and its cell", () => {
    expect(
      largestWeight([
        [0.5, 0.25],
        [null, 0.75],
      ]),
    ).toBe(0.75);
    expect(largestWeight([])).toBe(0);
    expect(strongestCell([0, 0, 0, 0, 0.9, 0.1], [2, 3])).toBe("row 2 of 2, column 2 of 3");
  });
});

describe("words", () => {
  it("are stepped through, from the image alone to the last", () => {
    expect(stepWord(NO_WORD, 1, 3)).toBe(0);
    expect(stepWord(1, 1, 3)).toBe(2);
    expect(stepWord(2, 1, 3)).toBe(2);
    expect(stepWord(0, -1, 3)).toBe(NO_WORD);
    expect(stepWord(NO_WORD, -1, 3)).toBe(NO_WORD);
    expect(stepWord(NO_WORD, 1, 0)).toBe(NO_WORD);
  });

  it("say how probable they were, and their gate", () => {
    const caption = { word_log_probabilities: [Math.log(0.5), null], gates: [0.625, null] };
    const facts = wordFigures(caption, 0)
      .split("·")
      .map((fact) => fact.trim());
    expect(facts).toEqual(["50 %", "−0.693 nats", "gate β 0.625"]);
    expect(wordFigures(caption, 1)).toBe("");
    expect(nats(null)).toBe("");
    expect(nats(0)).toBe("0 nats");
  });
});

describe("the gallery", () => {
  const rows = gallery as unknown as RowGallery<Record<string, unknown>>;

  it("is known by the name of its job", () => {
    expect(Object.hasOwn(GALLERIES, "captions")).toBe(true);
  });

  it("asks for attention where an image is opened, and not on the wall", () => {
    expect(rows.columns).toContain("attention");
    expect(rows.wallColumns).not.toContain("attention");
    expect(rows.wallColumns[0]).toBe("example_id");
  });

  it("marks a truncated caption on the wall", () => {
    const values = { example_id: "a", image: null, caption: "a chair", log_probability: -1.5, truncated: true };
    const tile = (change: object) => rows.tile({ row: 0, values: { ...values, ...change } }, {} as About);
    expect(tile({})).toEqual({ image: null, name: "a chair", caption: "−1.5 nats", badge: "truncated" });
    expect(tile({ truncated: false }).badge).toBeUndefined();
  });
});
