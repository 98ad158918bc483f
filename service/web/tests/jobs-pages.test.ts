// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../src/api/types";
import { ChainRow } from "../src/jobs/chain-row";
import { jobPage } from "../src/jobs/detail-page";
import {
  filesBlock,
  inputsBlock,
  passedOverBlock,
  qualityBlock,
  remarksBlock,
  specBlock,
  timingsBlock,
} from "../src/jobs/detail-parts";
import { figures } from "../src/jobs/figures";
import { groupChains } from "../src/jobs/group";
import { h } from "../src/lib/dom";
import { job, manifest } from "./helpers/builders";
import { at, Sights, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const NO_CHANGES = { renamed: () => undefined, deleted: () => undefined };
const NOW = Date.parse("2026-11-22T12:10:00Z");
let service: Service;
let app: HTMLElement;
let sights: Sights;

beforeEach(() => {
  vi.useFakeTimers();
  sights = new Sights();
  service = new Service();
  app = shown(h("div"));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const features = job({
  id: "features-1",
  spec: { dataset: { name: "digits" }, model: { name: "lenet" } },
  created_at: "2026-11-22T12:06:00Z",
});
const tiles = job({
  id: "tiles-1",
  inputs: { embedding: "features-1" },
  dataset: "digits",
  model: "lenet",
  created_at: "2026-11-22T12:07:00Z",
});

function row(...jobs: Job[]): ChainRow {
  const made = new ChainRow(NO_CHANGES);
  made.update(groupChains(jobs)[0]!, NOW);
  return made;
}

describe("a row of the list", () => {
  it("leads to the map, the gallery or the job, whichever there is", () => {
    const href = (...jobs: Job[]) =>
      row(...jobs)
        .element.querySelector(".chain-title")!
        .getAttribute("href");
    expect(href(tiles, features)).toBe("/maps/tiles-1");
    expect(href({ ...tiles, status: "RUNNING" }, features)).toBe("/jobs/tiles-1");
    expect(href(job({ id: "dreams-1" }))).toBe("/jobs/dreams-1/gallery");
    expect(href(job({ id: "embedding-1" }))).toBe("/jobs/embedding-1");
  });

  it("says what it is of and when it was submitted", () => {
    const found = row({ ...tiles, title: "My <b>map</b>" }, features).element;
    expect(found.querySelector(".chain-title")!.textContent).toBe("My <b>map</b>");
    expect(found.querySelector(".chain-detail")!.textContent!.split(/\s*·\s*/)).toEqual([
      "digits",
      "lenet",
      "3 min ago",
    ]);
  });

  it("has a cell for each stage, which stays the same one while the job goes on", () => {
    const made = row({ ...tiles, status: "PENDING" }, { ...features, status: "RUNNING" });
    const cells = [...made.element.querySelectorAll(".stage")];
    expect(texts(made.element, ".stage-name")).toEqual(["features", "tiles"]);
    made.update(groupChains([{ ...tiles, status: "RUNNING" }, features])[0]!, NOW);
    expect([...made.element.querySelectorAll(".stage")]).toEqual(cells);
    expect(cells.map((cell) => (cell as HTMLElement).dataset["status"])).toEqual(["SUCCEEDED", "RUNNING"]);
  });

  it("says the first stage's reason once, and what could not be read", () => {
    const reason = { code: "weights", message: "no file", detail: {} };
    const later = { code: "input_failed", message: "features-1 failed", detail: {} };
    const found = row(
      { ...tiles, status: "FAILED", reason: later },
      { ...features, status: "FAILED", reason, error_rows: 2 },
    ).element;
    expect(texts(found, ".problem")).toEqual(["weights no file"]);
    expect(texts(found, ".warning")).toEqual(["2 examples could not be read (features)"]);
  });

  it("loads its small image when it comes into sight, and not before", async () => {
    service.on(/manifest$/, new Refusal(404, "not_found", "gone"));
    const made = row(tiles, features);
    expect(service.paths).toEqual([]);
    await sights.show(made.element.querySelector(".preview")!);
    expect(service.paths).toEqual(["/v1/jobs/tiles-1/manifest"]);
    made.destroy();
  });
});

describe("the page of a job", () => {
  it("is live until the job ends, then shows what it made, and asks no more", async () => {
    const running = job({ id: "features-1", status: "RUNNING", started_at: "2026-11-22T12:00:00Z" });
    service.on(/features-1$/, running).on(/log/, "line 1\n");
    const page = await jobPage(app, "features-1");
    await settle();
    expect(at(app, "job-log").textContent).toBe("line 1");
    expect(at(app, "stop")).toBeTruthy();
    const files = [{ path: "data/f.parquet", kind: "features", size_bytes: 2048, sha256: "", rows: 10 }];
    service
      .on(/features-1$/, { ...running, status: "SUCCEEDED", ended_at: "2026-11-22T12:00:09Z", error_rows: 1 })
      .on(/manifest$/, manifest({ job_id: "features-1", files }));
    vi.advanceTimersByTime(1000);
    await settle();
    expect(texts(app, ".files code")).toEqual(["data/f.parquet"]);
    expect(at(app, "error-rows").textContent).toBe("1 example could not be read; errors.parquet says why");
    expect(app.querySelector("[data-testid=stop]")).toBeNull();
    page.destroy();
    const before = service.paths.length;
    vi.advanceTimersByTime(60_000);
    await settle();
    expect(service.paths).toHaveLength(before);
  });

  it("stops a job once, and says why that did not work", async () => {
    service.on(/features-1$/, job({ id: "features-1", status: "RUNNING" })).on(/log/, "");
    const page = await jobPage(app, "features-1");
    await settle();
    expect(at(app, "job-log").textContent).toBe("Nothing is written yet.");
    service.on(/stop$/, new Refusal(409, "conflict", "it has ended"));
    const button = at(app, "stop") as HTMLButtonElement;
    button.click();
    expect(button.disabled).toBe(true);
    await settle();
    expect(button.disabled).toBe(false);
    expect(texts(app, ".chain-notes [role=alert]")).toEqual(["it has ended"]);
    page.destroy();
  });

  it("leads to its map, and says which attempt it was", async () => {
    service
      .on(/tiles-1$/, { ...tiles, attempt: 3, started_at: tiles.created_at, ended_at: tiles.created_at })
      .on(/log/, "")
      .on(/manifest$/, manifest());
    const page = await jobPage(app, "tiles-1");
    await settle();
    expect(at(app, "open-map").getAttribute("href")).toBe("/maps/tiles-1");
    expect(app.querySelector(".job-line")!.textContent).toContain("attempt 3");
    page.destroy();
  });

  it("says that there is no such job", async () => {
    service.on(/x-1$/, new Refusal(404, "not_found", "there is no job x-1"));
    await jobPage(app, "x-1");
    expect(texts(app, "h1")).toEqual(["No such job"]);
    expect(at(app, "message").textContent).toBe("there is no job x-1");
  });
});

describe("its parts", () => {
  it("show fields and values as text", () => {
    const block = specBlock({ job: "features", dataset: { name: "<b>x</b>" }, layers: ["a", "b"] });
    expect(texts(block, "dt")).toEqual(["dataset.name", "layers"]);
    expect(texts(block, "dd")).toEqual(["<b>x</b>", "a, b"]);
    expect(inputsBlock(job())).toBeNull();
    const inputs = inputsBlock(job({ inputs: { features: "features-1" } }))!;
    expect(inputs.querySelector("a")!.getAttribute("href")).toBe("/jobs/features-1");
  });

  it("show times beside the longest", () => {
    expect(timingsBlock(manifest())).toBeNull();
    const block = timingsBlock(manifest({ timings_seconds: { "freeze input": 1, extract: 4 } }))!;
    expect([...block.querySelectorAll<HTMLElement>("i")].map((bar) => bar.style.width)).toEqual(["25%", "100%"]);
  });

  it("show figures, and how a small map was laid out", () => {
    expect(qualityBlock(manifest())).toBeNull();
    const details = { method: "PCA", quality: { final_kl: 0.7654 } };
    const block = qualityBlock(manifest({ details, rows: 5 }))!;
    expect(texts(block, "dd")).toEqual(["0.765 nats"]);
    expect(at(block, "layout-note").textContent).toBe("Laid out by PCA, as 5 examples are too few for t-SNE.");
  });

  it("name the record of a figure where another has the same name", () => {
    const summary = { accuracy: 0.9, macro: { f1: 0.8 }, weighted: { f1: 0.7 } };
    expect(figures({ top: 5, summary }).map(({ name, value }) => `${name} ${value}`)).toEqual([
      ...["top 5", "accuracy 90 %", "macro: f1 0.8", "weighted: f1 0.7"],
    ]);
  });

  it("show what was passed over, with what can be done", () => {
    expect(passedOverBlock(manifest())).toBeNull();
    const reasons = [{ reason: "a HEIC image: convert it", count: 3, names: ["a.heic"] }];
    const block = passedOverBlock(manifest({ passed_over: { files: 3, reasons } }))!;
    expect(texts(block, "dd")).toEqual(["3: a.heic, … – convert it"]);
  });

  it("show which rows were kept with a remark, and no figure of them", () => {
    expect(remarksBlock(manifest())).toBeNull();
    const details = { remarks: { zero_vector: { rows: 7, first: ["a.parquet#3", "<b>"] } } };
    const block = remarksBlock(manifest({ details }))!;
    expect(texts(block, "dt")).toEqual(["zero vector"]);
    expect(texts(block, "dd")).toEqual(["7: a.parquet#3, <b>, …"]);
    expect(qualityBlock(manifest({ details }))).toBeNull();
  });

  it("show at most two hundred files, and say how many more there are", () => {
    const files = Array.from({ length: 203 }, (_, i) => ({
      path: `data/${i} x.parquet`,
      kind: "features",
      size_bytes: 1_234_567,
      sha256: "",
      rows: i ? 1000 : null,
    }));
    const block = filesBlock(manifest({ job_id: "features-1", files }));
    expect(block.querySelectorAll("li")).toHaveLength(200);
    expect(texts(block, "p")).toEqual(["and 3 more, named in the manifest"]);
    expect(block.querySelector("a")!.getAttribute("href")).toBe("/v1/jobs/features-1/files/data/0%20x.parquet");
    expect(texts(block, "li span").slice(0, 4)).toEqual(["", "1.2 MB", "1,000 rows", "1.2 MB"]);
  });
});
