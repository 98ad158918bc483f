// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FindAnswer, FoundMarks, SearchAnswer, SearchFacts, SearchResult } from "../src/api/types";
import { marksOf } from "../src/map/find-marks";
import type { Place } from "../src/map/grid";
import { howFound } from "../src/map/nearest";
import { SearchBox } from "../src/map/search";
import { type AllFound, Searching } from "../src/map/searching";
import { at, press, settle, shown, texts, type } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const WAIT_MS = 160;
const result = (row: number, change: Partial<SearchResult> = {}): SearchResult => ({
  row,
  example_id: `chair-${row}`,
  label: 0,
  class_name: "<b>chair</b>",
  x: row / 10,
  y: 0.5,
  grid_x: null,
  grid_y: null,
  distance: 0.25,
  similarity: 0.75,
  ...change,
});
const ANSWER: SearchAnswer = {
  examples: 785,
  dimensions: 64,
  metric: "cosine",
  method: "exact",
  recall: 1,
  recall_at: null,
  recall_queries: null,
  results: [result(4), result(1), result(7)],
};
const FACTS: SearchFacts = {
  examples: 785,
  layer: "projection",
  metric: "cosine",
  text_problem: null,
  image_problem: null,
};

const FOUND: FindAnswer = {
  examples: 70_000,
  total: 1234,
  offset: 0,
  exact: null,
  results: [4, 7].map((row) => ({
    ...{
      row,
      example_id: `chair-${row}`,
      label: 0,
      class_name: "chair",
      x: row / 10,
      y: 0.5,
      grid_x: null,
      grid_y: null,
    },
    texts: [{ name: "caption", text: "a <b>red</b> chair", hits: [[5, 8]] as [number, number][] }],
  })),
  classes: [{ label: 0, name: "chair", count: 1234 }],
  marks: { count: 2, rows: "", x: "", y: "", grid_x: null, grid_y: null },
};
const NUMBERS = {
  ...{ name: "year", type: "number", about: "", unit: "", values: [], extent: [1950, 2020], missing: 0 },
};

let service: Service;
let everything: (FoundMarks | null)[];
let selected: unknown[];
let marked: number[];
let active: (number | null)[];
let opened: number[];
let saved: unknown[];
let searching: Searching;
let box: SearchBox;
let input: HTMLInputElement;

beforeEach(() => {
  vi.useFakeTimers();
  service = new Service()
    .on(/^GET .*\/search$/, FACTS)
    .on(/^POST .*\/search$/, ANSWER)
    .on(/live\/images$/, { image: "ab12" })
    .on(/^GET .*\/find\/facts$/, { examples: 70_000, attributes: [NUMBERS] })
    .on(/^POST .*\/find$/, { ...FOUND, total: 0, results: [] });
  [marked, active, opened, saved, everything, selected] = [[], [], [], [], [], []];
  const marks = {
    find: (results: readonly Place[]) => {
      marked = (results as SearchResult[]).map((each) => each.row);
    },
    all: (found: AllFound | null) => everything.push(found && marksOf(found.answer)),
    hover: (each: Place | null) => active.push((each as SearchResult | null)?.row ?? null),
  };
  searching = new Searching("tiles-1", marks, {
    possible: true,
    onOpen: (row) => opened.push(row),
    onSelect: (asked) => selected.push(asked),
    onSaved: (search) => saved.push(search),
  });
  box = new SearchBox("tiles-1", (row) => opened.push(row));
  input = box.element.querySelector("input")!;
  const page = document.createElement("main");
  page.append(box.element, searching.strip.element);
  shown(page);
});
afterEach(() => {
  searching.destroy();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const page = () => document.querySelector("main")!;
const begin = () => searching.begin(box, page(), null);
const posts = (path: RegExp) => service.asked.filter((each) => each.method === "POST" && path.test(each.path));
const bodies = () => posts(/(search|images)$/).map((each) => each.body);

async function words(text: string): Promise<void> {
  type(input, text);
  vi.advanceTimersByTime(WAIT_MS);
  await settle();
}

describe("by words", () => {
  it("offers the nearest where the map has a text tower and nothing says the words, and asks at Enter", async () => {
    await begin();
    await words("a red <i>chair</i>");
    expect(texts(page(), "[role=listbox] .by-words")).toEqual(["Images like “a red <i>chair</i>”"]);
    press(input, "Enter");
    await settle();
    expect(bodies()).toEqual([{ text: "a red <i>chair</i>" }]);
    expect(saved).toEqual([{ by: "text", value: "a red <i>chair</i>" }]);
    expect(at(page(), "found-head").textContent).toBe(
      "3 nearest to “a red <i>chair</i>”among 785, by cosine; all compared",
    );
  });

  it("goes to the example where its whole id was typed", async () => {
    service.on(/^POST .*\/find$/, { ...FOUND, exact: 7 });
    await begin();
    await words("chair-7");
    press(input, "Enter");
    expect([opened, bodies()]).toEqual([[7], []]);
  });

  it("offers no nearest where there is no text tower", async () => {
    service.on(/^GET .*\/search$/, { ...FACTS, text_problem: "lenet has no text tower" });
    await begin();
    await words("x");
    expect(page().querySelector(".by-words")).toBeNull();
    expect(page().querySelector("[role=listbox]")!.textContent).toBe("Nothing says x.");
  });

  it("has no images to give where the service cannot search the map", async () => {
    service.on(/^GET .*\/search$/, new Refusal(404, "not_found", "cells"));
    await begin();
    expect(box.element.querySelector("button")).toBeNull();
  });

  it("asks nothing where points have no vectors", async () => {
    const none = { onOpen: () => {}, onSelect: () => {}, onSaved: () => {}, possible: false };
    const cells = new Searching("atlas-1", { find: () => {}, all: () => {}, hover: () => {} }, none);
    await cells.begin(box, page(), { by: "text", value: "a fish" });
    expect(cells.button({ example_id: "a" })).toBeNull();
    expect(service.paths).toEqual([]);
    expect(searching.button({ example_id: "a" })).not.toBeNull();
  });
});

describe("by words and conditions", () => {
  beforeEach(() => service.on(/^POST .*\/find$/, FOUND));

  it("says how many there are while one types, and finds them at Enter", async () => {
    await begin();
    await words("red chair");
    expect(texts(page(), "[role=listbox] .by-words")[0]).toBe("Find red chair");
    expect(at(page(), "search-count").textContent).toBe("1,234 of 70,000");
    expect(texts(page(), "[role=listbox] mark")).toEqual(["red", "red"]);
    press(input, "Enter");
    await settle();
    expect(
      posts(/find$/)
        .slice(0, 2)
        .map((each) => each.body),
    ).toEqual([
      { words: "red chair", limit: 8 },
      { words: "red chair", limit: 60, marked: 20_000 },
    ]);
    expect(at(page(), "found-head").textContent).toBe("1,234 of 70,000 found, 2 markedchair 1,234");
    expect(everything.at(-1)).toEqual(FOUND.marks);
    expect(saved).toEqual([{ by: "find", value: "red chair" }]);
    expect(new Set(texts(at(page(), "found-list"), "mark"))).toEqual(new Set(["red"]));
  });

  it("tells conditions from words", async () => {
    await searching.ask({ by: "find", value: "chair where year > 1990" });
    expect(posts(/find$/).at(-1)!.body).toMatchObject({ words: "chair", where: "year > 1990" });
  });

  it("makes a selection of all", async () => {
    await searching.ask({ by: "find", value: "year > 1990" });
    at(page(), "found-select").click();
    expect(selected).toEqual([{ where: "year > 1990" }]);
  });

  it("shows the map as it was when the search is cleared or another is asked", async () => {
    await searching.ask({ by: "find", value: "red" });
    searching.clear();
    expect(everything.at(-1)).toBeNull();
    await searching.ask({ by: "find", value: "red" });
    await searching.ask({ by: "like", value: "chair-1" });
    expect(everything.at(-1)).toBeNull();
  });

  it("marks and selects nothing where nothing is found", async () => {
    service.on(/^POST .*\/find$/, { ...FOUND, total: 0, results: [], classes: [] });
    await searching.ask({ by: "find", value: "red" });
    expect(everything.at(-1)).toBeNull();
    expect(page().querySelector('[data-testid="found-select"]')).toBeNull();
    expect(at(page(), "found-head").textContent).toBe("0 of 70,000 found");
  });

  it("walks on to the next page", async () => {
    await searching.ask({ by: "find", value: "red" });
    await settle();
    const list = at(page(), "found-list");
    expect(posts(/find$/).at(-1)!.body).toMatchObject({ words: "red", offset: 2, limit: 60 });
    expect(list.querySelectorAll("[role=option]")).toHaveLength(4);
    press(list, "End");
    press(list, "Enter");
    expect(opened).toEqual([7]);
  });

  it("says what is wrong with a condition", async () => {
    service.on(/^POST .*\/find$/, new Refusal(422, "invalid_spec", "where, character 1: unknown attribute 'yaer'"));
    await begin();
    await words("yaer > 1990");
    expect(page().querySelector("[role=listbox] [role=status]")!.textContent).toContain("unknown attribute");
    await searching.ask({ by: "find", value: "yaer > 1990" });
    expect(at(page(), "found-problem").textContent).toContain("unknown attribute");
  });
});

describe("by an image", () => {
  const paste = async (type: string) => {
    const event = new Event("paste", { bubbles: true, cancelable: true });
    Object.assign(event, { clipboardData: { files: [new File(["x"], "chair", { type })] } });
    document.dispatchEvent(event);
    await settle();
  };

  it("uploads one that is pasted, and keeps it out of the address", async () => {
    await begin();
    await paste("image/png");
    expect(service.paths.slice(1)).toEqual(["/v1/live/images", "/v1/maps/tiles-1/search"]);
    expect(bodies()[1]).toEqual({ image: "ab12" });
    expect(saved).toEqual([null]);
    expect(at(page(), "found-head").textContent).toContain("3 nearest to the image that you gave");
  });

  it("leaves anything else alone, and all where the model reads no images", async () => {
    await begin();
    await paste("text/html");
    searching.destroy();
    await paste("image/png");
    expect(bodies()).toEqual([]);
  });
});

describe("what was found", () => {
  const ask = async () => {
    await searching.ask({ by: "like", value: "chair-9" });
    return at(page(), "found-list");
  };

  it("is marked on the map and listed with its similarity, as text", async () => {
    const list = await ask();
    expect(bodies()).toEqual([{ like: "chair-9" }]);
    expect(marked).toEqual([4, 1, 7]);
    expect(document.activeElement).toBe(list);
    expect(list.querySelector("[role=option]")!.textContent).toBe("1: <b>chair</b>, chair-4, similarity 0.75");
    expect(list.querySelector("b")).toBeNull();
  });

  it("is walked with the arrow keys and opened with Enter", async () => {
    const list = await ask();
    for (const key of ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home"]) press(list, key);
    expect(active).toEqual([4, 1, 7, 7, 1, 7, 4]);
    expect(list.getAttribute("aria-activedescendant")).toBe("found-0");
    press(list, "ArrowRight");
    press(list, "Enter");
    expect(opened).toEqual([1]);
  });

  it("is cleared by Escape, with the marks and the address", async () => {
    const outside = vi.fn();
    document.addEventListener("keydown", outside);
    press(await ask(), "Escape");
    document.removeEventListener("keydown", outside);
    expect([marked, searching.open, saved.at(-1), outside.mock.calls.length]).toEqual([[], false, null, 0]);
  });

  it("shows the id where an example has no image", async () => {
    const list = await ask();
    list.querySelector("img")!.dispatchEvent(new Event("error"));
    expect(texts(list, "code")).toEqual(["chair-4"]);
  });

  it("says why nothing was, and asks again", async () => {
    service.on(/^POST .*\/search$/, new Refusal(503, "live_unavailable", "785 examples are being read"));
    await searching.ask({ by: "text", value: "chair" });
    expect(at(page(), "found-problem").textContent).toBe("785 examples are being read");
    service.on(/^POST .*\/search$/, ANSWER);
    at(page(), "found-again").click();
    await settle();
    expect(marked).toEqual([4, 1, 7]);
  });

  it("is that of the last question", async () => {
    const answers: ((value: unknown) => void)[] = [];
    service.on(/^POST .*\/search$/, () => new Promise((resolve) => answers.push(resolve)));
    void searching.ask({ by: "text", value: "a" });
    void searching.ask({ by: "text", value: "b" });
    await settle();
    answers[1]!({ ...ANSWER, results: [result(2)] });
    answers[0]!(ANSWER);
    await settle();
    expect(marked).toEqual([2]);
  });

  it("says the recall of an index", () => {
    const index: SearchAnswer = { ...ANSWER, method: "approximate", recall: 0.9912, metric: "euclidean" };
    expect(howFound(index)).toBe("among 785, by Euclidean distance; by an index, recall 0.99");
  });
});

describe("the address", () => {
  it("asks again what it says", async () => {
    await searching.begin(box, page(), { by: "text", value: "a chair" });
    await settle();
    expect(bodies()).toEqual([{ text: "a chair" }]);
    expect(input.value).toBe("a chair");
  });
});
