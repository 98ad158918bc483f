import { describe, expect, it } from "vitest";
import type { Example, MapInfo } from "../src/api/types";
import { thinned } from "../src/charts/plane";
import { at, extent, ticks, valueAt, wholeTicks } from "../src/charts/scale";
import { grouped, type Headlines, type MatrixInfo, series } from "../src/dynamics/data";
import {
  clippingSentence,
  fromLog10,
  gateColor,
  gateOf,
  gatesSentence,
  gradientsSentence,
  jacobiansSentence,
  largestMatrices,
  matrixName,
  powerOfTen,
  powersSentence,
  spectraSentence,
  verdict,
} from "../src/dynamics/words";
import { labelClasses, longestLegend } from "../src/map/legend";
import { exampleOf, plainAttributes, rowBox, stepLine, stepOf, wordsOf } from "../src/map/state-mark";

const layer = "recurrent.0";
const told: Headlines = {
  networks: [],
  matrices: [
    { network: "rnn", layer, matrix: "theta_x", spectral_radius: null, largest_singular_value: 3, condition: 1 },
    { network: "rnn", layer, matrix: "theta_h", spectral_radius: 0.598, largest_singular_value: 1.1, condition: 1 },
    { network: "lstm", layer, matrix: "theta_hi", spectral_radius: 0.5, largest_singular_value: 1.1, condition: 1 },
    { network: "lstm", layer, matrix: "theta_hg", spectral_radius: 2.02, largest_singular_value: 2.5, condition: 1 },
    { network: "matrix", layer: null, matrix: "turns", spectral_radius: 1, largest_singular_value: 1, condition: 1 },
  ],
  gradients: [
    { network: "rnn", layer, path: "hidden", factor_per_step: 0.55, distance: 27, log10_norm: -6.62 },
    { network: "lstm", layer, path: "cell", factor_per_step: 1.01, distance: 27, log10_norm: 0.278 },
    { network: "lstm", layer, path: "carousel", factor_per_step: 0.9, distance: 27, log10_norm: -1 },
  ],
  jacobian_radii: [],
  gates: [
    { network: "lstm", layer, gate: "f", low: 0.0028, high: 0.259, mean: 0.738 },
    { network: "lstm", layer, gate: "i", low: 0.07, high: 0.07, mean: 0.5 },
    { network: "rnn", layer, gate: "h", low: 0.34, high: 0.3, mean: 0 },
  ],
  parameter_gradients: [{ network: "lstm", batches: 16, clipped: 1, median_norm: 2.2184, largest_norm: 5.3145 }],
  left_out: {},
  clip_norm: 5,
  examples: 512,
  steps: 28,
};

describe("sentences", () => {
  it("say of each network the matrix that decides", () => {
    expect(largestMatrices(told.matrices).map((each: MatrixInfo) => each.matrix)).toEqual([
      "theta_h",
      "theta_hg",
      "turns",
    ]);
    const sentence = spectraSentence(told);
    expect(sentence).toContain("the RNN’s θₕ has 0.598, so that its past vanishes");
    expect(sentence).toContain(
      "the LSTM’s θₕ g has 2.02, the largest of its gates’ blocks: it is squashed into a gate",
    );
    expect(sentence).not.toContain("explode");
    expect(sentence).toContain("turns has 1, so that its past stays");
  });

  it("say that a radius above one explodes of what is multiplied and not bent", () => {
    const of = (network: string, matrix: string) =>
      spectraSentence({ ...told, matrices: [{ ...told.matrices[1]!, network, matrix, spectral_radius: 2.6 }] });
    expect(of("matrix", "given")).toContain("so that its past explodes");
    expect(of("rnn", "theta_h")).toContain("its past would explode if tanh did not bend it");
    expect(of("gru", "theta_hz")).not.toContain("explode");
  });

  it("leave the blocks of gates out of the powers", () => {
    const row = (network: string, matrix: string, log10_norm: number) => ({
      network,
      layer: "recurrent.0",
      matrix,
      power: 100,
      log10_norm,
    });
    const layer = told.matrices[1]!.layer;
    const powers = [row("rnn", "theta_h", -22), row("lstm", "theta_hg", 30)].map((each) => ({ ...each, layer }));
    expect(powersSentence(told, powers)).toContain("10⁻²² for the RNN’s θₕ");
    expect(powersSentence(told, powers)).not.toContain("LSTM");
  });

  it("set a step's Jacobian beside the matrix that is multiplied, and beside no block of a gate", () => {
    const radius = (network: string, median: number) => ({
      network,
      layer,
      median,
      largest: median,
      above_one_fraction: 0,
    });
    const sentence = jacobiansSentence({ ...told, jacobian_radii: [radius("rnn", 0.54), radius("lstm", 1.01)] });
    expect(sentence).toContain("0.54 for the RNN (its matrix alone 0.598), 1.01 for the LSTM;");
  });

  it("give a gate one color, whatever network it is of", () => {
    expect(["f", "i", "o", "g", "h", "r", "z"].map(gateColor)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(gateColor("n")).toBe(gateColor("g"));
    expect([gateOf("theta_hf"), gateOf("theta_h"), gateOf("turns")]).toEqual(["f", null, null]);
  });

  it("say what becomes of a gradient", () => {
    const sentence = gradientsSentence(told);
    expect(sentence).toContain("the RNN’s gradient of h vanishes (2.4 · 10⁻⁷, a factor of 0.55 a step)");
    expect(sentence).toContain("along its cell lives on (1.9, a factor of 1.01 a step)");
    expect(sentence).not.toContain("carousel");
    expect([verdict(-2.1), verdict(0), verdict(2.1)]).toEqual(["vanishes", "lives on", "explodes"]);
  });

  it("name the gate that keeps the past, and saturated units", () => {
    const sentence = gatesSentence(told);
    expect(sentence).toContain("forget gate is open in 26 % of all steps and shut in 0.28 %, 0.738 in the mean");
    expect(sentence).toContain("the RNN’s units are saturated in 64 % of all steps");
    expect(sentence).not.toContain("input gate");
  });

  it("say how many batches are clipped, or why it was not measured", () => {
    expect(clippingSentence(told)).toContain("LSTM 2.22 in the median and 5.31 at most, 1 of 16 batches clipped");
    const unlabeled = { ...told, parameter_gradients: [], left_out: { clipping: "some examples have no label" } };
    expect(clippingSentence(unlabeled)).toBe("Not measured: some examples have no label.");
  });
});

describe("numbers", () => {
  it("of any size are read", () => {
    expect([fromLog10(0), fromLog10(Math.log10(0.39)), fromLog10(-6.62), fromLog10(41), fromLog10(-9.999)]).toEqual([
      "1",
      "0.39",
      "2.4 · 10⁻⁷",
      "10⁴¹",
      "10⁻¹⁰",
    ]);
    expect([powerOfTen(-12), powerOfTen(0)]).toEqual(["10⁻¹²", "10⁰"]);
  });

  it("of matrices are named as the lecture does", () => {
    expect(["theta_h", "theta_hf", "theta_xi", "turns"].map(matrixName)).toEqual(["θₕ", "θₕ f", "θₓ i", "turns"]);
  });

  it("stand at their place on an axis, and come back", () => {
    const scale = { from: -2, to: 2, start: 100, end: 0 };
    expect([at(scale, -2), at(scale, 0), at(scale, 2)]).toEqual([100, 50, 0]);
    expect(valueAt(scale, at(scale, 0.7))).toBeCloseTo(0.7);
  });

  it("have round ticks", () => {
    expect([ticks(0, 1, 5), ticks(0, 1, 4)]).toEqual([
      [0, 0.2, 0.4, 0.6, 0.8, 1],
      [0, 0.5, 1],
    ]);
    expect(ticks(-2.3, 2.3, 4)).toEqual([-2, 0, 2]);
    expect(wholeTicks(-0.4, 1.2, 5)).toEqual([0, 1]);
    expect(wholeTicks(0, 27, 6)).toEqual([0, 5, 10, 15, 20, 25]);
    expect(ticks(3, 3, 4)).toEqual([3]);
  });

  it("that are missing leave a gap", () => {
    const rows = [
      { t: 0, v: 1 },
      { t: 2, v: null },
      { t: 3, v: 4 },
    ];
    expect(
      series(
        rows,
        (row) => row.t,
        (row) => row.v,
      ),
    ).toEqual([1, NaN, NaN, 4]);
    expect(extent([NaN, 3, -1, Infinity])).toEqual([-1, 3]);
    expect(extent([])).toEqual([0, 1]);
  });

  it("are thinned evenly where there are too many", () => {
    expect(thinned(5, 10)).toEqual([0, 1, 2, 3, 4]);
    expect(thinned(10, 4)).toEqual([0, 3, 6, 9]);
    expect([...grouped(["b1", "a1", "b2"], (name) => name[0]!)]).toEqual([
      ["b", ["b1", "b2"]],
      ["a", ["a1"]],
    ]);
  });
});

describe("a state", () => {
  const example = {
    example_id: "digits-0005#12",
    width: 8,
    height: 8,
    attributes: { step: 12, steps: 28 },
  } as unknown as Example;

  it("is a row of the square in the middle of its image", () => {
    expect(rowBox({ width: 8, height: 8 }, 1, { step: 7, steps: 28 })).toEqual({
      left: 0,
      top: 0.25,
      width: 1,
      height: 1 / 28,
    });
    const wide = rowBox({ width: 200, height: 100 }, 1.6, { step: 0, steps: 4 });
    expect(wide.left).toBeCloseTo(0.25);
    expect(wide.width).toBeCloseTo(0.5);
    expect(wide.top).toBeCloseTo(0.1);
    expect(wide.height).toBeCloseTo(0.8 / 4);
  });

  it("has a step only on a map of states", () => {
    expect(stepOf(example, "row")).toEqual({ step: 12, steps: 28 });
    expect(stepOf(example, null)).toBeNull();
    expect(stepLine({ step: 12, steps: 28 }, "row")).toBe("After row 13 of 28");
    expect(exampleOf(example, "row").example_id).toBe("digits-0005");
    expect(exampleOf({ ...example, example_id: "a#1" }, null).example_id).toBe("a#1");
  });

  it("is a word of its caption, whatever the word is", () => {
    const words = ["a", "<b>brown</b>", "armchair"];
    const attributes = { row: 4, caption: words.join(" "), words, step: 1, steps: 3, token: words[1] };
    const state = { ...example, attributes } as unknown as Example;
    expect(wordsOf(state, "word")).toEqual(words);
    expect(wordsOf(state, "row")).toBeNull();
    expect(wordsOf(example, "word")).toBeNull();
    expect(stepLine({ step: 1, steps: 3 }, "word")).toBe("Word 2 of 3");
    expect(plainAttributes(state, "word")).toEqual([
      ["row", 4],
      ["step", 1],
      ["steps", 3],
    ]);
    expect(plainAttributes(state, null).map(([name]) => name)).toEqual(["row", "caption", "step", "steps", "token"]);
  });

  it("is colored by its step, and named by its class", () => {
    const of = (names: string[]) => ({
      kind: "category",
      classes: names.map((name, index) => ({ index, name, color: "", count: 1 })),
    });
    const layers = [
      { name: "step", legend: of(["step 0", "step 1", "step 2"]) },
      { name: "category", legend: of(["a", "b"]) },
    ];
    const info = { classes: ["a", "b"], layers } as unknown as MapInfo;
    expect(labelClasses(info).map((each) => each.name)).toEqual(["a", "b"]);
    expect(longestLegend(info)).toHaveLength(3);
    expect(labelClasses({ ...info, classes: [] })).toEqual([]);
  });
});
