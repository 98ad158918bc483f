// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  ApiError,
  fileUrl,
  findExamples,
  getJob,
  getLog,
  getManifest,
  getRow,
  getRows,
  imageUrl,
  listJobs,
  login,
  mapInfo,
  postBytes,
  SIGN_IN_EVENT,
  stopJob,
  submitJob,
  thumbnailUrl,
} from "../src/api/client";
import type { Manifest } from "../src/api/types";
import { job, manifest, map } from "./helpers/builders";
import { Refusal, Service } from "./helpers/service";

let service: Service;
beforeEach(() => {
  service = new Service();
});
afterEach(() => vi.unstubAllGlobals());

describe("addresses", () => {
  it("escape what comes from outside, and keep the folders of a file", () => {
    expect(fileUrl("tiles-1", "data/a b.pmtiles")).toBe("/v1/jobs/tiles-1/files/data/a%20b.pmtiles");
    expect(fileUrl("../x", "../../etc")).toBe("/v1/jobs/..%2Fx/files/../../etc");
    expect(thumbnailUrl("a/b", 3)).toBe("/v1/maps/a%2Fb/examples/3/thumbnail");
    expect(imageUrl("tiles-1", 3)).toBe("/v1/maps/tiles-1/examples/3/image");
  });

  it("ask for rows by their query", async () => {
    service.on(/rows/, { total: 0, offset: 0, columns: [], rows: [] });
    await getRows("dreams-1", "dreams", { offset: 60, limit: 60, columns: ["a", "b.c"], order: "-a" });
    await getRows("dreams-1", "dreams", { order: "", example_id: "x&y" });
    await getRow("dreams-1", "dreams", 7, ["a"]);
    expect(service.paths).toEqual([
      "/v1/jobs/dreams-1/rows/dreams?offset=60&limit=60&columns=a%2Cb.c&order=-a",
      "/v1/jobs/dreams-1/rows/dreams?example_id=x%26y",
      "/v1/jobs/dreams-1/rows/dreams/7?columns=a",
    ]);
  });
});

describe("answers", () => {
  it("are what the service says", async () => {
    service
      .on(/GET \/v1\/jobs\/a$/, job({ id: "a" }))
      .on(/GET \/v1\/jobs\?/, { jobs: [], total: 3 })
      .on(/manifest$/, manifest())
      .on(/log/, "two\nlines")
      .on(/examples\?/, { examples: [{ row: 1, example_id: "e", class_name: null }] });
    expect((await getJob("a")).id).toBe("a");
    expect((await listJobs("limit=1")).total).toBe(3);
    expect((await getManifest("a")).job).toBe("features");
    expect(await getLog("a", 100)).toBe("two\nlines");
    expect(await findExamples("m", "e f")).toEqual([{ row: 1, example_id: "e", class_name: null }]);
    expect(service.paths.slice(-2)).toEqual(["/v1/jobs/a/log?tail_bytes=100", "/v1/maps/m/examples?example_id=e%20f"]);
  });

  it("carry what is sent, with its kind and its key", async () => {
    service.on(/POST/, job({ id: "dreams-1" }));
    await submitJob({ job: "dreams" }, "key-1");
    await stopJob("dreams-1");
    await postBytes("/v1/live/images", new Blob(["x"]));
    const [submitted, stopped, image] = service.asked;
    expect(submitted).toMatchObject({ method: "POST", path: "/v1/jobs", body: { job: "dreams" } });
    expect(submitted!.headers).toEqual({ "Content-Type": "application/json", "Idempotency-Key": "key-1" });
    expect(stopped!.path).toBe("/v1/jobs/dreams-1/stop");
    expect(image!.headers["Content-Type"]).toBe("application/octet-stream");
  });
});

describe("what goes wrong", () => {
  it("arrives with the service's own code and message", async () => {
    service.on(/./, new Refusal(404, "not_found", "there is no job a"));
    const error = await getJob("a").catch((each: unknown) => each);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ code: "not_found", message: "there is no job a", status: 404 });
  });

  it("is said where nobody answers", async () => {
    await expect(getJob("a")).rejects.toMatchObject({
      code: "service_unavailable",
      status: 0,
      message: "The service does not answer. Is it running?",
    });
  });

  it("stays what it was where a question was given up", async () => {
    service.on(/./, () => {
      throw new DOMException("given up", "AbortError");
    });
    await expect(getJob("a")).rejects.toMatchObject({ name: "AbortError" });
  });

  it("asks for the token where that is what is missing, but not of who is giving it", async () => {
    const asked = vi.fn();
    window.addEventListener(SIGN_IN_EVENT, asked);
    service.on(/./, new Refusal(401, "unauthorized", "a token is needed"));
    await getJob("a").catch(() => undefined);
    expect(asked).toHaveBeenCalledTimes(1);
    await expect(login("wrong")).rejects.toThrow("a token is needed");
    expect(asked).toHaveBeenCalledTimes(1);
    window.removeEventListener(SIGN_IN_EVENT, asked);
  });
});

describe("a map", () => {
  it("is what a manifest with layers has, and nothing else is one", () => {
    const info = map();
    expect(mapInfo(manifest({ details: { map: info } }))).toBe(info);
    for (const details of [{}, { map: {} }, { map: { ...info, layers: [] } }]) {
      expect(() => mapInfo(manifest({ details: details as Manifest["details"] }))).toThrow(
        "features-0123456789ab is a features job, not a map.",
      );
    }
  });
});
