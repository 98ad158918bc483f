// @vitest-environment happy-dom
import { describe, expect, it } from "vitest";
import { colorPlaces, predictedText, runsOf } from "../src/galleries/predicted-text";

describe("a text with what was said after each character", () => {
  it("is cut into runs of one class, by code points", () => {
    expect(runsOf("a👩b", [1, 1, 0])).toEqual([
      { text: "a👩", output: 1, from: 0 },
      { text: "b", output: 0, from: 2 },
    ]);
  });

  it("ends where the predictions do", () => {
    expect(runsOf("abc", [2])).toEqual([{ text: "a", output: 2, from: 0 }]);
  });

  it("colors the class of most characters first, and the rare ones alike", () => {
    const runs = Array.from({ length: 12 }, (_, output) => ({ text: "x".repeat(12 - output), output, from: 0 }));
    const places = colorPlaces(runs);
    expect([places.get(0), places.get(1), places.get(7), places.get(11)]).toEqual([0, 1, 7, 7]);
  });

  it("shows hostile text as text, in its own direction", () => {
    const element = predictedText("<b>שלום", Array(7).fill(0), ["<i>he"]);
    expect(element.querySelector("b, i i")).toBeNull();
    expect(element.querySelector("p")?.textContent).toBe("<b>שלום");
    expect(element.querySelector("p")?.getAttribute("dir")).toBe("auto");
    expect(element.querySelector(".run")?.getAttribute("title")).toBe("<i>he from character 1");
  });
});
