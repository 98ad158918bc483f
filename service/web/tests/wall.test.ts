// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Row } from "../src/api/types";
import { startRouter } from "../src/app/router";
import { galleryPage } from "../src/galleries/page";
import type { About, Opened, RowGallery } from "../src/galleries/types";
import { keyLine, position, rowPath, Wall } from "../src/galleries/wall";
import { h } from "../src/lib/dom";
import { job, manifest } from "./helpers/builders";
import { at, choose, press, Sights, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

interface Values {
  example_id: string;
}

const ABOUT: About = { job: job({ id: "filters-1" }), manifest: manifest() };

function gallery(change: Partial<RowGallery<Values>> = {}): RowGallery<Values> {
  return {
    kind: "things",
    noun: "thing",
    wallColumns: ["example_id"],
    columns: ["example_id"],
    tile: ({ values }) => ({ image: null, name: values.example_id, caption: "a figure", badge: "dead" }),
    open: (): Opened => ({ title: "", detail: "", element: h("div"), destroy: () => undefined }),
    ...change,
  };
}

const row = (number: number): Row<Values> => ({ row: number, values: { example_id: `<b>${number}</b>` } });

/** A table of so many rows, as the API pages through it. */
function table(service: Service, total: number): void {
  service.on(/rows\/things\?/, ({ path }: { path: string }) => {
    const query = new URL(path, "http://here").searchParams;
    const offset = Number(query.get("offset") ?? 0);
    const n = Math.min(Number(query.get("limit")), total - offset);
    return { total, offset, columns: [], rows: Array.from({ length: Math.max(0, n) }, (_, i) => row(offset + i)) };
  });
}

let service: Service;
let sights: Sights;

beforeEach(() => {
  service = new Service();
  sights = new Sights();
});
afterEach(() => vi.unstubAllGlobals());

describe("a wall", () => {
  let found: string[];
  const wall = (change: Partial<RowGallery<Values>> = {}) => {
    found = [];
    const made = new Wall(gallery(change), ABOUT, async (name) => {
      found.push(name);
      if (name === "nobody") throw new Error("There is no example of this id.");
    });
    shown(made.element);
    return made;
  };
  const end = (made: Wall<Values>) => made.element.querySelector(".wall-more")!;

  it("loads a page when its end comes into sight, until there is no more", async () => {
    table(service, 130);
    const made = wall();
    expect(service.paths).toEqual([]);
    for (const expected of [60, 120, 130, 130]) {
      await sights.show(end(made));
      expect(made.element.querySelectorAll(".tile")).toHaveLength(expected);
    }
    expect(service.paths.map((path) => new URL(path, "http://here").searchParams.get("offset"))).toEqual([
      "0",
      "60",
      "120",
    ]);
    expect(at(made.element, "wall-count").textContent).toBe("130 things");
    made.destroy();
  });

  it("names its tiles as text, and leads to their rows", async () => {
    table(service, 2);
    const made = wall();
    await sights.show(end(made));
    expect(texts(made.element, ".tile-name")).toEqual(["<b>0</b>", "<b>1</b>"]);
    const tile = at(made.element, "tile");
    expect(tile.getAttribute("href")).toBe("/jobs/filters-1/gallery/0");
    expect(tile.textContent).toMatch(/dead <b>0<\/b> a figure$/);
    expect(texts(tile, ".badge")).toEqual(["dead"]);
    expect(texts(tile, ".missing")).toEqual(["none"]);
  });

  it("begins anew in another order, which its links keep", async () => {
    table(service, 3);
    const made = wall({
      orders: [
        { value: "", label: "As they are" },
        { value: "-norm", label: "Largest first" },
      ],
    });
    await sights.show(end(made));
    choose(at(made.element, "wall-order"), "-norm");
    await settle();
    expect(made.element.querySelectorAll(".tile")).toHaveLength(3);
    expect(service.paths.at(-1)).toContain("order=-norm");
    const hrefs = [...made.element.querySelectorAll("a")].map((link) => link.getAttribute("href"));
    expect(hrefs[2]).toBe("/jobs/filters-1/gallery/2?order=-norm&at=2");
  });

  it("says that there is nothing, and what went wrong", async () => {
    table(service, 0);
    const made = wall();
    await sights.show(end(made));
    expect(end(made).textContent).toBe("There is no thing: no example could be read.");
    service.on(/rows/, new Refusal(500, "artifact", "the file is damaged"));
    const other = wall();
    await sights.show(end(other));
    expect(end(other).textContent).toBe("the file is damaged");
  });

  it("has larger and smaller images, within bounds, and no words where there is no room", () => {
    const made = wall();
    const tiles = at(made.element, "wall");
    const size = () => tiles.style.getPropertyValue("--tile");
    expect(size()).toBe("196px");
    made.resize(1);
    expect(size()).toBe("245px");
    for (let i = 0; i < 9; i += 1) made.resize(1);
    expect(size()).toBe("420px");
    for (let i = 0; i < 20; i += 1) made.resize(-1);
    expect(size()).toBe("48px");
    expect(tiles.classList.contains("wordless")).toBe(true);
  });

  it("zooms with Ctrl and the wheel, and scrolls without", () => {
    const made = wall();
    const turn = (ctrlKey: boolean) => {
      const event = Object.assign(new Event("wheel", { bubbles: true, cancelable: true }), { deltaY: -1, ctrlKey });
      at(made.element, "wall").dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(turn(false)).toBe(false);
    expect(turn(true)).toBe(true);
    expect(at(made.element, "wall").style.getPropertyValue("--tile")).toBe("245px");
  });

  it("opens an example by its id, or says that there is none", async () => {
    const made = wall();
    const form = made.element.querySelector("form")!;
    const submit = async (name: string) => {
      (at(form, "wall-find") as HTMLInputElement).value = name;
      form.dispatchEvent(new Event("submit", { cancelable: true }));
      await settle();
      return form.querySelector("[role=alert]")!.textContent;
    };
    expect(await submit(" cat ")).toBe("");
    expect(await submit("nobody")).toBe("There is no example of this id.");
    expect(found).toEqual(["cat", "nobody"]);
    expect(wall({ wallColumns: ["index"] }).element.querySelector("form")).toBeNull();
  });

  it("says where one is, and which keys there are", () => {
    expect(position(11, 1340)).toBe("12 of 1,340");
    expect(keyLine([[["←", "→"], "before, next"]]).textContent).toBe("←→before, next");
    const own = gallery({ path: () => "/jobs/units-1/units/7" });
    expect(rowPath(own, ABOUT, row(0), { order: "x", index: 3 })).toBe("/jobs/units-1/units/7?order=x&at=3");
  });
});

describe("the page of a gallery", () => {
  let app: HTMLElement;
  const filters = job({ id: "filters-1", title: "My filters" });
  const values = { index: 3, norm: 1.25, is_dead: true, bias: null, tile: null, shape: [1, 5, 5] };
  const page = (offset: number, numbers: number[]) => ({
    total: 3,
    offset,
    columns: [],
    rows: numbers.map((number) => ({ row: number, values: { ...values, index: number } })),
  });

  beforeEach(() => {
    app = shown(h("div"));
    history.replaceState(null, "", "/jobs/filters-1/gallery");
    service
      .on(/filters-1$/, filters)
      .on(/manifest$/, manifest({ error_rows: 2 }))
      .on(/rows\/filters\?/, page(0, [0, 1, 2]))
      .on(/rows\/filters\/1\?/, { row: 1, values: { ...values, index: 1 } });
  });

  it("shows the wall, with its title and what could not be read", async () => {
    const opened = await galleryPage(app, { page: "gallery", id: "filters-1", row: null });
    await sights.show(app.querySelector(".wall-more")!);
    expect(texts(app, "h1")).toEqual(["My filters"]);
    expect(texts(app, ".warning")).toEqual(["2 examples could not be read; errors.parquet says why"]);
    expect(texts(app, ".tile-name")).toEqual(["Filter 0", "Filter 1", "Filter 2"]);
    expect(press(document, "+")).toBe(true);
    opened.destroy();
    expect(press(document, "+")).toBe(false);
  });

  it("says of a job without a gallery that it has none, and leads from one that runs to its page", async () => {
    service.on(/embedding-1$/, job({ id: "embedding-1" }));
    await galleryPage(app, { page: "gallery", id: "embedding-1", row: null });
    expect(at(app, "message").textContent).toBe("embedding-1 is a embedding job; it has no images to show.");
    service.on(/filters-1$/, { ...filters, status: "RUNNING" });
    await galleryPage(app, { page: "gallery", id: "filters-1", row: null });
    expect(location.pathname).toBe("/jobs/filters-1");
  });

  it("says that there is no such job, and no such unit", async () => {
    service.on(/x-1$/, new Refusal(404, "not_found", "there is no job x-1"));
    await galleryPage(app, { page: "gallery", id: "x-1", row: null });
    expect(texts(app, "h1")).toEqual(["No such job"]);
    service.on(/units-1$/, job({ id: "units-1" })).on(/rows\/units/, { ...page(0, []), total: 0 });
    const opened = await galleryPage(app, { page: "unit", id: "units-1", channel: 99 });
    await settle();
    expect(at(app, "gallery-problem").textContent).toBe("There is no unit 99 in this job.");
    opened.destroy();
  });

  it("leads from one image to the next by arrow keys, and back to the wall by Escape", async () => {
    class NoContext {}
    vi.stubGlobal(
      "ResizeObserver",
      class {
        observe() {}
        disconnect() {}
      },
    );
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(new NoContext() as never);
    vi.stubGlobal("requestAnimationFrame", () => 0);
    startRouter(() => undefined);
    const opened = await galleryPage(app, { page: "gallery", id: "filters-1", row: 1 });
    await settle();
    expect(at(app, "opened-title").textContent).toBe("Filter 1");
    expect(at(app, "position").textContent).toBe("2 of 3");
    expect(at(app, "to-before").getAttribute("href")).toBe("/jobs/filters-1/gallery/0");
    press(document, "ArrowRight");
    expect(location.pathname).toBe("/jobs/filters-1/gallery/2");
    press(document, "Escape");
    expect(location.pathname).toBe("/jobs/filters-1/gallery");
    opened.destroy();
    vi.restoreAllMocks();
  });
});
