import { describe, expect, it } from "vitest";
import { byEpoch, curveOf, keptSentence } from "../src/jobs/curve";

describe("the curve of a training", () => {
  it("begins at the first epoch", () => {
    expect(byEpoch([1, 2, 3], [3, 2, 1])).toEqual([NaN, 3, 2, 1]);
    expect(byEpoch([], [])).toEqual([]);
  });

  it("is straight between epochs that are shown", () => {
    expect(byEpoch([1, 3, 6], [0, 4, 10])).toEqual([NaN, 0, 2, 4, 6, 8, 10]);
  });

  it("has a gap where a figure is no finite number", () => {
    expect(byEpoch([1, 2, 3], [1, null, 2])).toEqual([NaN, 1, NaN, 2]);
    expect(byEpoch([1, 3], [null, 2])).toEqual([NaN, NaN, NaN, 2]);
  });

  it("has the columns of the history", () => {
    const row = { epoch: 1, loss: 2, validation_loss: 3, validation_accuracy: 0.5 };
    const curve = { epoch: [1, 2], loss: [2, 2], validation_loss: [3, null], validation_accuracy: [0.5, 0.5] };
    expect(curveOf([row, { ...row, epoch: 2, validation_loss: null }])).toEqual(curve);
  });

  it("says which epoch is kept", () => {
    expect(keptSentence({ best_epoch: 7 })).toBe("The weights that are kept are those of epoch 7.");
    expect(keptSentence({ best_epoch: 7, kept_epoch: 9 })).toContain("epoch 9");
    expect(keptSentence({})).toBe("");
  });
});
