import { describe, expect, it } from "vitest";
import type { ColorLayer } from "../src/api/types";
import { type AtlasCell, cellId, outputName, sideAt, silence } from "../src/map/atlas-cell";

const layer = (grids?: number[]): ColorLayer =>
  ({
    name: "icons",
    min_zoom: 0,
    max_zoom: 2,
    legend: { kind: "images", classes: [], count_max: [], ...(grids ? { grids } : {}) },
  }) as unknown as ColorLayer;

const cell = (changes: Partial<AtlasCell>): AtlasCell => ({
  vectors: 12,
  label: 3,
  label_share: 0.5,
  speaks_for: [],
  icon: { url: "/icon", media_type: "image/png" },
  ...changes,
});

describe("the cell of a place", () => {
  it("is named grid, row, column, and half open", () => {
    expect(cellId(20, 0.049, 0.051)).toBe("20/1/0");
    expect(cellId(4, 0.5, 0.25)).toBe("4/1/2");
    expect(cellId(4, 1, -0.001)).toBe("4/0/3");
  });

  it("is that of the grid that is drawn at the zoom", () => {
    expect([-1, 0, 0.6, 2, 7].map((zoom) => sideAt(layer([3, 6, 12]), zoom))).toEqual([3, 3, 6, 12, 12]);
  });

  it("is none where an image is one example, as in artifacts of before", () => {
    expect(sideAt(layer([]), 0)).toBeNull();
    expect(sideAt(layer(), 0)).toBeNull();
  });
});

describe("what a cell speaks for", () => {
  it("has the name of the class, or the number of the output", () => {
    expect(outputName({ output: 3, name: "goldfish", attribution: 1 })).toBe("goldfish");
    expect(outputName({ output: 3, name: null, attribution: 1 })).toBe("output 3");
  });

  it("is silent with a reason", () => {
    expect(silence(cell({ speaks_for: [{ output: 1, name: null, attribution: 2 }] }), null)).toBeNull();
    expect(silence(cell({ icon: null, speaks_for: null }), null)).toBe("too few examples for an icon");
    expect(silence(cell({ speaks_for: null }), "the network gives no logits")).toBe("the network gives no logits");
    expect(silence(cell({ speaks_for: null }), null)).toBe("not computed by this job");
    expect(silence(cell({}), null)).toBe("none: it lowers every logit");
  });
});
