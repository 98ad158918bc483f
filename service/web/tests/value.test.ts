// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";
import type { ValueScale } from "../src/api/types";
import { Legend, type LegendView } from "../src/map/legend";
import { barText, beyondText, type Range, shownRange, stepOf, valueText, valueTicks } from "../src/map/value-scale";
import { divergingTable, pack } from "../src/tiles/colormaps";
import { sparseTile } from "../src/tiles/paint";
import { colorOf, paintValue, STEPS, valuePixel } from "../src/tiles/paint-value";
import { layer } from "./helpers/builders";
import { at, shown, stubPixels, texts } from "./helpers/page";

const SCALE: ValueScale = {
  attribute: "entropy",
  type: "number",
  about: "",
  unit: "nats",
  extent: [0, 9],
  range: [1, 3],
  encoded: [0, 5],
  below: 2,
  above: 3,
  missing: 0,
  diverging: false,
  counts: [],
};
const TIME: ValueScale = { ...SCALE, type: "time", unit: "", range: [0, 86_400 * 400], encoded: [0, 86_400 * 900] };

/** A tile of 2 × 2 pixels with (step, log count) each. */
function tileOf(pixels: [step: number, log: number][]) {
  const bytes = pixels.flatMap(([step, log]) => [step >> 8, step & 255, log, 255]);
  return sparseTile(Uint8ClampedArray.from(bytes), 2);
}

const TABLE = Uint32Array.from({ length: 256 }, (_, i) => pack(i, 0, 0, 255));
const PLAIN = { radius: 0, scale: 1 };

describe("painting of means", () => {
  it("reads the mean in R and G and the count in B", () => {
    expect(valuePixel((0x12 << 16) | (0x34 << 8) | 13)).toEqual({ step: 0x1234, count: 2 });
    expect(valuePixel(0).count).toBe(0);
  });

  it("spans the table from one end of the range to the other, and takes the ends beyond", () => {
    const paint = { table: TABLE, from: 100, to: 200 };
    const red = (step: number) => colorOf(paint, step) & 255;
    expect([100, 150, 200, 0, STEPS].map(red)).toEqual([0, 128, 255, 0, 255]);
    expect(colorOf({ table: TABLE, from: 7, to: 7 }, 7) & 255).toBe(128);
  });

  it("paints a step of 0 where there are examples, and nothing where there are none", () => {
    const tile = tileOf([
      [0, 1],
      [200, 1],
      [0, 0],
      [0, 0],
    ]);
    const out = new Uint32Array(4);
    paintValue(tile, out, { table: TABLE, from: 0, to: 200, max: 10, dots: PLAIN });
    expect([...out].map((word) => word & 255)).toEqual([0, 255, 0, 0]);
    expect([...out].map((word) => word >>> 24 > 0)).toEqual([true, true, false, false]);
  });

  it("is fuller where a pixel has more examples", () => {
    const tile = tileOf([
      [0, 1],
      [0, 85],
      [0, 0],
      [0, 0],
    ]);
    const out = new Uint32Array(4);
    paintValue(tile, out, { table: TABLE, from: 0, to: 200, max: 128, dots: PLAIN });
    expect(out[1]! >>> 24).toBe(255);
    expect(out[0]! >>> 24).toBe(204);
  });

  it("gives dots that overlap the mean weighted by their counts, in any order", () => {
    // Three examples of 0 and one of 200, in neighboring pixels whose dots cover both.
    const pixels: [number, number][] = [
      [0, 20], // 2^(19/12) = 3.0 examples
      [200, 1],
      [0, 0],
      [0, 0],
    ];
    const out = new Uint32Array(4);
    const paint = { table: TABLE, from: 0, to: 200, max: 10, dots: { radius: 3, scale: 1 } };
    paintValue(tileOf(pixels), out, paint);
    expect(Math.abs((out[0]! & 255) - 64)).toBeLessThanOrEqual(1);
    const turned = new Uint32Array(4);
    paintValue(tileOf([pixels[1]!, pixels[0]!, pixels[2]!, pixels[3]!]), turned, paint);
    expect(turned[0]! & 255).toBe(out[0]! & 255);
  });

  it("is neutral in the middle of a diverging table, in both themes", () => {
    for (const theme of ["dark", "light"] as const) {
      const table = divergingTable(theme);
      const [r, g, b] = [0, 8, 16].map((shift) => (table[127]! >> shift) & 255) as [number, number, number];
      expect(Math.max(r, g, b) - Math.min(r, g, b)).toBeLessThan(8);
      expect((table[0]! >> 16) & 255).toBeGreaterThan(table[0]! & 255); // blue below zero
      expect(table[255]! & 255).toBeGreaterThan((table[255]! >> 16) & 255); // orange above
    }
  });
});

describe("the scale of a value layer", () => {
  it("takes the range that is asked for, within what the tiles tell apart", () => {
    expect(shownRange(SCALE, null)).toEqual([1, 3]);
    expect(shownRange(SCALE, [2, 100])).toEqual([2, 5]);
    expect(shownRange(SCALE, [70, 100])).toEqual([1, 3]);
    expect(stepOf(SCALE, 2.5)).toBe(STEPS / 2);
  });

  it("has round ticks, and dates for times", () => {
    expect(valueTicks(SCALE, [1, 3]).map((tick) => tick.text)).toEqual(["1", "1.5", "2", "2.5", "3"]);
    expect(valueTicks(TIME, TIME.range).map((tick) => tick.text)).toEqual(["1970-01-01", "1970-07-20", "1971-02-05"]);
    expect(valueText(TIME, 90_061, 86_400)).toBe("1970-01-02 01:01");
    expect(valueText(TIME, 0, 20 * 366 * 86_400)).toBe("1970");
    expect(valueText(SCALE, 0.000012, 0.0001)).toBe("1.2e-5");
    expect(valueText(SCALE, 0.00000515, 1)).toBe("0");
    expect(valueText(SCALE, -0.00000515, 1)).toBe("0");
    expect(valueTicks(SCALE, [1980, 1995]).map((tick) => tick.text)).toEqual(["1980", "1985", "1990", "1995"]);
    expect(valueText(SCALE, 12_345, 20_000)).toBe("12,345");
    expect(valueTicks(SCALE, [2, 2])).toEqual([{ value: 2, text: "2", at: 0.5 }]);
  });

  it("says what lies beyond, and of a range of one's own not how many", () => {
    expect(beyondText(SCALE, true)).toBe("5 beyond the ends have the color of the end.");
    expect(beyondText({ ...SCALE, missing: 1200 }, false)).toBe("1,200 without a value are not drawn.");
    expect(barText({ ...SCALE, diverging: true }, [-1, 1])).toBe("Colors from -1 to 1 nats, neutral at zero");
  });
});

describe("the legend of a value layer", () => {
  let ranges: (Range | null)[];
  let legend: Legend;

  beforeEach(() => {
    stubPixels();
    ranges = [];
    legend = new Legend({ onHidden: () => 0, onColormap: () => 0, onRange: (range) => ranges.push(range) });
    shown(legend.element);
  });

  function view(value: ValueScale, range: Range | null = null): LegendView {
    const of = layer("value", [], { name: "value:x", title: "<b>entropy</b>" });
    of.legend.value = value;
    return {
      layer: of,
      classes: [],
      colormap: "viridis",
      hidden: new Set(),
      range,
      theme: "dark",
      max: 9,
      dotted: true,
    };
  }

  it("has a bar that is read out, its name as text, ticks and unit", () => {
    legend.update(view(SCALE));
    const bar = legend.element.querySelector('[role="img"]')!;
    expect(bar.getAttribute("aria-label")).toBe("Colors from 1 to 3 nats");
    expect(texts(legend.element, "h2")[0]).toBe("<b>entropy</b>");
    expect(texts(legend.element, ".tick")).toEqual(["1", "1.5", "2", "2.5", "3"]);
    expect(legend.element.querySelector(".legend-head .faint")!.textContent).toBe("mean, nats");
    expect(at(legend.element, "value-beyond").textContent).toContain("5 beyond");
    expect(at(legend.element, "colormap-magma").getAttribute("role")).toBe("radio");
  });

  it("has a histogram of its own range, which is read out", () => {
    legend.update(view({ ...SCALE, counts: [2, 8, 0, 1] }));
    const bars = at(legend.element, "histogram");
    expect(bars.getAttribute("aria-label")).toBe("Histogram: most examples, 8, from 1.5 to 2");
    expect([...bars.children].map((bar) => (bar as HTMLElement).style.height)).toEqual(["25%", "100%", "0%", "12.5%"]);
    legend.update(view({ ...SCALE, counts: [2, 8, 0, 1] }, [2, 3]));
    expect(legend.element.querySelector("[data-testid=histogram]")).toBeNull();
  });

  it("offers no sequential colormap where the colors diverge", () => {
    legend.update(view({ ...SCALE, diverging: true }));
    expect(legend.element.querySelector('[data-testid^="colormap-"]')).toBeNull();
  });

  it("moves the range by two sliders, and resets it", () => {
    legend.update(view(SCALE));
    const low = at(legend.element, "range-low") as HTMLInputElement;
    expect(low.getAttribute("aria-valuetext")).toBe("1");
    expect(at(legend.element, "range-reset").hidden).toBe(true);
    low.value = "250";
    low.dispatchEvent(new Event("change"));
    expect(ranges).toEqual([[2.5, 3]]);
    legend.update(view(SCALE, [2.5, 3]));
    at(legend.element, "range-reset").click();
    expect(ranges[1]).toBeNull();
  });
});
