// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FindAnswer, FoundExample } from "../src/api/types";
import { SearchBox } from "../src/map/search";
import { press, settle, shown, texts, type } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const WAIT_MS = 160;
const example = (row: number, id: string, said?: string): FoundExample => ({
  ...{ row, example_id: id, label: null, class_name: row === 3 ? "cat" : null, x: 0, y: 0, grid_x: null, grid_y: null },
  texts: said ? [{ name: "caption", text: said, hits: [] }] : [],
});
const MATCHES = [example(3, "cat-1"), example(9, "cat-2", "a <b>brown</b> cat"), example(12, "cat-3")];
const answer = (results: FoundExample[]): FindAnswer => ({
  ...{ examples: 100, total: results.length, offset: 0, exact: null, results, classes: [], marks: null },
});

let service: Service;
let opened: number[];
let box: SearchBox;
let input: HTMLInputElement;

beforeEach(() => {
  vi.useFakeTimers();
  service = new Service().on(/find$/, answer(MATCHES));
  opened = [];
  box = new SearchBox("tiles-1", (row) => opened.push(row));
  shown(box.element);
  input = box.element.querySelector("input")!;
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const list = () => box.element.querySelector<HTMLElement>("[role=listbox]")!;
const selected = () => texts(list(), '[aria-selected="true"] code');

async function find(text: string): Promise<void> {
  type(input, text);
  vi.advanceTimersByTime(WAIT_MS);
  await settle();
}

describe("finding an example", () => {
  it("asks once for what was typed, when the typing pauses", async () => {
    type(input, "c");
    vi.advanceTimersByTime(WAIT_MS - 1);
    type(input, "ca");
    vi.advanceTimersByTime(WAIT_MS - 1);
    expect(service.paths).toEqual([]);
    vi.advanceTimersByTime(1);
    await settle();
    expect(service.asked.map(({ path, body }) => [path, body])).toEqual([
      ["/v1/maps/tiles-1/find", { words: "ca", limit: 8 }],
    ]);
  });

  it("shows what is found by id, with its caption or class, as text", async () => {
    await find(" cat ");
    expect(service.asked.map(({ body }) => body)).toEqual([{ words: "cat", limit: 8 }]);
    expect(texts(list(), "code")).toEqual(["cat-1", "cat-2", "cat-3"]);
    expect(texts(list(), ".faint")).toEqual(["cat", "a <b>brown</b> cat", ""]);
    expect(list().querySelector("img")!.getAttribute("src")).toBe("/v1/maps/tiles-1/examples/3/thumbnail");
    expect(list().hidden).toBe(false);
    expect(input.getAttribute("aria-expanded")).toBe("true");
  });

  it("says that there is none, and what went wrong", async () => {
    service.on(/find$/, answer([]));
    await find("dog");
    expect(list().textContent).toBe("Nothing says dog.");
    service.on(/find$/, new Refusal(500, "internal", "the disk is gone"));
    await find("dogs");
    expect(list().textContent).toBe("the disk is gone");
  });

  it("shows nothing for nothing, and does not ask", async () => {
    await find("cat");
    await find("   ");
    expect(list().hidden).toBe(true);
    expect(service.paths).toHaveLength(1);
  });

  it("does not show the answer to an earlier question over that to a later one", async () => {
    const answers: ((value: unknown) => void)[] = [];
    service.on(/find$/, () => new Promise((resolve) => answers.push(resolve)));
    await find("a");
    await find("b");
    answers[1]!(answer([MATCHES[1]!]));
    await settle();
    expect(texts(list(), "code")).toEqual(["cat-2"]);
  });
});

describe("the keyboard", () => {
  it("moves along the list and stays in it", async () => {
    await find("cat");
    expect(selected()).toEqual(["cat-1"]);
    expect(input.getAttribute("aria-activedescendant")).toBe("search-0");
    for (const expected of ["cat-2", "cat-3", "cat-3"]) {
      expect(press(input, "ArrowDown")).toBe(true);
      expect(selected()).toEqual([expected]);
    }
    for (const expected of ["cat-2", "cat-1", "cat-1"]) {
      press(input, "ArrowUp");
      expect(selected()).toEqual([expected]);
    }
  });

  it("opens the chosen one and closes the list", async () => {
    await find("cat");
    press(input, "ArrowDown");
    press(input, "Enter");
    expect(opened).toEqual([9]);
    expect(list().hidden).toBe(true);
  });

  it("opens nothing where nothing was found", async () => {
    service.on(/find$/, answer([]));
    await find("x");
    press(input, "ArrowDown");
    press(input, "Enter");
    expect(opened).toEqual([]);
    expect(input.hasAttribute("aria-activedescendant")).toBe(false);
  });

  it("closes the list with Escape, then leaves the field, and no one else hears of it", async () => {
    const outside = vi.fn();
    document.addEventListener("keydown", outside);
    await find("cat");
    input.focus();
    press(input, "Escape");
    expect(list().hidden).toBe(true);
    expect(document.activeElement).toBe(input);
    press(input, "Escape");
    expect(document.activeElement).not.toBe(input);
    expect(outside).not.toHaveBeenCalled();
    document.removeEventListener("keydown", outside);
  });

  it("leaves letters to the field", () => {
    expect(press(input, "c")).toBe(false);
  });
});

describe("the mouse", () => {
  it("opens what it presses", async () => {
    await find("cat");
    const option = list().querySelectorAll("[role=option]")[2]!;
    option.dispatchEvent(new Event("pointerdown", { bubbles: true, cancelable: true }));
    expect(opened).toEqual([12]);
  });

  it("brings the list back with the field, and takes it away when the focus goes elsewhere", async () => {
    await find("cat");
    box.element.dispatchEvent(new FocusEvent("focusout", { bubbles: true, relatedTarget: document.body }));
    expect(list().hidden).toBe(true);
    input.dispatchEvent(new FocusEvent("focus"));
    expect(list().hidden).toBe(false);
  });

  it("finds the field with its text selected, so that typing replaces it", () => {
    input.value = "cat";
    box.focus();
    expect(document.activeElement).toBe(input);
    expect([input.selectionStart, input.selectionEnd]).toEqual([0, 3]);
  });
});

describe("how the text may go on", () => {
  it("is offered while one types the name of an attribute, and goes on in the box", async () => {
    const none = { about: "", unit: "", values: [], missing: 0 };
    const year = { ...none, name: "year", type: "number" as const, extent: [1950, 2020] as [number, number] };
    const found: string[] = [];
    box.offer({ attributes: async () => [year], onFind: (text) => found.push(text) });
    await find("ye");
    expect(texts(list(), "code")[0]).toBe("year");
    press(input, "ArrowDown");
    press(input, "Enter");
    expect(input.value).toBe("year ");
    expect(document.activeElement).toBe(input);
    await find("year > 1990");
    expect(service.asked.at(-1)!.body).toEqual({ where: "year > 1990", limit: 8 });
    press(input, "Enter");
    expect(found).toEqual(["year > 1990"]);
  });
});
