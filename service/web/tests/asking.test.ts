// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Asking } from "../src/job-parts/asking";
import { AtlasCells } from "../src/map/atlas-cell";
import type { ImageLayer } from "../src/map/image-layer";
import { Picker } from "../src/map/picker";
import { NO_LABEL } from "../src/map/points";
import type { Archive } from "../src/tiles/archive";
import { example, job, layer, map, progress } from "./helpers/builders";
import { at, settle, shown, texts } from "./helpers/page";
import { type Asked, Refusal, Service } from "./helpers/service";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("asking about an example", () => {
  const LITE = {
    name: "lite",
    reads: "images",
    gives: "classes",
    sequence: false,
    family: null,
    layers: [],
    default_layer: "pool",
    dream_layer: "blocks.10",
    weights: { source: "package" },
  };
  const SOURCE = job({ id: "features-1", spec: { dataset: { name: "images", root: "/p" }, model: { name: "lite" } } });
  let service: Service;
  let asking: Asking;

  beforeEach(() => {
    vi.useFakeTimers();
    history.replaceState(null, "", "/maps/tiles-1");
    service = new Service()
      .on(/features-1$/, SOURCE)
      .on(/catalog/, { datasets: [], models: [LITE], collections: [] })
      .on(/POST \/v1\/jobs$/, job({ id: "dreams-1", status: "RUNNING", progress: progress({ done: 1, total: 2 }) }))
      .on(/dreams-1$/, job({ id: "dreams-1", status: "RUNNING" }));
    asking = new Asking("features-1");
    shown(asking.show(example()));
  });
  afterEach(() => asking.stop());

  const buttons = () => [...asking.element.querySelectorAll<HTMLButtonElement>("button")];
  const submitted = () => service.asked.filter(({ method }) => method === "POST");

  it("submits a job for this example alone, and watches it", async () => {
    await asking.ask("dream");
    await settle();
    expect(submitted()[0]!.body).toEqual({
      job: "dreams",
      dataset: { name: "images", root: "/p", limit: null, example_ids: ["photos/cat.jpg"] },
      model: { name: "lite" },
      title: "Dream of photos/cat.jpg",
    });
    expect(at(asking.element, "asking-job").getAttribute("href")).toBe("/jobs/dreams-1");
    expect(buttons().every((button) => button.disabled)).toBe(true);
  });

  it("opens what came out", async () => {
    await asking.ask("dream");
    await settle();
    service.on(/dreams-1$/, job({ id: "dreams-1", rows: 1 }));
    vi.advanceTimersByTime(1000);
    await settle();
    expect(location.pathname).toBe("/jobs/dreams-1/gallery/0");
  });

  it("has the same key for the same question, and a new one where the job had failed", async () => {
    await asking.ask("dream");
    asking.show(example());
    await asking.ask("dream");
    const keys = () => submitted().map(({ headers }) => headers["Idempotency-Key"]);
    expect(new Set(keys()).size).toBe(1);
    service.on(/POST \/v1\/jobs$/, ({ headers }: Asked) =>
      job({ id: "dreams-2", status: headers["Idempotency-Key"] === keys()[0] ? "FAILED" : "RUNNING" }),
    );
    asking.show(example());
    await asking.ask("dream");
    expect(keys()).toHaveLength(4);
    expect(keys()[3]!.startsWith(`${keys()[0]}-`)).toBe(true);
  });

  it("says why its job failed", async () => {
    const reason = { code: "all_rows_failed", message: "1 decode_failed: cut off", detail: {} };
    service.on(/POST \/v1\/jobs$/, job({ id: "dreams-1", status: "FAILED", reason }));
    await asking.ask("dream");
    await settle();
    expect(at(asking.element, "job-error").textContent).toBe("all_rows_failed 1 decode_failed: cut off");
    expect(buttons().every((button) => !button.disabled)).toBe(true);
  });

  it("says why it cannot be asked, and can be asked again", async () => {
    service.on(/features-1$/, new Refusal(404, "not_found", "there is no job features-1"));
    await asking.ask("explain");
    expect(at(asking.element, "asking-problem").textContent).toBe("there is no job features-1");
    service.on(/features-1$/, SOURCE);
    await asking.ask("explain");
    expect(submitted()[0]!.body).toMatchObject({ job: "gradients" });
  });

  it("is no longer watched when another example is opened", async () => {
    await asking.ask("dream");
    asking.show(example({ row: 8 }));
    service.on(/dreams-1$/, job({ id: "dreams-1", rows: 1 }));
    vi.advanceTimersByTime(10_000);
    await settle();
    expect(location.pathname).toBe("/maps/tiles-1");
    expect(at(asking.element, "asking-status").childElementCount).toBe(0);
  });
});

describe("the cell of an atlas", () => {
  const icons = layer("images", [], { name: "icons" });
  icons.legend.grids = [4, 8];
  const info = map({ layers: [icons], classes: ["cat", "dog"] });
  const cell = {
    vectors: 12,
    label: 1,
    label_share: 0.5,
    speaks_for: [
      { output: 3, name: "<b>owl</b>", attribution: 1.234 },
      { output: 5, name: null, attribution: 0.5 },
    ],
    icon: { url: "/icon.png", media_type: "image/png" },
  };
  const answer = (rows: unknown[]) => ({ total: rows.length, offset: 0, columns: [], rows });

  it("is asked for by its place, and says what it speaks for, as text", async () => {
    const service = new Service().on(/rows\/cells/, answer([{ row: 0, values: cell }]));
    const element = new AtlasCells("atlas-1", info, null).show({ x: 0.99, y: 0.26 }, 1)!;
    shown(element);
    await settle();
    expect(service.paths[0]).toContain("example_id=8%2F2%2F7");
    expect(texts(at(element, "speaks-for"), "li")).toEqual(["<b>owl</b>+1.23", "output 5+0.5"]);
    expect(at(element, "commonest-label").textContent).toBe("dog, 50 % of them");
    expect(element.hasAttribute("aria-busy")).toBe(false);
  });

  it("says why it speaks for nothing", async () => {
    new Service().on(
      /rows\/cells/,
      answer([{ row: 0, values: { ...cell, speaks_for: null, label: null, label_share: null } }]),
    );
    const element = new AtlasCells("atlas-1", info, "the layer feeds no class").show({ x: 0, y: 0 }, 0)!;
    shown(element);
    await settle();
    expect(at(element, "speaks-for").textContent).toBe("the layer feeds no class");
    expect(at(element, "commonest-label").textContent).toBe("no labels");
  });

  it("goes where there is none, and is none on a map that is no atlas", async () => {
    new Service().on(/rows\/cells/, answer([]));
    const element = new AtlasCells("atlas-1", info, null).show({ x: 0, y: 0 }, 0)!;
    shown(element);
    await settle();
    expect(element.isConnected).toBe(false);
    expect(new AtlasCells("tiles-1", map(), null).show({ x: 0, y: 0 }, 0)).toBeNull();
  });
});

describe("finding the example under the pointer", () => {
  /** A point tile: x, y, row and class of each point. */
  function tile(points: [number, number, number, number][]): ArrayBuffer {
    const n = points.length;
    const buffer = new ArrayBuffer(4 + 14 * n);
    new DataView(buffer).setUint32(0, n, true);
    new Float32Array(buffer, 4, n).set(points.map((point) => point[0]));
    new Float32Array(buffer, 4 + 4 * n, n).set(points.map((point) => point[1]));
    new Uint32Array(buffer, 4 + 8 * n, n).set(points.map((point) => point[2]));
    new Uint16Array(buffer, 4 + 12 * n, n).set(points.map((point) => point[3]));
    return buffer;
  }

  let loads: string[];
  const archive = (bytes: ArrayBuffer | null): Archive => ({
    tile: async (z, x, y) => {
      loads.push(`${z}/${x}/${y}`);
      return bytes;
    },
  });
  const POINTS = tile([
    [0.5, 0.5, 10, 0],
    [0.52, 0.5, 11, 1],
  ]);
  const query = (change: object) => ({
    x: 0.5,
    y: 0.5,
    zoom: 0,
    reachPx: 14,
    ok: () => true,
    images: null,
    ...change,
  });
  const picker = (bytes: ArrayBuffer | null = POINTS) =>
    new Picker(map(), archive(bytes), 64, async (row) => example({ row, x: 0.1, y: 0.2, label: null }));
  beforeEach(() => {
    loads = [];
  });

  it("takes the nearest within reach, which is in pixels of the screen", async () => {
    const at14px = 14 / 512;
    expect((await picker().pick(query({ x: 0.519 })))!.row).toBe(11);
    expect(await picker().pick(query({ x: 0.5 - at14px - 0.001 }))).toBeNull();
    expect((await picker().pick(query({ x: 0.5 - at14px + 0.001 })))!.row).toBe(10);
    expect(await picker().pick(query({ x: 0.5 - at14px + 0.001, zoom: 1 })), "deeper, it is further away").toBeNull();
  });

  it("leaves out who is hidden", async () => {
    expect((await picker().pick(query({ ok: (label: number) => label === 1 })))!.row).toBe(11);
  });

  it("fetches a tile once, and none twice that is not there", async () => {
    const one = picker();
    await one.pick(query({}));
    await one.pick(query({ x: 0.2 }));
    expect(loads).toEqual(["0/0/0"]);
    const empty = picker(null);
    expect(await empty.pick(query({}))).toBeNull();
    expect(loads).toEqual(["0/0/0", "0/0/0"]);
  });

  it("asks again for a tile that could not be had", async () => {
    let fails = true;
    const one = new Picker(
      map(),
      {
        tile: async () => {
          if (fails) throw new Error("away");
          return POINTS;
        },
      },
      64,
      async () => example(),
    );
    await expect(one.pick(query({}))).rejects.toThrow("away");
    fails = false;
    expect((await one.pick(query({})))!.row).toBe(10);
  });

  it("of images takes the one that is drawn there", async () => {
    const images = (row: number | null | undefined, max_zoom = 5) =>
      ({ tileZoom: () => 0, rowAt: () => row, info: { max_zoom } }) as unknown as ImageLayer;
    expect(await picker().pick(query({ images: images(42) }))).toMatchObject({
      row: 42,
      x: 0.1,
      y: 0.2,
      label: NO_LABEL,
    });
    expect(await picker().pick(query({ images: images(null) })), "an empty cell").toBeNull();
    expect((await picker().pick(query({ images: images(undefined) })))!.row, "a tile that does not say").toBe(10);
    expect((await picker().pick(query({ x: 0.55, images: images(undefined, 0) })))!.row, "single images").toBe(11);
  });
});
