// @vitest-environment happy-dom
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Comparison, formatComparison, parseComparison } from "../src/compare/address";
import { inCommon, Rows, sameRows } from "../src/compare/matching";
import { Store } from "../src/lib/store";
import { added, whyNotOver } from "../src/map/added-layer";
import type { MapContext } from "../src/map/part";
import type { MapState } from "../src/map/url-state";
import { example, layer, map, neighbor } from "./helpers/builders";
import { at, settle, shown, stubPixels } from "./helpers/page";
import { Service } from "./helpers/service";

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

const parsed = (url: string) => parseComparison(url.replace(/^[^?]*/, ""));

describe("the address of a comparison", () => {
  it("is read back as it was written", () => {
    const state: Comparison = {
      maps: [
        { id: "tiles-1", layer: "value:drift & more" },
        { id: "tiles-2", layer: null },
      ],
      example: "a/b?c=ä",
      linked: false,
      selection: { of: "tiles-2", selection: { box: [0, 0, 1, 0.5] } },
      search: { by: "find", value: "drift > 0.5 & more" },
      morph: 0.25,
    };
    expect(parsed(formatComparison(state))).toEqual(state);
  });

  it("leaves out what is no id, what is named twice, and more than four", () => {
    const { maps } = parsed("?maps=tiles-1,../x,tiles-1,tiles-2,tiles-3,tiles-4,tiles-5");
    expect(maps.map(({ id }) => id)).toEqual(["tiles-1", "tiles-2", "tiles-3", "tiles-4"]);
  });

  it("moves the views together unless it says otherwise", () => {
    expect(parsed("?maps=tiles-1").linked).toBe(true);
    expect(parsed("").maps).toEqual([]);
  });
});

describe("the same example in two maps", () => {
  const info = map({ features: "features-1", examples: 10 });

  it("has the same row where both show one features job whole", () => {
    expect(sameRows(info, { ...info })).toBe(true);
    expect(sameRows(info, { ...info, features: "features-2" })).toBe(false);
    expect(sameRows(info, { ...info, examples: 9 })).toBe(false);
    expect(sameRows(info, { ...info, step_unit: "row" })).toBe(false);
  });

  it("is found by its id in others, and only where the id is the same", async () => {
    const service = new Service();
    service.on(/tiles-1.examples.3$/, example({ row: 3, example_id: "cat" }));
    service.on(/tiles-2.examples.example_id=cat$/, {
      examples: [
        { row: 8, example_id: "cat-1", class_name: null },
        { row: 5, example_id: "cat", class_name: null },
      ],
    });
    service.on(/tiles-3.examples.example_id=cat$/, {
      examples: [{ row: 8, example_id: "cat-1", class_name: null }],
    });
    const first = new Rows({ id: "tiles-1", info });
    const other = { ...info, features: "features-2" };
    expect(await new Rows({ id: "tiles-2", info: other }).rowLike(first, 3)).toBe(5);
    expect(await new Rows({ id: "tiles-3", info: other }).rowLike(first, 3)).toBeNull();
    expect(await new Rows({ id: "tiles-4", info }).rowLike(first, 3)).toBe(3);
  });

  it("has neighbors in common by their ids, wherever they lie", () => {
    const one = { neighbors: [neighbor(1), neighbor(2), neighbor(3)] };
    const other = { neighbors: [neighbor(3, { row: 70 }), neighbor(9)] };
    expect(inCommon(one, other)).toBe(1);
    expect(inCommon(one, { neighbors: [] })).toBe(0);
  });
});

describe("a map that lies over another", () => {
  const base = map({ bounds: [0, 0, 8, 8], layers: [layer("density")] });

  it("shows the same square, and has a density to draw", () => {
    expect(whyNotOver(base, base)).toBeNull();
    expect(whyNotOver(base, { ...base, bounds: [0, 0, 8, 9] })).toMatch(/square_of/);
    expect(whyNotOver(base, { ...base, layers: [layer("category", ["a"])] })).toMatch(/density/);
  });
});

describe("the layer of examples that were added", () => {
  it("is drawn at exact places, and says in the grid that it is not", async () => {
    const info = map({ layers: [layer("density")] });
    stubPixels();
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue({ canvas: {} } as never);
    new Service()
      .on(/jobs.tiles-2.manifest$/, { details: { map: info }, inputs: {} })
      .on(/jobs.tiles-2$/, { id: "tiles-2", title: "Newcomers" });
    const layers: { getVisible(): boolean }[] = [];
    const stage = { arrangement: { name: "exact" }, olMap: { addLayer: (each: never) => layers.push(each) } };
    const store = new Store({ added: "tiles-2" } as MapState);
    const complain = (error: unknown) => expect.unreachable(String(error));
    const part = added({ info, store, stage, complain } as unknown as MapContext)!;
    const page = shown(part.cards![0]!);
    part.start?.();
    await settle();
    expect(layers[0]!.getVisible()).toBe(true);
    expect(at(page, "added-note").hidden).toBe(true);

    stage.arrangement.name = "grid";
    part.relook?.();
    expect(layers[0]!.getVisible()).toBe(false);
    expect(at(page, "added-note").hidden).toBe(false);
    expect(at(page, "added-shown")).toHaveProperty("disabled", true);

    stage.arrangement.name = "exact";
    at(page, "added-shown").click();
    expect(layers[0]!.getVisible()).toBe(false);
  });
});
