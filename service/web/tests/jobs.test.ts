import { describe, expect, it } from "vitest";
import { apiError } from "../src/api/client";
import type { Job, Progress } from "../src/api/types";
import { EtaTracker, fraction } from "../src/job-parts/eta";
import { progressText } from "../src/job-parts/parts";
import { layoutNote, passedOverRows, specRows } from "../src/jobs/detail-parts";
import { figures } from "../src/jobs/figures";
import { anyActive, chainStatus, groupChains } from "../src/jobs/group";
import { job as anyJob, progress as anyProgress } from "./helpers/builders";

const job = (id: string, change: Partial<Job> = {}): Job => anyJob({ id, ...change });

const spec = { dataset: { name: "digits" }, model: { name: "lenet" } };
const chain = [
  job("tiles-1", {
    inputs: { embedding: "embedding-1" },
    dataset: "digits",
    model: "lenet",
    created_at: "2026-11-22T12:00:03Z",
    status: "PENDING",
  }),
  job("embedding-1", { inputs: { features: "features-1" }, status: "RUNNING" }),
  job("features-1", { inputs: { "model.training": "training-1" }, spec }),
  job("training-1", { spec }),
];

describe("chains", () => {
  it("put a job after everything it is made from", () => {
    const [only, ...rest] = groupChains(chain);
    expect(rest).toEqual([]);
    expect(only!.stages.map((each) => each.id)).toEqual(["training-1", "features-1", "embedding-1", "tiles-1"]);
    expect(only!.last.id).toBe("tiles-1");
    expect(only!.status).toBe("RUNNING");
    expect(only!.title).toMatch(/digits.*lenet/);
  });

  it("share an input that two maps are made from, newest chain first", () => {
    const other = job("embedding-2", {
      inputs: { features: "features-1" },
      created_at: "2026-11-23T00:00:00Z",
      title: "cosine",
    });
    const found = groupChains([...chain, other]);
    expect(found.map((each) => each.last.id)).toEqual(["embedding-2", "tiles-1"]);
    expect(found.map((each) => each.stages[1]!.id)).toEqual(["features-1", "features-1"]);
    expect(found[0]!.title).toBe("cosine");
  });

  it("do without inputs that are not in the list, and survive a circle", () => {
    expect(groupChains([chain[0]!])[0]!.stages).toHaveLength(1);
    expect(groupChains([job("a-1", { inputs: { x: "b-1" } }), job("b-1", { inputs: { x: "a-1" } })])).toEqual([]);
  });

  it("have one status: failed before running, done when the last is done", () => {
    const of = (...all: Job["status"][]) => chainStatus(all.map((status, i) => job(`x-${i}`, { status })));
    expect(of("FAILED", "SUCCEEDED")).toBe("SUCCEEDED");
    expect(of("SUCCEEDED", "FAILED", "FAILED")).toBe("FAILED");
    expect(of("STOPPED", "PENDING")).toBe("STOPPED");
    expect(of("SUCCEEDED", "PENDING")).toBe("RUNNING");
    expect(of("PENDING", "PENDING")).toBe("PENDING");
  });

  it("are active while any job may still change", () => {
    expect(anyActive(chain)).toBe(true);
    expect(anyActive([job("a-1"), job("b-1", { status: "FAILED" })])).toBe(false);
  });
});

describe("time left", () => {
  const progress = (change: Partial<Progress>) => anyProgress({ sequence: 0, total: 100, ...change });

  it("follows the pace of the stage", () => {
    const eta = new EtaTracker();
    expect(eta.observe(progress({ done: 0, updated_at: 10 }))).toBeNull();
    expect(eta.observe(progress({ done: 20, updated_at: 14 }))).toBeCloseTo(16);
    expect(eta.observe(progress({ done: 20, updated_at: 14 }))).toBeCloseTo(16);
    expect(eta.observe(progress({ done: 40, updated_at: 18 }))).toBeCloseTo(12);
  });

  it("forgets an earlier pace", () => {
    const eta = new EtaTracker();
    for (let i = 0; i <= 20; i += 1) eta.observe(progress({ total: 1000, done: i, updated_at: 2 * i }));
    let left: number | null = null;
    for (let i = 1; i <= 20; i += 1)
      left = eta.observe(progress({ total: 1000, done: 20 + 10 * i, updated_at: 40 + 2 * i }));
    expect(left).toBeCloseTo((1000 - 220) / 5, -1);
  });

  it("starts again with a new stage and says nothing at the end or without a total", () => {
    const eta = new EtaTracker();
    eta.observe(progress({ updated_at: 0 }));
    eta.observe(progress({ done: 50, updated_at: 5 }));
    expect(eta.observe(progress({ stage: "commit", done: 1, updated_at: 6 }))).toBeNull();
    expect(eta.observe(progress({ stage: "commit", done: 100, updated_at: 9 }))).toBeNull();
    expect(eta.observe(progress({ stage: "commit", total: 0, done: 0, updated_at: 12 }))).toBeNull();
  });

  it("is a part between 0 and 1, or unknown", () => {
    expect(fraction(null)).toBeNull();
    expect(fraction(progress({ total: 0 }))).toBeNull();
    expect(fraction(progress({ done: 25 }))).toBe(0.25);
    expect(fraction(progress({ done: 120 }))).toBe(1);
  });
});

describe("a job's page", () => {
  it("shows the spec with dotted fields and without empty ones", () => {
    const rows = specRows({
      job: "features",
      dataset: { name: "digits", root: null },
      color_layers: ["a", "b"],
      seed: 0,
    });
    expect(rows).toEqual([
      ["dataset.name", "digits"],
      ["color_layers", "a, b"],
      ["seed", "0"],
    ]);
  });

  it("shows figures with their names and units, not the map", () => {
    const shown = (details: Record<string, unknown>) => figures(details).map(({ name, value }) => `${name}: ${value}`);
    expect(shown({ map: { examples: 3 }, names: [1], card: { n_classes: 10 }, dimensions: 64 })).toEqual([
      "dimensions of the features: 64",
    ]);
    expect(shown({ quality: { neighbors_kept_fraction: 0.58525, k: 10, kl_divergence: 0.87405 } })).toEqual([
      "of the nearest neighbors kept: 58.5 %",
      "KL divergence: 0.874 nats",
    ]);
    expect(shown({ layout_seconds: { affinities: 61 }, index_bytes: 2_000_000, image_px: 224 })).toEqual([
      "layout: affinities: 1 min 1 s",
      "index: 2.0 MB",
      "image: 224 px",
    ]);
    expect(shown({ scores: { bleu_4: 0.25, cider: 1 }, test_accuracy: 1, encoder: { rows: 8 } })).toEqual([
      "BLEU-4: 0.25",
      "CIDEr: 1",
      "test accuracy: 100 %",
      "encoder: rows: 8",
    ]);
  });
});

describe("what a job has made", () => {
  it("is counted by what its rows are", () => {
    const said = (id: string, rows: number | null) => progressText(job(id, { rows, ended_at: null }), null, 0);
    expect(said("features-1", 10)).toBe("10 examples");
    expect(said("dynamics-1", 10)).toBe("10 matrices");
    expect(said("dynamics-1", 1)).toBe("1 matrix");
    expect(said("units-1", 4)).toBe("4 units");
    expect(said("filters-1", 1)).toBe("1 filter");
    expect(said("features-1", null)).toBe("");
  });
});

describe("files that are no examples", () => {
  it("are said by kind, with the first names and what can be done", () => {
    const heic = { reason: "a HEIC image: convert it to JPEG or PNG", count: 2, names: ["a.heic", "b.heic"] };
    const text = { reason: "a .txt file", count: 6000, names: ["0.txt", "1.txt"] };
    expect(passedOverRows({ files: 6002, reasons: [text, heic] })).toEqual([
      [".txt file", "6,000: 0.txt, 1.txt, …", ""],
      ["HEIC image", "2: a.heic, b.heic", "convert it to JPEG or PNG"],
    ]);
  });
});

describe("how an embedding was laid out", () => {
  it("is said where it was not by t-SNE", () => {
    const note = (rows: number, method?: string) => layoutNote({ rows, details: { method } });
    expect(note(7, "PCA")).toBe("Laid out by PCA, as 7 examples are too few for t-SNE.");
    expect(note(1, "PCA")).toBe("Laid out by PCA, as 1 example is too few for t-SNE.");
    expect(note(8, "PCA")).toBe("Laid out by PCA, as all examples are equally far from one another.");
    expect(note(40, "t-SNE")).toBeNull();
    expect(note(40)).toBeNull();
  });
});

describe("errors of the service", () => {
  it("keep code and message, and have some where the answer has none", () => {
    expect(apiError(422, { error: { code: "unknown_layer", message: "no such layer" } })).toMatchObject({
      code: "unknown_layer",
      message: "no such layer",
      status: 422,
    });
    expect(apiError(502, null)).toMatchObject({ code: "internal", message: "the service answered with 502" });
  });
});
