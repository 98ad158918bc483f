import { describe, expect, it } from "vitest";
import type { ColorLayer } from "../src/api/types";
import { COLORMAPS } from "../src/tiles/colormap-tables";
import { lookupTable, pack, parseHex, sample } from "../src/tiles/colormaps";
import { blockMax, dotMax, dotsAt } from "../src/tiles/dots";
import {
  categoryPixel,
  type DataTile,
  discKernel,
  logScale,
  paintCategory,
  paintDensity,
  sparseTile,
  withApron,
} from "../src/tiles/paint";

const PLAIN = { radius: 0, scale: 1 };
const table = Uint32Array.from({ length: 256 }, (_, i) => pack(i, 0, 0, 255));

function tile(size: number, pixels: [number, number, number][]): DataTile {
  return {
    size,
    x: Int16Array.from(pixels, (each) => each[0]),
    y: Int16Array.from(pixels, (each) => each[1]),
    words: Uint32Array.from(pixels, (each) => each[2]),
  };
}

const category = (index: number, share15: number, level: number) =>
  ((index & 255) << 16) | ((((index >> 8) << 4) | share15) << 8) | level;

describe("decoding", () => {
  it("keeps the occupied pixels of an RGBA image as 24-bit words", () => {
    const rgba = new Uint8ClampedArray([0, 0, 0, 255, 0, 1, 2, 255, 0, 0, 0, 255, 255, 254, 253, 255]);
    const read = sparseTile(rgba, 2);
    expect([...read.words]).toEqual([258, 0xfffefd]);
    expect([...read.x]).toEqual([1, 1]);
    expect([...read.y]).toEqual([0, 1]);
  });

  it("reads class, share and count of a category word", () => {
    const pixel = categoryPixel(category(0x123, 15, 1 + 12 * 5));
    expect(pixel).toEqual({ index: 0x123, share: 1, count: 32 });
    expect(categoryPixel(0).count).toBe(0);
  });
});

describe("density", () => {
  it("is transparent where nothing is and spans the table from 1 to the maximum", () => {
    const out = new Uint32Array(4);
    paintDensity(
      tile(2, [
        [0, 0, 1],
        [1, 0, 10],
        [1, 1, 100],
      ]),
      out,
      { table, max: 100, dots: PLAIN },
    );
    expect([...out]).toEqual([table[0], table[128], 0, table[255]]);
  });

  it("gives a lone example the middle of a scale that has only one step", () => {
    expect(logScale(1, 1)).toBe(0.5);
    expect(logScale(50, 10)).toBe(1);
  });

  it("adds the counts of dots that overlap", () => {
    const out = new Uint32Array(64);
    paintDensity(
      tile(8, [
        [3, 4, 5],
        [4, 4, 5],
      ]),
      out,
      { table, max: 10, dots: { radius: 2, scale: 1 } },
    );
    expect(out[4 * 8 + 3]).toBe(table[255]);
    expect(out[0]).toBe(0);
  });
});

describe("category", () => {
  const colors = Uint32Array.from([pack(10, 20, 30, 255), pack(200, 100, 50, 255)]);

  it("paints a class in its color and leaves a hidden one out", () => {
    const data = tile(2, [
      [0, 0, category(0, 15, 1)],
      [1, 1, category(1, 15, 1)],
    ]);
    const out = new Uint32Array(4);
    paintCategory(data, out, { colors, hidden: Uint8Array.from([0, 0]), max: 1, dots: PLAIN });
    expect(out[0]! & 0xffffff).toBe(colors[0]! & 0xffffff);
    expect(out[3]! & 0xffffff).toBe(colors[1]! & 0xffffff);
    paintCategory(data, out, { colors, hidden: Uint8Array.from([1, 0]), max: 1, dots: PLAIN });
    expect(out[0]).toBe(0);
    expect(out[3]).not.toBe(0);
  });

  it("makes purer and fuller pixels stronger", () => {
    const alpha = (word: number) => {
      const out = new Uint32Array(1);
      paintCategory(tile(1, [[0, 0, word]]), out, { colors, hidden: new Uint8Array(2), max: 64, dots: PLAIN });
      return out[0]! >>> 24;
    };
    expect(alpha(category(0, 15, 1 + 72))).toBe(255);
    expect(alpha(category(0, 15, 1))).toBeGreaterThan(alpha(category(0, 5, 1)));
    expect(alpha(category(0, 15, 1))).toBeGreaterThan(150);
  });

  it("ignores a class that the legend does not have", () => {
    const out = new Uint32Array(1);
    paintCategory(tile(1, [[0, 0, category(9, 15, 1)]]), out, {
      colors,
      hidden: new Uint8Array(2),
      max: 1,
      dots: PLAIN,
    });
    expect(out[0]).toBe(0);
  });
});

describe("dots", () => {
  it("are discs: full inside, soft at the edge", () => {
    const { dx, dy, cover } = discKernel(2, 0.5);
    const at = (x: number, y: number) => cover[dx.findIndex((_, i) => dx[i] === x && dy[i] === y)] ?? 0;
    expect(at(0, 0)).toBe(1);
    expect(at(2, 0)).toBeCloseTo(0.5);
    expect(at(3, 0)).toBe(0);
    expect(at(1, 1)).toBe(1);
  });

  it("cross the seam into the next tile", () => {
    const left = tile(8, [[7, 4, 1]]);
    const right = tile(8, []);
    const whole = withApron(right, [{ column: -1, row: 0, tile: left }], 3);
    expect([whole.x[0], whole.y[0]]).toEqual([-1, 4]);
    const out = new Uint32Array(64);
    paintDensity(whole, out, { table, max: 1, dots: { radius: 2, scale: 1 } });
    expect(out[4 * 8]).not.toBe(0);
    expect(out[4 * 8 + 3]).toBe(0);
    expect(withApron(right, [{ column: -1, row: 0, tile: tile(8, [[2, 4, 1]]) }], 3).words.length).toBe(0);
  });

  it("shrink to pixels on a dense map and grow where the view is deeper than the data", () => {
    expect(dotsAt(1_281_167, 0, 0, 1)).toEqual({ radius: 0, scale: 1 });
    expect(dotsAt(1797, 0, 0, 1).radius).toBeGreaterThan(2);
    expect(dotsAt(1797, 2, 2, 1).scale).toBe(4);
    expect(dotsAt(1797, 2, 5, 1).scale).toBe(4);
    expect(dotsAt(1797, 0, 0, 2).scale).toBe(2);
  });

  it("take the end of their scale from the zoom whose pixels are as large", () => {
    const layer = { legend: { kind: "density", classes: [], count_max: [90, 40, 10] } } as unknown as ColorLayer;
    expect(dotMax(layer, null, 2, PLAIN)).toBe(10);
    expect(dotMax(layer, null, 2, { radius: 2.4, scale: 1 })).toBe(90);
    const root = tile(4, [
      [0, 0, 3],
      [1, 1, 4],
      [3, 3, 5],
    ]);
    expect(blockMax(root, 2)).toBe(7);
    expect(dotMax(layer, root, 0, { radius: 1.2, scale: 1 })).toBe(7);
  });
});

describe("colormaps", () => {
  it("have 256 colors each, from one end to the other", () => {
    for (const table of Object.values(COLORMAPS)) expect(table).toMatch(/^[0-9a-f]{1536}$/);
    expect(sample("gray", 0)).toEqual(parseHex("#1a1a1a"));
    expect(sample("gray", 1)).toEqual([255, 255, 255]);
    expect(sample("viridis", 0)).toEqual(parseHex("#440154"));
    expect(sample("viridis", 128 / 255)).toEqual(parseHex("#21918c"));
  });

  it("run from dim to bright in the dark and from light to dark on paper", () => {
    const sum = (word: number) => (word & 255) + ((word >> 8) & 255) + ((word >> 16) & 255);
    for (const name of Object.keys(COLORMAPS) as (keyof typeof COLORMAPS)[]) {
      const dark = lookupTable(name, "dark");
      const light = lookupTable(name, "light");
      expect(sum(dark[255]!)).toBeGreaterThan(sum(dark[0]!));
      expect(sum(light[255]!)).toBeLessThan(sum(light[0]!));
    }
  });
});
