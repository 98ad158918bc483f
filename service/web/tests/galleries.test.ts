import { describe, expect, it } from "vitest";
import { rowSearch } from "../src/api/client";
import type { Catalog, Job, StoredImage } from "../src/api/types";
import { parseRoute } from "../src/app/router";
import { splitAfter } from "../src/galleries/compare";
import { frames, gain, growth, objectiveText } from "../src/galleries/dreams";
import { weightsAt } from "../src/galleries/filters";
import { methodTitle, outputNames } from "../src/galleries/gradients";
import { largestOf, valueOfColor } from "../src/galleries/gray-values";
import { GALLERIES, hasGallery } from "../src/galleries/index";
import { segments } from "../src/galleries/objective";
import { attributesOf, className, keyIndex } from "../src/galleries/parts";
import { percent } from "../src/galleries/percent";
import { around, formatPlace, parsePlace } from "../src/galleries/place";
import type { About } from "../src/galleries/types";
import { bars, boxPercents, wallImage } from "../src/galleries/units";
import { fitted, kept, pixelAt, zoomed } from "../src/galleries/zoomable";
import { askKey, askSpec, earlierJob, modelFor, sourceOf } from "../src/job-parts/ask";
import { galleryPath, unitPath } from "../src/lib/paths";
import { columnsOf, gridSize, tileAt, tileCorner } from "../src/lib/tile-grid";
import { canonical, unitJobs } from "../src/lib/unit-links";
import { job as anyJob, collectionCard, modelCard, weights } from "./helpers/builders";

const stored = (url: string): StoredImage => ({ url, media_type: "image/png" });

const job = (change: Partial<Job>): Job => anyJob({ id: "units-1", job: "units", ...change });

describe("addresses", () => {
  it("lead to a gallery, an image of it, and a unit", () => {
    expect(parseRoute("/jobs/dreams-1/gallery")).toEqual({ page: "gallery", id: "dreams-1", row: null });
    expect(parseRoute("/jobs/dreams-1/gallery/12")).toEqual({ page: "gallery", id: "dreams-1", row: 12 });
    expect(parseRoute("/jobs/units-1/units/7/")).toEqual({ page: "unit", id: "units-1", channel: 7 });
    expect(parseRoute(galleryPath("dreams-1", 3))).toEqual({ page: "gallery", id: "dreams-1", row: 3 });
    expect(parseRoute(unitPath("units-1", 3))).toEqual({ page: "unit", id: "units-1", channel: 3 });
  });

  it("that are none are said to be missing", () => {
    for (const path of [
      "/jobs/a/gallery/x",
      "/jobs/a/gallery/-1",
      "/jobs/a/gallery/1/2",
      "/jobs/a/units",
      "/jobs/a/other/1",
      "/jobs/a/gallery/99999999999",
    ]) {
      expect(parseRoute(path).page).toBe("missing");
    }
  });

  it("keep the place in the order of a wall", () => {
    const place = { order: "-norm", index: 12 };
    expect(parsePlace(formatPlace(place))).toEqual(place);
    expect(formatPlace({ order: "", index: 12 })).toBe("");
    expect(parsePlace("")).toBeNull();
    expect(parsePlace("?order=-norm&at=x")).toBeNull();
  });

  it("ask for a row with its neighbors", () => {
    expect(around(0)).toEqual({ offset: 0, limit: 2 });
    expect(around(5)).toEqual({ offset: 4, limit: 3 });
  });

  it("of rows leave out what is not asked for", () => {
    expect(rowSearch({ offset: 0, limit: 60, columns: ["a", "b.c"], order: "" })).toBe(
      "?offset=0&limit=60&columns=a%2Cb.c",
    );
    expect(rowSearch({})).toBe("");
  });
});

describe("the registry", () => {
  it("has a gallery for every job that makes images", () => {
    expect(Object.keys(GALLERIES)).toEqual(
      expect.arrayContaining(["dreams", "filters", "activations", "gradients", "units"]),
    );
  });

  it("shows what has succeeded", () => {
    expect(hasGallery(job({ job: "dreams" }))).toBe(true);
    expect(hasGallery(job({ job: "dreams", status: "RUNNING" }))).toBe(false);
    expect(hasGallery(job({ job: "features" }))).toBe(false);
    expect(hasGallery(job({ job: "constructor" }))).toBe(false);
  });
});

describe("a dream", () => {
  const dream = {
    dream: stored("d"),
    width: 40,
    height: 30,
    octave_sizes: [
      [20, 15],
      [40, 30],
    ] as [number, number][],
  };

  it("is the last frame of its film, and not twice", () => {
    const film = frames({ ...dream, octaves: [stored("a"), stored("b")] });
    expect(film.map((frame) => [frame.url, frame.name, frame.octave])).toEqual([
      ["a", "octave 1", 0],
      ["d", "dream", 1],
    ]);
    expect(film[0]!.word).toMatch(/octave 1.*20 × 15/);
  });

  it("is the only frame where no octaves were kept", () => {
    expect(frames({ ...dream, octaves: [] }).map((frame) => frame.url)).toEqual(["d"]);
  });

  it("says how much the objective grew", () => {
    expect(gain([9, 2], [3, 5])).toBe(2.5);
    expect(gain([0], [3])).toBeNull();
    expect(gain([], [])).toBeNull();
  });

  it("says of a sum, which may cross zero, from where to where it grew", () => {
    expect(growth([9, 2], [3, 5], "channel")).toBe("grew 2.5 times");
    expect(growth([9, 2], [3, 5], "sum")).toMatch(/^from 2 to 5/);
    expect(growth([-0.5], [0.25], "channel")).toMatch(/^from .0\.5 to 0\.25/);
    expect(growth([null], [3], "sum")).toBe("");
  });

  it("names its objective as the manifest does, or an earlier one did", () => {
    expect(objectiveText({ description: "channel 3 of a − channel 5 of b", objective: "sum", channel: null })).toBe(
      "channel 3 of a − channel 5 of b",
    );
    expect(objectiveText({ objective: "channel", channel: 3 })).toMatch(/^channel.*channel 3$/);
    expect(objectiveText({ objective: "layer", channel: null })).toBe("layer");
  });

  it("has a line per octave that rises to the right height", () => {
    const lines = segments([0, 1], [2, 4]);
    expect(lines).toHaveLength(2);
    expect(lines[0]!.y0).toBe(110);
    expect(lines[1]!.y1).toBe(10);
    expect(lines[0]!.x1).toBeLessThan(lines[1]!.x0);
    expect(segments([1, null], [1, 2])).toHaveLength(1);
    expect(segments([], [])).toEqual([]);
  });

  it("is compared by keys, within the image", () => {
    expect(splitAfter("ArrowRight", 50)).toBe(55);
    expect(splitAfter("ArrowLeft", 2)).toBe(0);
    expect(splitAfter("End", 2)).toBe(100);
    expect(splitAfter("a", 2)).toBeNull();
  });
});

describe("a grid of tiles", () => {
  const grid = { count: 5, height: 2, width: 3 };

  it("has the layout of the job: 3 columns, lines of one pixel", () => {
    expect(columnsOf(5)).toBe(3);
    expect(gridSize(grid)).toEqual([13, 7]);
    expect(tileCorner(grid, 0)).toEqual([1, 1]);
    expect(tileCorner(grid, 4)).toEqual([5, 4]);
  });

  it("finds the tile and the cell under a pixel", () => {
    expect(tileAt(grid, 1.5, 1.5)).toEqual({ index: 0, x: 0, y: 0 });
    expect(tileAt(grid, 7.9, 5.2)).toEqual({ index: 4, x: 2, y: 1 });
    expect(tileAt(grid, 9.5, 4.5)).toBeNull();
    expect(tileAt(grid, 0.5, 3)).toBeNull();
    expect(tileAt(grid, 99, 1)).toBeNull();
  });

  it("gives values back as they were drawn", () => {
    expect(valueOfColor([255, 255], { normalization: "layer", low: -1, high: 3 })).toBe(3);
    expect(valueOfColor([0, 0], { normalization: "layer", low: -1, high: 3 })).toBe(-1);
    expect(valueOfColor([255, 0], { normalization: "signed", low: -4, high: 2 })).toBe(-4);
    expect(valueOfColor([0, 255], { normalization: "signed", low: -4, high: 2 })).toBe(4);
    expect(valueOfColor([9, 9], { normalization: "channel", low: 0, high: 1 })).toBeNull();
  });

  it("knows the strongest value of a tile", () => {
    const [width, height] = gridSize(grid);
    const data = new Uint8ClampedArray(4 * width * height);
    data[4 * (4 * width + 6)] = 51;
    data[4 * (1 * width + 1)] = 255;
    const drawn = { normalization: "layer", low: 0, high: 5 } as const;
    expect(largestOf({ data, width }, grid, 4, drawn)).toBe(1);
    expect(largestOf({ data, width }, grid, 0, drawn)).toBe(5);
    expect(largestOf({ data, width }, grid, 2, drawn)).toBe(0);
  });

  it("of a filter leads to its weights", () => {
    const weights = Array.from({ length: 12 }, (_, i) => i);
    expect(weightsAt(weights, [3, 2, 2], 1.5, 0.5)).toEqual([
      [0, 1],
      [1, 5],
      [2, 9],
    ]);
    expect(weightsAt(weights, [2, 2, 3], 5.5, 1.5)).toEqual([[1, 6]]);
    expect(weightsAt(weights, [3, 2, 2], 2.5, 0)).toEqual([]);
    expect(weightsAt([], [1, 2, 2], 0, 0)).toEqual([[0, null]]);
  });
});

describe("zooming", () => {
  it("starts with all of the image in the middle", () => {
    expect(fitted([10, 20], [200, 100])).toEqual({ scale: 5, x: 75, y: 0 });
  });

  it("keeps the point under the mouse where it is", () => {
    const view = fitted([10, 20], [200, 100]);
    const near = zoomed(view, 2, [90, 30], 0.1);
    expect(pixelAt(near, [90, 30])).toEqual(pixelAt(view, [90, 30]));
    expect(near.scale).toBe(10);
    expect(zoomed(view, 0.0001, [0, 0], 0.5).scale).toBe(0.5);
  });

  it("never loses the image", () => {
    const lost = kept({ scale: 1, x: 900, y: -900 }, [10, 20], [200, 100]);
    expect(lost).toEqual({ scale: 1, x: 100, y: 30 });
  });
});

describe("words", () => {
  it("name methods, outputs and fractions", () => {
    expect(methodTitle("gradcam")).toBe("Grad-CAM");
    expect(methodTitle("rollout")).toBe("Attention rollout");
    expect(methodTitle("integrated_gradients")).toBe("Integrated gradients");
    expect(percent(0.97312)).toBe("97.3 %");
    expect(percent(0.00004)).toBe("less than 0.1 %");
    expect(percent(0)).toBe("0 %");
    expect(className(["a"], 0)).toBe("a");
    expect(className([], 3)).toBe("3");
    expect(className(null, null)).toBe("");
  });

  it("of the network come before those of the dataset", () => {
    const about = (details: object, spec: object) => ({ manifest: { details, spec } }) as unknown as About;
    expect(outputNames(about({ outputs: ["cat"], classes: ["x"] }, {}))).toEqual(["cat"]);
    expect(outputNames(about({ outputs: null, classes: ["x"] }, { target: "label" }))).toEqual(["x"]);
    expect(outputNames(about({ outputs: null, classes: ["x"] }, { target: "prediction" }))).toEqual([]);
  });

  it("read attributes that may be anything", () => {
    expect(attributesOf('{"name":"<b>x</b>","turn":1.5,"deep":{"a":1},"none":null}')).toEqual([
      ["name", "<b>x</b>"],
      ["turn", 1.5],
    ]);
    expect(attributesOf("no json")).toEqual([]);
    expect(attributesOf("null")).toEqual([]);
    expect(attributesOf(null)).toEqual([]);
  });

  it("take number keys as far as there are choices", () => {
    expect(keyIndex("1", 3)).toBe(0);
    expect(keyIndex("4", 3)).toBeNull();
    expect(keyIndex("0", 3)).toBeNull();
    expect(keyIndex("Enter", 3)).toBeNull();
  });
});

describe("a unit", () => {
  const image = {
    rank: 0,
    example_id: "x",
    label: null,
    activation: 1,
    image: null,
    box: [0, 0, 1, 1] as [number, number, number, number],
    patch: stored("patch"),
    deconvolution: null,
    guided: null,
  };
  const made = { recipe: "smooth", image: stored("made"), contrasted: null, activation: 1, fraction: 0.5 };

  it("hangs on the wall as it was made, or as what excites it", () => {
    expect(wallImage({ preferred: [made, { ...made, contrasted: stored("strong") }], top: [image] })!.url).toBe(
      "strong",
    );
    expect(wallImage({ preferred: [made], top: [image] })!.url).toBe("made");
    expect(wallImage({ preferred: [], top: [image] })!.url).toBe("patch");
    expect(wallImage({ preferred: [], top: [] })).toBeNull();
  });

  it("has a box that may leave the image, and bars as long as their values", () => {
    expect(boxPercents([-10, 20, 30, 60], 80, 40)).toEqual([25, -25, 50, 100]);
    expect(bars([2, 4, null, -1])).toEqual([0.5, 1, 0, 0]);
    expect(bars([null, -1])).toEqual([0, 0]);
  });

  it("is found by model and layer, the newest job first", () => {
    const model = { name: "lenet", weights: "random", training: null };
    const jobs = [
      job({ id: "units-3", spec: { model, layer: null } }),
      job({ id: "units-2", spec: { model: { weights: "random", name: "lenet" }, layer: "conv1" } }),
      job({ id: "units-1", spec: { model, layer: "conv1" } }),
      job({ id: "units-0", spec: { model: { name: "alexnet" }, layer: "conv2" } }),
      job({ id: "units-4", spec: { model, layer: "fc1" }, status: "RUNNING" }),
    ];
    const found = unitJobs(jobs, model, "relu2");
    expect([...found].map(([layer, each]) => [layer, each.id])).toEqual([
      ["relu2", "units-3"],
      ["conv1", "units-2"],
    ]);
    expect(canonical({ b: [1, null], a: { y: 1, x: null } })).toBe('{"a":{"y":1},"b":[1,null]}');
  });
});

describe("asking about an example", () => {
  const catalog: Catalog = {
    collections: [],
    datasets: [],
    models: [
      modelCard({ name: "lenet", dream_layer: "relu2" }),
      modelCard({ name: "row_lstm", family: "recurrent" }),
      modelCard({ name: "view_lstm", reads: "features" }),
      modelCard({ name: "captioner", gives: "captions", family: "captioner" }),
      modelCard({ name: "alexnet", dream_layer: "features.11", weights: weights("download") }),
      modelCard({ name: "efficientnet_lite0", dream_layer: "blocks.10", weights: weights("package") }),
    ],
  };
  const source = (name: string, dataset: object = {}) => ({
    dataset: { name: "images", root: "/p", limit: 9, ...dataset },
    model: { name, weights: "random" },
  });
  const ask = (what: "dream" | "explain" | "units", name: string) =>
    askSpec(what, "a/b.png", source(name), catalog, null);

  it("is a job for that one, with the map's own network", () => {
    const spec = ask("dream", "lenet");
    expect(spec).toEqual({
      job: "dreams",
      title: "Dream of a/b.png",
      model: { name: "lenet", weights: "random" },
      dataset: { name: "images", root: "/p", limit: null, example_ids: ["a/b.png"] },
    });
  });

  it("takes another network where the map's cannot", () => {
    expect(ask("dream", "row_lstm")["model"]).toEqual({ name: "efficientnet_lite0" });
    expect(ask("explain", "view_lstm")["model"]).toEqual({ name: "efficientnet_lite0" });
    expect(ask("explain", "captioner")["model"]).toEqual({ name: "efficientnet_lite0" });
    expect(() => modelFor("dream", { name: "row_lstm" }, { ...catalog, models: [] })).toThrow("No network");
  });

  it("leaves it to the job by which methods the network can be explained", () => {
    for (const name of ["row_lstm", "lenet"]) {
      expect(ask("explain", name)).toMatchObject({ job: "gradients", model: { name } });
      expect(ask("explain", name)).not.toHaveProperty("methods");
    }
  });

  it("asks the network of a collection, and leaves its layer to the job", () => {
    const collections = [collectionCard({ name: "timm" }), collectionCard({ name: "exported" })];
    const model = { name: "timm", architecture: "resnet18", weights: "random" };
    const asked = (what: "dream" | "explain" | "units", looked: { layer: string } | null = null) =>
      askSpec(what, "x", { ...source("timm"), model }, { ...catalog, collections }, looked);
    for (const what of ["dream", "explain", "units"] as const) {
      expect(asked(what)["model"]).toEqual(model);
      expect(asked(what)).not.toHaveProperty("layer");
      expect(asked(what)).not.toHaveProperty("layers");
    }
    expect(asked("units", { layer: "layer2" })["layers"]).toEqual(["layer2"]);
    // One that the catalog no longer has cannot be asked.
    expect(askSpec("dream", "x", { ...source("timm"), model }, catalog, null)["model"]).toEqual({
      name: "efficientnet_lite0",
    });
  });

  it("asks for the units of the layer that has pages, and of the model's own", () => {
    expect(ask("units", "lenet")).toMatchObject({ job: "activations", layers: ["relu2"], values: "none" });
    expect(askSpec("units", "x", source("lenet"), catalog, { layer: "conv1" })["layers"]).toEqual(["conv1", "relu2"]);
    expect(ask("units", "row_lstm")["layers"]).toEqual(["fc"]);
  });

  it("cannot be about several views", () => {
    expect(() => askSpec("dream", "x", source("lenet", { example: "model" }), catalog, null)).toThrow("all its views");
  });

  it("follows features to the images that they are of", () => {
    expect(earlierJob({ dataset: { name: "features", job: "features-1" }, model: {} })).toBe("features-1");
    expect(earlierJob(source("lenet"))).toBeNull();
    expect(() => sourceOf(job({ spec: { features: "x" } }))).toThrow("which images");
    expect(() => sourceOf(job({ spec: { dataset: { name: "vectors" }, model: null } }))).toThrow("without a network");
  });

  it("has one key for one question", () => {
    const spec = ask("dream", "lenet");
    expect(askKey(spec)).toBe(askKey(JSON.parse(JSON.stringify(spec))));
    expect(askKey(spec)).not.toBe(askKey({ ...spec, job: "gradients" }));
    expect(askKey(spec)).toMatch(/^viewer-[a-z0-9]{4,12}$/);
  });

  it("has a title of no more than 200 characters", () => {
    expect((askSpec("dream", "x".repeat(4000), source("lenet"), catalog, null)["title"] as string).length).toBe(200);
  });
});
