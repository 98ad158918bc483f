import { describe, expect, it } from "vitest";
import { type SanityCheck, sanityCurve, sanitySentence } from "../src/galleries/sanity";

const spread = (median: number) => ({
  least: median - 0.1,
  low: median - 0.05,
  median,
  high: median + 0.05,
  largest: median + 0.1,
});

function check(verdict: SanityCheck["methods"][number]["verdict"], last: number | null, undefined_ = 0): SanityCheck {
  return {
    examples: ["a", "b"],
    draws: 3,
    modules: 9,
    passes_below: 0.3,
    fails_above: 0.7,
    stages: [
      { stage: 0, modules: 0, module: null },
      { stage: 1, modules: 1, module: "head" },
      { stage: 2, modules: 9, module: "stem" },
    ],
    methods: [
      {
        method: "saliency",
        verdict,
        stages: [
          { measured: 6, undefined: 0, spearman: spread(0.5) },
          { measured: 6 - undefined_, undefined: undefined_, spearman: last === null ? null : spread(last) },
        ],
      },
    ],
  };
}

describe("a sanity check", () => {
  it("is said with its median, spread and number", () => {
    expect(sanitySentence(check("passed", 0.12), "saliency")).toBe(
      "With all weights random, the rank correlation with the map of the given weights is 0.12 in the median, half of them from 0.07 to 0.17 (2 images, 3 random networks each). " +
        "Passed: three in four are below 0.3. These maps depended on the weights; it does not follow that they show what the network decides by.",
    );
    expect(sanitySentence(check("failed", 0.9), "saliency")).toContain("Failed: three in four are above 0.7.");
    expect(sanitySentence(check("undecided", 0.5), "saliency")).toContain("Undecided");
  });

  it("says what could not be compared", () => {
    expect(sanitySentence(check("passed", 0.1, 2), "saliency")).toContain("Of 6, 2 had no differences to compare.");
    expect(sanitySentence(check("unmeasured", null, 6), "saliency")).toBe(
      "With all weights random, no map had differences to compare (2 images, 3 random networks each).",
    );
    expect(sanitySentence(check("passed", 0.1), "occlusion")).toBe("This method was not checked.");
  });

  it("is a curve from the given weights to random ones, with gaps", () => {
    const { values, low, high } = sanityCurve(check("unmeasured", null, 6).methods[0]!);
    expect(values).toEqual([1, 0.5, NaN]);
    expect(low[1]).toBeCloseTo(0.45);
    expect(high[1]).toBeCloseTo(0.55);
  });
});
