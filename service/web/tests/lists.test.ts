// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job } from "../src/api/types";
import { waitsFor } from "../src/job-parts/waits";
import { homePage, jobsPage } from "../src/jobs/list-page";
import { formatListing, jobsQuery, mapsQuery, parseListing } from "../src/jobs/listing";
import { rangeText } from "../src/jobs/pager";
import { h } from "../src/lib/dom";
import { job, layer, manifest, map, progress } from "./helpers/builders";
import { at, choose, Sights, settle, shown, texts, type } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

let service: Service;
let app: HTMLElement;
let sights: Sights;

beforeEach(() => {
  vi.useFakeTimers({ now: Date.parse("2026-11-22T12:10:00Z") });
  history.replaceState(null, "", "/");
  sights = new Sights();
  service = new Service().on(/catalog/, { jobs: [{ name: "features" }, { name: "tiles" }] });
  app = shown(h("div"));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const features = job({ id: "features-1", dataset: "digits", model: "lenet" });
const tiles = job({
  id: "tiles-1",
  inputs: { embedding: "features-1" },
  dataset: "digits",
  model: "lenet",
  rows: 1797,
  size_bytes: 4_200_000,
  ended_at: "2026-11-22T12:06:00Z",
});

function page(jobs: Job[], inputs: Job[] = [], total = jobs.length) {
  return { jobs, inputs, total };
}

/** What was asked for since the last look, but the catalog. */
function asked(): string[] {
  const paths = service.paths.filter((path) => path.startsWith("/v1/jobs?"));
  service.asked.length = 0;
  return paths;
}

describe("the state of a list in the address", () => {
  it("is read back as it was written, defaults left out", () => {
    expect(formatListing(parseListing(""))).toBe("");
    const query = "?q=red+chairs&order=size&job=dreams&state=failed&page=3&maps=2";
    expect(formatListing(parseListing(query))).toBe(query);
  });

  it("is as by default where it is malformed", () => {
    const odd = "?order=best&job=../x&state=odd&page=0&maps=-1";
    expect(parseListing(odd)).toEqual(parseListing(""));
  });

  it("is what the service is asked for", () => {
    const listing = parseListing("?q=a b&order=title&state=unfinished&page=2&maps=3");
    expect(mapsQuery(listing)).toBe("maps=true&q=a+b&order=title&limit=24&offset=48");
    expect(jobsQuery(listing, true)).toBe(
      "ends=true&order=title&maps=false&q=a+b&status=PENDING&status=RUNNING&limit=25&offset=25",
    );
    expect(jobsQuery(parseListing("?job=dreams"), false)).toBe("ends=true&order=newest&job=dreams&limit=25&offset=0");
  });
});

describe("the home page", () => {
  it("has finished maps first, with what they are, and the other jobs beneath", async () => {
    service.on(/maps=true/, page([tiles])).on(/maps=false/, page([job({ id: "dreams-1", title: "Dreams" })]));
    const home = homePage(app);
    await settle();
    expect(asked().map((path) => path.split("&")[0])).toEqual(["/v1/jobs?maps=true", "/v1/jobs?ends=true"]);
    const card = at(app, "map-card");
    expect(at(card, "open-map").getAttribute("href")).toBe("/maps/tiles-1");
    expect(at(card, "open-map").textContent!.split(/\s*·\s*/)).toEqual(["digits", "lenet"]);
    expect(
      texts(card, "p.faint")
        .at(-1)!
        .split(/\s*·\s*/),
    ).toEqual(["1,797 examples", "4.2 MB", "4 min ago"]);
    expect(texts(app, ".chain-title")).toEqual(["Dreams"]);
    expect(document.body.dataset["ready"]).toBe("true");
    home.destroy();
  });

  it("shows a map by its own images where it draws any, when its card comes into sight", async () => {
    const details = { map: map({ layers: [layer("density"), layer("images")] }) };
    service
      .on(/maps=true/, page([tiles]))
      .on(/maps=false/, page([]))
      .on(/manifest$/, manifest({ details }));
    const home = homePage(app);
    await settle();
    expect(service.paths.some((path) => path.endsWith("manifest"))).toBe(false);
    await sights.show(app.querySelector(".preview")!);
    expect(app.querySelector(".preview img")!.getAttribute("src")).toBe("/v1/maps/tiles-1/preview");
    home.destroy();
  });

  it("says what to do where there are no maps, and that nothing matches a search", async () => {
    service.on(/\/v1\/jobs\?/, page([]));
    const home = homePage(app);
    await settle();
    expect(texts(app, "h2")).toEqual(["No maps yet", "Jobs"]);
    type(at(app, "list-search"), "zebra");
    vi.advanceTimersByTime(300);
    await settle();
    expect(texts(app, ".none")).toEqual(["No map matches.", "No job matches."]);
    home.destroy();
  });

  it("searches while somebody types, without an entry in the history for each letter", async () => {
    service.on(/\/v1\/jobs\?/, page([]));
    const home = homePage(app);
    await settle();
    asked();
    const before = history.length;
    for (const text of ["c", "ch", "chairs"]) type(at(app, "list-search"), text);
    vi.advanceTimersByTime(300);
    await settle();
    expect(asked().filter((path) => path.includes("q=chairs"))).toHaveLength(2);
    expect([location.search, history.length]).toEqual(["?q=chairs", before]);
    home.destroy();
  });

  it("keeps what is chosen in the address, and follows it back and forward", async () => {
    service.on(/\/v1\/jobs\?/, page([]));
    const home = homePage(app);
    await settle();
    choose(at(app, "list-order"), "size");
    choose(at(app, "list-state"), "failed");
    await settle();
    expect(location.search).toBe("?order=size&state=failed");
    expect(asked().at(-1)).toContain("status=FAILED");
    history.replaceState(null, "", "/?order=size");
    expect(home.follow!({ page: "home" })).toBe(true);
    await settle();
    expect((at(app, "list-state") as HTMLSelectElement).value).toBe("any");
    expect(asked().at(-1)).not.toContain("status");
    expect(home.follow!({ page: "jobs" })).toBe(false);
    home.destroy();
  });

  it("walks through the pages of thousands of maps", async () => {
    service.on(/maps=false/, page([])).on(/maps=true/, page([tiles], [], 5000));
    const home = homePage(app);
    await settle();
    expect(texts(app, ".pager:not([hidden]) .faint")).toEqual(["1 – 24 of 5,000"]);
    expect((at(app, "page-previous") as HTMLButtonElement).disabled).toBe(true);
    at(app, "page-next").click();
    await settle();
    expect(location.search).toBe("?maps=2");
    expect(asked().at(-2)).toContain("offset=24");
    home.destroy();
  });
});

describe("the page of jobs", () => {
  it("has chains in the order of the service, and asks again soon while something runs", async () => {
    const running = { ...tiles, status: "RUNNING" as const, progress: progress({ done: 1, total: 2 }) };
    const older = job({ id: "dreams-1", created_at: "2020-01-01T00:00:00Z" });
    service.on(/\/v1\/jobs\?/, page([older, running], [features]));
    const jobs = jobsPage(app);
    await settle();
    const rows = [...app.querySelectorAll<HTMLElement>("[data-testid=job-row]")];
    expect(rows.map((row) => row.querySelectorAll(".stage").length)).toEqual([1, 2]);
    expect(at(app, "running").textContent!.split(/\s*·\s*/)).toEqual(["2 chains", "1 running"]);
    asked();
    vi.advanceTimersByTime(1000);
    await settle();
    expect(asked()).toHaveLength(1);
    expect([...app.querySelectorAll("[data-testid=job-row]")]).toEqual(rows);
    jobs.destroy();
  });

  it("keeps what it shows while the service is away, says so, and no longer when it is back", async () => {
    service.on(/\/v1\/jobs\?/, page([features]));
    const jobs = jobsPage(app);
    await settle();
    service.on(/\/v1\/jobs\?/, () => {
      throw new TypeError("Failed to fetch");
    });
    vi.advanceTimersByTime(5000);
    await settle();
    const alert = at(app, "offline");
    expect(alert.hidden).toBe(false);
    expect(alert.textContent).toBe("The service does not answer. Is it running? It is asked again every few seconds.");
    expect(app.querySelectorAll("[data-testid=job-row]")).toHaveLength(1);
    service.on(/\/v1\/jobs\?/, page([features]));
    vi.advanceTimersByTime(5000);
    await settle();
    expect(alert.hidden).toBe(true);
    service.on(/\/v1\/jobs\?/, new Refusal(503, "service_unavailable", "it starts"));
    vi.advanceTimersByTime(5000);
    await settle();
    expect(alert.textContent).toBe("it starts");
    jobs.destroy();
  });

  it("offers the types of jobs that the service has", async () => {
    service.on(/\/v1\/jobs\?/, page([]));
    const jobs = jobsPage(app);
    await settle();
    expect(texts(at(app, "list-type"), "option")).toEqual(["Any type", "features", "tiles"]);
    jobs.destroy();
  });
});

describe("a job that has not begun", () => {
  it("says which of its inputs it waits for", () => {
    const waiting = {
      ...tiles,
      status: "PENDING" as const,
      inputs: { embedding: "embedding-1", "attributes.0": "captions-1" },
    };
    const inputs = [
      job({ id: "embedding-1", status: "RUNNING" }),
      job({ id: "captions-1", status: "PENDING" }),
      job({ id: "dreams-1", status: "RUNNING" }),
    ];
    expect(waitsFor(waiting, inputs)).toBe("waits for embedding and captions");
    expect(waitsFor(waiting, [job({ id: "embedding-1" })])).toBe("");
    expect(waitsFor({ ...waiting, status: "RUNNING" }, inputs)).toBe("");
  });
});

describe("pages", () => {
  it("say what part they are of", () => {
    expect(rangeText(0, 25, 3)).toBe("1 – 3 of 3");
    expect(rangeText(49, 25, 1240)).toBe("1,226 – 1,240 of 1,240");
  });
});
