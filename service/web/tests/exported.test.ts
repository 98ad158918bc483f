// @vitest-environment happy-dom
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  getExample,
  getJob,
  getManifest,
  getRow,
  imageUrl,
  listJobs,
  showImage,
  thumbnailUrl,
} from "../src/api/client";
import { setSource, source } from "../src/api/source";
import { type Files, folderFiles, hasTile, PieceFiles } from "../src/exported/files";
import { pagePieces, scriptPieces } from "../src/exported/pieces";
import { imageIn, rowFile } from "../src/exported/rows";
import { type ExportedMap, ExportedSource } from "../src/exported/source";
import { titleCard } from "../src/map/sidebar";
import { openArchive } from "../src/tiles/archive";
import { manifest, map } from "./helpers/builders";

const service = source();
afterEach(() => {
  setSource(service);
  vi.unstubAllGlobals();
  document.head.replaceChildren();
  document.body.replaceChildren();
});

const text = (value: unknown): ArrayBuffer => new TextEncoder().encode(JSON.stringify(value)).buffer as ArrayBuffer;

/** Files in memory; which were read, and which archives were opened. */
class Kept implements Files {
  readonly read: string[] = [];
  constructor(readonly kept: Record<string, ArrayBuffer>) {}

  async whole(path: string): Promise<ArrayBuffer> {
    this.read.push(path);
    const bytes = this.kept[path];
    if (!bytes) throw new Error(`no ${path}`);
    return bytes;
  }

  archive(path: string) {
    this.read.push(path);
    return { tile: async () => null };
  }
}

/** A file of two thumbnails: none, and the bytes 7 and 8. */
const thumbnails = new Uint8Array([12, 0, 0, 0, 12, 0, 0, 0, 14, 0, 0, 0, 7, 8]).buffer;

const exported: ExportedMap = {
  map: "tiles-1",
  manifest: manifest({ job_id: "tiles-1", job: "tiles", details: { map: map({ classes: ["cat", "dog"] }) } }),
  jobs: { "tiles-1": { id: "tiles-1", job: "tiles", title: "<b>Pets</b>" } },
  examples_per_file: 2,
  thumbnails_per_file: 2,
};
const stored = {
  ...{ example_id: "c", label: 1, x: 0.5, y: 0.25, grid_x: 0.75, grid_y: 0.5 },
  ...{ width: 4, height: 3, attributes: { name: "Rex" } },
  neighbors: [[0, 0.5, "a", 0, 0.1, 0.2, null, null]],
};

function opened(): Kept {
  const files = new Kept({
    "data/examples/0/1.json": text([stored]),
    "data/thumbnails/0/0.bin": thumbnails,
    "data/names.json": text({ names: [] }),
  });
  setSource(new ExportedSource(exported, files));
  return files;
}

describe("an exported map", () => {
  it("answers with an example out of the file that holds its row", async () => {
    const files = opened();
    expect(await getExample("tiles-1", 2)).toEqual({
      ...stored,
      row: 2,
      class_name: "dog",
      neighbors: [
        {
          ...{ row: 0, distance: 0.5, example_id: "a", label: 0, class_name: "cat" },
          ...{ x: 0.1, y: 0.2, grid_x: null, grid_y: null },
        },
      ],
    });
    const row = await getRow<{ attributes: string }>("tiles-1", "points", 2, ["attributes"]);
    expect(row.values.attributes).toBe('{"name":"Rex"}');
    expect(files.read).toEqual(["data/examples/0/1.json"]);
  });

  it("knows its manifest and its title, and says of the rest that it is not exported", async () => {
    opened();
    expect((await getManifest("tiles-1")).details.map!.classes).toEqual(["cat", "dog"]);
    expect((await getJob("tiles-1")).title).toBe("<b>Pets</b>");
    for (const ask of [getJob("features-1"), listJobs("limit=1")]) {
      await expect(ask).rejects.toMatchObject({ code: "not_exported", status: 404 });
    }
  });

  it("shows thumbnails, also in place of the images that it has not", async () => {
    opened();
    const image = document.createElement("img");
    for (const url of [thumbnailUrl, imageUrl]) {
      showImage(image, url("tiles-1", 1));
      await vi.waitFor(() => expect(image.src).toMatch(/^blob:/));
      image.removeAttribute("src");
    }
  });

  it("says why it has no full images, or shows them", async () => {
    const files = opened();
    expect(source().noImages).toContain("thumbnails only");
    setSource(new ExportedSource({ ...exported, images: true }, files));
    expect(source().noImages).toBeNull();
    files.kept["data/images/1/1001.bin"] = new Uint8Array([9]).buffer;
    const answer = await source().request(imageUrl("tiles-1", 1001));
    expect([...new Uint8Array(await answer.arrayBuffer())]).toEqual([9]);
    expect(files.read).toEqual(["data/images/1/1001.bin"]);
  });

  it("has an error event where an example has no image", async () => {
    opened();
    const image = document.createElement("img");
    const failed = new Promise((resolve) => image.addEventListener("error", resolve));
    showImage(image, thumbnailUrl("tiles-1", 0));
    await failed;
    expect(image.src).toBe("");
  });

  it("shows of two images the one that was asked for last", async () => {
    const files = opened();
    let release = (_: ArrayBuffer): void => undefined;
    const slow = new Promise<ArrayBuffer>((resolve) => {
      release = resolve;
    });
    const image = document.createElement("img");
    vi.spyOn(files, "whole").mockImplementationOnce(() => slow);
    showImage(image, thumbnailUrl("tiles-1", 3));
    showImage(image, thumbnailUrl("tiles-1", 1));
    await vi.waitFor(() => expect(image.src).toMatch(/^blob:/));
    const shown = image.src;
    release(thumbnails);
    await slow;
    await Promise.resolve();
    expect(image.src).toBe(shown);
  });

  it("opens the archives and files that are beside the page", async () => {
    const files = opened();
    await openArchive("tiles-1", "data/a b.pmtiles").tile(0, 0, 0);
    expect(files.read).toEqual(["data/a b.pmtiles"]);
    const names = await source().request("/v1/jobs/tiles-1/files/data/names.json");
    expect(await names.json()).toEqual({ names: [] });
  });

  it("has no links to jobs, as the service has", () => {
    const links = () => titleCard("tiles-1", map()).element.querySelectorAll("a").length;
    expect(links()).toBe(2);
    opened();
    expect(links()).toBe(0);
  });
});

describe("files of rows", () => {
  it("are in folders of a thousand", () => {
    expect(rowFile("examples", 127, 128)).toBe("data/examples/0/0.json");
    expect(rowFile("examples", 128, 128)).toBe("data/examples/0/1.json");
    expect(rowFile("thumbnails", 32_000, 32)).toBe("data/thumbnails/1/1000.bin");
  });

  it("hold images one after the other, and none as nothing", () => {
    expect(imageIn(thumbnails, 0)).toBeNull();
    expect([...new Uint8Array(imageIn(thumbnails, 1)!)]).toEqual([7, 8]);
  });
});

describe("a tile for each file", () => {
  it("is asked for only where the archive had it", async () => {
    expect([0, 1, 4, 5, 6, 7].map((id) => hasTile([0, 1, 5, 2], id))).toEqual([true, false, false, true, true, false]);
    expect(hasTile([], 0)).toBe(false);
    const asked: string[] = [];
    vi.stubGlobal("fetch", async (path: string) => {
      asked.push(path);
      return path.endsWith(".json") ? Response.json({ suffix: "png", runs: [0, 1, 2, 1] }) : new Response("tile");
    });
    const archive = folderFiles.archive("data/density.pmtiles");
    // Ids of zoom 1 in the order of the Hilbert curve: (0, 0), (0, 1), (1, 1), (1, 0) are 1 to 4.
    expect(await archive.tile(1, 0, 0)).toBeNull();
    expect(new TextDecoder().decode((await archive.tile(1, 0, 1))!)).toBe("tile");
    expect(asked).toEqual(["data/density/tiles.json", "data/density/1/0/1.png"]);
  });
});

describe("pieces", () => {
  const pieces: Record<string, string> = {
    "pieces.json.0": btoa(JSON.stringify({ piece_bytes: 3, files: { "a.bin": 7, empty: 0 } })),
    "a.bin.0": btoa("abc"),
    "a.bin.1": btoa("def"),
    "a.bin.2": btoa("g"),
  };
  const files = () => new PieceFiles(async (name) => pieces[name]!);
  const said = (bytes: ArrayBuffer) => new TextDecoder().decode(bytes);

  it("make whole files again, also empty ones, and no others", async () => {
    expect(said(await files().whole("a.bin"))).toBe("abcdefg");
    expect(said(await files().whole("empty"))).toBe("");
    await expect(files().whole("constructor")).rejects.toThrow("constructor is not part of this map");
  });

  it("are in elements of the page, or in scripts beside it", async () => {
    const element = document.createElement("script");
    element.type = "text/plain";
    element.id = "piece:a.bin.0";
    element.textContent = "abcd";
    document.body.append(element);
    expect(await pagePieces("a.bin.0")).toBe("abcd");
    await expect(pagePieces("a.bin.1")).rejects.toThrow("is not in this page");
    const load = scriptPieces();
    vi.spyOn(document.head, "append").mockImplementation((...nodes) => {
      expect((nodes[0] as HTMLScriptElement).getAttribute("src")).toBe("pieces/a.bin.0.js");
      window.featurescapePiece!("a.bin.0", "ef");
    });
    expect(await load("a.bin.0")).toBe("ef");
  });
});

describe("the code of the map page", () => {
  it("takes every image through `showImage`, so that an exported map has it too", () => {
    const direct = readdirSync("src/map").filter((name) =>
      /src(:| =) ?(thumbnailUrl|imageUrl)\(/.test(readFileSync(`src/map/${name}`, "utf8")),
    );
    expect(direct).toEqual([]);
  });
});
