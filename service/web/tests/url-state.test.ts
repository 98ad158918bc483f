import { describe, expect, it } from "vitest";
import type { LayerKind, MapInfo } from "../src/api/types";
import { parseRoute } from "../src/app/router";
import { firstArrangement } from "../src/map/first-arrangement";
import { firstLayer } from "../src/map/first-layer";
import { formatMapState, isStep, type MapFacts, type MapState, parseMapState } from "../src/map/url-state";
import { layer, map } from "./helpers/builders";

const facts: MapFacts = {
  layers: ["density", "category", "thumbnails"],
  arrangements: ["exact", "grid"],
  first: "density",
  firstArrangement: "exact",
  classes: [0, 1, 2, 3, 4, 5],
  examples: 1797,
  maxZoom: 7,
};
const start: MapState = {
  center: null,
  zoom: null,
  layer: "density",
  arrangement: "exact",
  colormap: "magma",
  hidden: new Set(),
  range: null,
  row: null,
  search: null,
  added: null,
  names: null,
  selection: null,
  imageSize: 0,
};

describe("the address bar", () => {
  it("is empty for the state a map opens with", () => {
    expect(formatMapState(start, facts)).toBe("");
    expect(parseMapState("", facts)).toEqual(start);
  });

  it("gives back every state it was given", () => {
    const states: Partial<MapState>[] = [
      { center: [0.5123, 0.25], zoom: 3.125 },
      { layer: "category", colormap: "cividis" },
      { arrangement: "grid" },
      { hidden: new Set([1, 4]) },
      { hidden: new Set([0, 1, 2, 3, 5]) },
      { hidden: new Set(facts.classes) },
      { imageSize: -1 },
      { imageSize: 2 },
      { row: 0 },
      { added: "tiles-2", row: 4 },
      { names: "cluster" },
      { names: "off", hidden: new Set([2]) },
      { range: [-0.5, 2e9] },
      { search: { by: "text", value: "a red chair & “50 %” + more" } },
      { search: { by: "like", value: "cats/#1?.png" }, row: 3 },
      { layer: "thumbnails", row: 1796, center: [0, 1], zoom: -0.5, hidden: new Set([5]) },
    ];
    for (const change of states) {
      const state = { ...start, ...change };
      expect(parseMapState(formatMapState(state, facts), facts)).toEqual(state);
    }
  });

  it("writes the shorter list of classes", () => {
    expect(formatMapState({ ...start, hidden: new Set([2]) }, facts)).toBe("?hide=2");
    expect(formatMapState({ ...start, hidden: new Set([0, 1, 2, 3, 5]) }, facts)).toBe("?only=4");
  });

  it("keeps the center to a fraction of a pixel, no more", () => {
    const text = (zoom: number) => formatMapState({ ...start, center: [1 / 3, 2 / 3], zoom }, facts);
    expect(text(0)).toBe("?c=0.3333,0.6667&z=0");
    const [x] = parseMapState(text(7), facts).center!;
    expect(Math.abs(x - 1 / 3) * 512 * 2 ** 7).toBeLessThan(0.2);
  });

  it("falls back where a value is malformed or out of range", () => {
    const search = "?c=NaN,2&z=x&layer=<img>&colormap=constructor&hide=9,-1,a&row=1797&range=2,1&size=3";
    expect(parseMapState(search, facts)).toEqual(start);
    expect(parseMapState(`?q=${"x".repeat(1001)}&like=%20`, facts)).toEqual(start);
    expect(parseMapState("?z=99&row=-1&c=0.5", facts)).toEqual({ ...start, zoom: 7 });
  });
});

describe("the layer that a map opens in", () => {
  const drawnAs = (kinds: LayerKind[], examples: number, step_unit: MapInfo["step_unit"] = null) => ({
    layers: kinds.map((kind, at) => ({ name: `${kind}${at}`, legend: { kind } }) as MapInfo["layers"][number]),
    examples,
    step_unit,
  });
  const drawn: LayerKind[] = ["density", "category", "images"];

  it("is that of the images, however many there are", () => {
    expect(firstLayer(drawnAs(drawn, 1))).toBe("images2");
    expect(firstLayer(drawnAs(drawn, 2_000_000))).toBe("images2");
  });

  it("is the first of an atlas, whose icons are images too, however many examples there are", () => {
    expect(firstLayer(drawnAs(["images", "images", "density"], 100))).toBe("images0");
    expect(firstLayer(drawnAs(["images", "images", "density"], 1e6))).toBe("images0");
  });

  it("is the first where there are no images, or each stands for many steps", () => {
    expect(firstLayer(drawnAs(["category", "density"], 100))).toBe("category0");
    expect(firstLayer(drawnAs(drawn, 100, "row"))).toBe("density0");
    expect(firstLayer(drawnAs(drawn, 100, "word"))).toBe("density0");
    expect(firstLayer(drawnAs(drawn, 100, "view"))).toBe("images2");
  });

  it("is left out of the address, and others are written", () => {
    const opened = { ...facts, first: "thumbnails" };
    expect(parseMapState("", opened).layer).toBe("thumbnails");
    expect(formatMapState({ ...start, layer: "thumbnails" }, opened)).toBe("");
    expect(formatMapState(start, opened)).toBe("?layer=density");
    expect(parseMapState("?layer=density", opened)).toEqual(start);
  });
});

describe("the arrangement that a map opens in", () => {
  const images = layer("images");
  const grid = (layers: MapInfo["layers"], examples: number, change: Partial<MapInfo> = {}) => {
    const filled = { name: "grid", layers, cell: 1 / 64 } as unknown as MapInfo["arrangements"][number];
    return map({ layers: [layer("density"), images], examples, arrangements: [filled], ...change });
  };

  it("is the grid, of up to 64 x 64 images", () => {
    expect(firstArrangement(grid([images], 1))).toBe("grid");
    expect(firstArrangement(grid([images], 4096))).toBe("grid");
    expect(firstArrangement(grid([images], 4097))).toBe("exact");
  });

  it("is exact where the grid has no images, where others are seen first, and without a grid", () => {
    expect(firstArrangement(grid([layer("density")], 100))).toBe("exact");
    expect(firstArrangement(grid([layer("density"), images], 100, { step_unit: "word" }))).toBe("exact");
    expect(firstArrangement(map())).toBe("exact");
  });

  it("is left out of the address, and the other one is written", () => {
    const opened: MapFacts = { ...facts, firstArrangement: "grid" };
    expect(parseMapState("", opened).arrangement).toBe("grid");
    expect(parseMapState("?row=3&hide=1", opened).arrangement).toBe("grid");
    expect(parseMapState("?arr=exact", opened).arrangement).toBe("exact");
    expect(formatMapState({ ...start, arrangement: "grid" }, opened)).toBe("");
    expect(formatMapState(start, opened)).toBe("?arr=exact");
  });

  it("is not meant by an address with a place, another layer or another map over it", () => {
    const opened: MapFacts = { ...facts, firstArrangement: "grid" };
    for (const address of ["?c=0.25,0.5&z=3", "?layer=category", "?with=tiles-2"]) {
      const state = parseMapState(address, opened);
      expect(state.arrangement).toBe("exact");
      expect(formatMapState(state, opened)).toBe(address);
      const inGrid = { ...state, arrangement: "grid" as const };
      expect(parseMapState(formatMapState(inGrid, opened), opened)).toEqual(inGrid);
    }
  });
});

describe("routes", () => {
  it("are read from the path", () => {
    expect(parseRoute("/")).toEqual({ page: "home" });
    expect(parseRoute("/jobs/")).toEqual({ page: "jobs" });
    expect(parseRoute("/jobs/tiles-0123456789ab")).toEqual({ page: "job", id: "tiles-0123456789ab" });
    expect(parseRoute("/maps/tiles-0123456789ab")).toEqual({ page: "map", id: "tiles-0123456789ab" });
    expect(parseRoute("/maps").page).toBe("missing");
    expect(parseRoute("/maps/%E0%A4%A").page).toBe("map");
  });
});

describe("what Back undoes", () => {
  it("is another layer and an opened or closed example, not a move of the map", () => {
    const state = parseMapState("", facts);
    expect(isStep({ ...state, row: 1 }, state)).toBe(true);
    expect(isStep({ ...state, row: 1 }, { ...state, row: 2 })).toBe(true);
    expect(isStep({ ...state, layer: "category" }, { ...state, layer: "density" })).toBe(true);
    expect(isStep({ ...state, center: [0.1, 0.2], zoom: 3 }, state)).toBe(false);
  });
});
