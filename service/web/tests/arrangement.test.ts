// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { MapInfo } from "../src/api/types";
import { Store } from "../src/lib/store";
import { arrangedFor, arrangementsOf, placeIn } from "../src/map/arranged";
import { arrangement, keptText } from "../src/map/arrangement";
import { eased, moved } from "../src/map/arrangement-motion";
import type { MapContext } from "../src/map/part";
import { loadPlaces } from "../src/map/point-places";
import type { MapState } from "../src/map/url-state";
import { example, layer, map } from "./helpers/builders";

const thumbnails = layer("images", [], { name: "thumbnails" });
const GRID: MapInfo["arrangements"][number] = {
  name: "grid",
  extent: [0.125, 0.125, 0.8125, 0.8125],
  layers: [{ name: "thumbnails", path: "data/thumbnails-grid.pmtiles", min_zoom: 0, max_zoom: 2, drawn: [30, 120] }],
  points: "data/points-grid.pmtiles",
  points_zoom: 1,
  cell: 1 / 16,
  neighbors_kept: 0.583,
  neighbors_k: 10,
  neighbors_examples: 120,
};
const both = (change: Partial<MapInfo> = {}) =>
  map({ layers: [layer("density"), thumbnails], arrangements: [{ ...GRID, name: "exact" }, GRID], ...change });

describe("the arrangements of a map", () => {
  it("are exact places alone where the map says nothing of others, as an earlier one", () => {
    const info = map();
    const [exact, ...others] = arrangementsOf(info);
    expect(others).toEqual([]);
    expect(exact).toMatchObject({ name: "exact", extent: [0, 0, 1, 1], layers: info.layers, points: info.points });
    const old: Partial<MapInfo> = { ...info };
    delete old.arrangements;
    expect(arrangementsOf(old as MapInfo)).toHaveLength(1);
  });

  it("have the layers of the map, with archives of their own", () => {
    const [exact, grid] = arrangementsOf(both());
    expect(exact!.layers).toHaveLength(2);
    expect(grid).toMatchObject({ name: "grid", points: GRID.points, pointsZoom: 1, cell: 1 / 16 });
    expect(grid!.layers).toEqual([{ ...thumbnails, ...GRID.layers[0] }]);
  });

  it("are exact where a layer is not in the grid", () => {
    const all = arrangementsOf(both());
    expect(arrangedFor(all, "grid", "thumbnails").name).toBe("grid");
    expect(arrangedFor(all, "grid", "density").name).toBe("exact");
    expect(arrangedFor(all, "exact", "thumbnails").name).toBe("exact");
  });

  it("put an example in its cell, and leave a place that says nothing of cells", () => {
    const place = { x: 0.1, y: 0.2, grid_x: 0.3, grid_y: 0.4 };
    expect(placeIn({ name: "grid" }, place)).toEqual({ x: 0.3, y: 0.4 });
    expect(placeIn({ name: "exact" }, place)).toEqual({ x: 0.1, y: 0.2 });
    expect(placeIn({ name: "grid" }, { x: 0.1, y: 0.2 })).toEqual({ x: 0.1, y: 0.2 });
    expect(placeIn({ name: "grid" }, { ...place, grid_x: null })).toEqual({ x: 0.1, y: 0.2 });
  });
});

/** A page whose stage follows the store as the real one does. */
function page(info: MapInfo, start: Partial<MapState> = {}) {
  const store = new Store({ layer: "thumbnails", arrangement: "exact", row: null, ...start } as MapState);
  const all = arrangementsOf(info);
  const stage = {
    arrangements: all,
    get arrangement() {
      return arrangedFor(all, store.state.arrangement, store.state.layer);
    },
    layerInfo: (name: string) => info.layers.find((each) => each.name === name)!,
    imagesOf: () => [],
    pointsOf: ({ points }: { points: string }) => ({ path: points }),
    fitted: true,
    zoom: 3,
    center: [0.5, 0.5],
    moveTo: vi.fn(),
  };
  const picker = { use: vi.fn(), pick: vi.fn(async () => ({ row: 4, x: 0.5, y: 0.5, label: 0 })) };
  const examples = { get: vi.fn(async (row: number) => example({ row, grid_x: 0.7, grid_y: 0.6 })) };
  const fit = vi.fn();
  const context = { info, store, stage, picker, examples, fit, target: document.body };
  const part = arrangement(context as unknown as MapContext);
  store.subscribe((state, previous) => {
    part?.relook?.();
    part?.changed?.(state, previous);
  });
  document.body.replaceChildren(...(part?.choices ?? []));
  part?.start?.();
  part?.relook?.();
  const radio = (name: string) => document.querySelector<HTMLButtonElement>(`[data-testid="arrangement-${name}"]`)!;
  return { part, store, stage, picker, examples, fit, radio, note: document.querySelector(".arrangement-note")! };
}

describe("the switch", () => {
  beforeEach(() => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    document.body.replaceChildren();
  });

  it("is not there where there is one arrangement", () => {
    expect(page(map({ layers: [thumbnails] })).part).toBeNull();
  });

  it("is a group of two, of which one is chosen, and says what the grid keeps", () => {
    const { radio, store, note, picker, fit } = page(both());
    expect(document.querySelector('[role="radiogroup"]')!.getAttribute("aria-label")).toBe("Arrangement");
    expect(radio("exact").getAttribute("aria-checked")).toBe("true");
    radio("grid").click();
    expect(store.state.arrangement).toBe("grid");
    expect(radio("grid").getAttribute("aria-checked")).toBe("true");
    expect(note.textContent).toBe("Keeps 58 % of the 10 nearest neighbors.");
    expect(picker.use).toHaveBeenLastCalledWith({ path: GRID.points }, 1);
    expect(fit).toHaveBeenCalledOnce();
  });

  it("has a key that goes to and fro", () => {
    const { part, store } = page(both());
    const key = part!.shortcuts!.find((each) => each.key === "g")!;
    key.run();
    expect(store.state.arrangement).toBe("grid");
    key.run();
    expect(store.state.arrangement).toBe("exact");
  });

  it("leaves no choice for a layer that the grid does not have, and comes back with the other layer", () => {
    const { part, store, radio, note, picker } = page(both(), { arrangement: "grid" });
    expect(picker.use).toHaveBeenLastCalledWith({ path: GRID.points }, 1);
    store.set({ layer: "density" });
    expect(radio("grid").disabled).toBe(true);
    expect(radio("exact").getAttribute("aria-checked")).toBe("true");
    expect(note.textContent).toContain("has no grid");
    expect(picker.use).toHaveBeenLastCalledWith({ path: "data/points.pmtiles" }, 0);
    part!.shortcuts![0]!.run();
    store.set({ layer: "thumbnails" });
    expect(radio("grid").getAttribute("aria-checked")).toBe("true");
  });

  it("stays with the example at the center of the view, or with the open one", async () => {
    const { stage, store, examples, fit } = page(both());
    stage.fitted = false;
    store.set({ arrangement: "grid" });
    await vi.waitFor(() => expect(stage.moveTo).toHaveBeenCalledWith(0.7, 0.6, 3));
    expect(examples.get).toHaveBeenLastCalledWith(4);
    store.set({ row: 9 });
    store.set({ arrangement: "exact" });
    await vi.waitFor(() => expect(stage.moveTo).toHaveBeenLastCalledWith(0.25, 0.5, 3));
    expect(examples.get).toHaveBeenLastCalledWith(9);
    expect(fit).not.toHaveBeenCalled();
  });
});

describe("images on their way", () => {
  it("keep their proportions and end around their place", () => {
    const image = { row: 1, x: 0, y: 0, width: 0.125, height: 0.0625, screen: [10, 20, 40, 20] as const };
    // At zoom 1 an eighth of the map is 128 px wide.
    expect(moved(image, [300, 200], 1)).toEqual({ from: [10, 20, 40, 20], to: [236, 168, 128, 64] });
  });

  it("start and end slowly", () => {
    expect([0, 0.5, 1].map(eased)).toEqual([0, 0.5, 1]);
    expect(eased(0.1)).toBeLessThan(0.1);
    expect(eased(0.9)).toBeGreaterThan(0.9);
  });

  it("are known by the point tiles of a small map only", async () => {
    const tile = vi.fn(async (_z: number, x: number, y: number) => {
      if (x + y > 0) return null;
      const view = new DataView(new ArrayBuffer(18));
      view.setUint32(0, 1, true);
      view.setFloat32(4, 0.25, true);
      view.setFloat32(8, 0.5, true);
      view.setUint32(12, 7, true);
      return view.buffer;
    });
    expect([...(await loadPlaces({ tile }, 1))!]).toEqual([[7, { x: 0.25, y: 0.5 }]]);
    expect(tile).toHaveBeenCalledTimes(4);
    expect(await loadPlaces({ tile }, 3)).toBeNull();
    expect(tile).toHaveBeenCalledTimes(4);
    expect(await loadPlaces({ tile: async () => Promise.reject(new Error("gone")) }, 0)).toBeNull();
  });

  it("are counted in words", () => {
    expect(keptText(0.583, 10)).toBe("Keeps 58 % of the 10 nearest neighbors.");
    expect(keptText(null, 0)).toBe("");
  });
});
