// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { SavedSelection, SelectionSummary } from "../src/api/types";
import { SelectionBar } from "../src/map/selection-bar";
import { cornersOf } from "../src/map/selection-draw";
import {
  type Corner,
  combined,
  fromAddress,
  inverted,
  type SelectionQuery,
  simplified,
  spoken,
  toAddress,
} from "../src/map/selection-query";
import { clientLine, SavedSelections } from "../src/map/selection-saved";
import { countText, summaryParts } from "../src/map/selection-summary";
import { fillBox, openMarks, parseMarks } from "../src/map/selection-veil";
import { at, choose, settle, shown, texts, type } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const A: SelectionQuery = { class: 1 };
const B: SelectionQuery = { rows: [2] };
const C: SelectionQuery = { saved: "c" };

describe("selections put together", () => {
  it("adds and removes, and keeps runs of one kind flat", () => {
    expect(combined(A, B, "new")).toEqual(B);
    expect(combined(null, A, "add")).toEqual(A);
    expect(combined(combined(A, B, "add"), C, "add")).toEqual({ union: [A, B, C] });
    expect(combined(combined(A, B, "remove"), C, "remove")).toEqual({ minus: [A, B, C] });
    expect(combined(combined(A, B, "remove"), C, "add")).toEqual({ union: [{ minus: [A, B] }, C] });
    expect(combined(null, A, "remove")).toEqual({ invert: A });
  });

  it("never puts more into one union than the service takes", () => {
    const full: SelectionQuery = { union: Array.from({ length: 64 }, () => A) };
    expect(combined(full, B, "add")).toEqual({ union: [full, B] });
  });

  it("inverted twice is what it was", () => {
    expect(inverted(inverted(A))).toBe(A);
  });

  it("stands in an address where it is short", () => {
    for (const query of [
      A,
      { union: [A, { invert: C }] },
      { polygon: [[0.1, 0.2] as const], arrangement: "grid" as const },
    ])
      expect(fromAddress(toAddress(query))).toEqual(query);
    const long = { rows: Array.from({ length: 1000 }, (_, i) => i) };
    expect(toAddress(long)).toBe("");
    for (const wrong of ["", "{", "3", "[]", "null", '{"x":1}', JSON.stringify(long)])
      expect(fromAddress(wrong)).toBeNull();
  });

  it("is said in words", () => {
    const name = (label: number) => ["cat", "dog"][label]!;
    expect(spoken({ minus: [{ union: [{ class: 0 }, { class: 1 }] }, { polygon: [] }] }, name)).toBe(
      "cat or dog without lasso",
    );
    expect(spoken({ invert: { words: "a", where: "b > 1" } }, name)).toBe("all but a, b > 1");
  });
});

describe("drawing", () => {
  it("keeps the corners of a path that bend", () => {
    const line: Corner[] = Array.from({ length: 50 }, (_, i) => [i, i === 25 ? 10 : 0]);
    expect(simplified(line, 0.5)).toEqual([
      [0, 0],
      [24, 0],
      [25, 10],
      [26, 0],
      [49, 0],
    ]);
  });

  it("makes a box of its ends, and nothing of a click", () => {
    expect(
      cornersOf("box", [
        [10, 10],
        [30, 5],
        [50, 40],
      ]),
    ).toEqual([
      [10, 10],
      [50, 10],
      [50, 40],
      [10, 40],
    ]);
    expect(
      cornersOf("lasso", [
        [10, 10],
        [12, 11],
        [13, 10],
      ]),
    ).toEqual([]);
    expect(
      cornersOf("lasso", [
        [10, 10],
        [50, 10],
      ]),
    ).toEqual([]);
  });

  it("gives a lasso no more corners than the service takes", () => {
    const path: Corner[] = Array.from({ length: 15_000 }, (_, i) => [i % 1000, (i * 7919) % 997]);
    expect(cornersOf("lasso", path).length).toBeLessThanOrEqual(2_000);
  });
});

describe("the veil", () => {
  const packed = (marks: readonly (readonly [number, number, number])[]): ArrayBuffer => {
    const words = new Uint32Array(1 + 3 * marks.length);
    const floats = new Float32Array(words.buffer);
    words[0] = marks.length;
    marks.forEach(([x, y, row], i) => {
      floats[1 + i] = x;
      floats[1 + marks.length + i] = y;
      words[1 + 2 * marks.length + i] = row;
    });
    return words.buffer;
  };

  it("has a hole for each mark in sight", () => {
    const marks = parseMarks(
      packed([
        [0.25, 0.5, 7],
        [0.99, 0.99, 8],
        [5, 5, 9],
      ]),
    );
    const out = new Uint32Array(64);
    out.fill(1);
    openMarks(out, { width: 8, height: 8, scale: 8, left: 0, top: 0 }, marks, 1);
    const holes = [...out.entries()].filter(([, value]) => value === 0).map(([i]) => i);
    // Two by two around (2, 4), and what of the corner is inside.
    expect(holes).toEqual([3 * 8 + 1, 3 * 8 + 2, 4 * 8 + 1, 4 * 8 + 2, 63]);
    expect([...marks.row]).toEqual([7, 8, 9]);
  });

  it("opens and covers images as they lie", () => {
    const out = new Uint32Array(64).fill(1);
    const placed = { width: 8, height: 8, scale: 8, left: 0, top: 0 };
    fillBox(out, placed, [0.25, 0, 0.75, 0.25], 0);
    fillBox(out, placed, [0.5, 0, 2, 0.25], 1);
    fillBox(out, placed, [2, 0, 3, 1], 0);
    const holes = [...out.entries()].filter(([, value]) => value === 0).map(([i]) => i);
    expect(holes).toEqual([2, 3, 10, 11]);
  });

  it("refuses bytes that are something else", () => {
    expect(() => parseMarks(packed([[0, 0, 0]]).slice(0, 12))).toThrow(RangeError);
    expect(() => parseMarks(new ArrayBuffer(2))).toThrow(RangeError);
  });
});

const SUMMARY: SelectionSummary = {
  count: 1200,
  of: 1_050_000,
  classes: [
    { label: 1, class_name: "<b>dog</b>", count: 900 },
    { label: null, class_name: null, count: 300 },
  ],
  numbers: [{ name: "year", unit: "a", count: 1200, mean: 1950.5, min: 1900, max: 2001 }],
  times: [],
  categories: [{ name: "kind", count: 5, distinct: 4, values: [{ value: "x", count: 2 }] }],
  centrality: "features",
  central: [5, 6],
  outermost: [9],
  box: [0, 0, 1, 1],
};

describe("what is said of a selection", () => {
  it("has counts, figures and a contact sheet, names only as text", () => {
    const opened: number[] = [];
    const page = shown(document.createElement("div"));
    page.append(...summaryParts("tiles-1", SUMMARY, { classes: [], onOpen: (row) => opened.push(row) }));
    expect(texts(page, ".selection-bar-name")).toEqual(["<b>dog</b>", "no label"]);
    expect(texts(page, "dt")).toEqual(["year", "kind"]);
    for (const each of page.querySelectorAll<HTMLElement>(".selection-sheet button")) each.click();
    expect(opened).toEqual([5, 6, 9]);
    expect(countText(SUMMARY)).toMatch(/^1,200 of 1,050,000.*0\.114 %$/u);
    expect(countText({ ...SUMMARY, count: 1 })).toMatch(/less than 0\.1 %$/u);
  });
});

const SAVED: SavedSelection = {
  map: "tiles-1",
  name: "<i>cats</i>",
  query: A,
  count: 3,
  sha256: "0",
  created_at: "",
  dataset: { name: "digits" },
  dataset_problem: null,
};

describe("saved selections", () => {
  let service: Service;
  let selected: unknown[];
  let saved: SavedSelections;

  beforeEach(async () => {
    service = new Service().on(/^GET .*selections$/, { selections: [SAVED] }).on(/^PUT/, SAVED);
    selected = [];
    saved = new SavedSelections("tiles-1", { query: () => A, onSelect: (query) => selected.push(query) });
    shown(saved.element);
    await saved.load();
  });

  const submit = async (name: string): Promise<void> => {
    type(at(saved.element, "selection-name"), name);
    saved.element.querySelector("form")!.dispatchEvent(new SubmitEvent("submit", { cancelable: true }));
    await settle();
  };

  it("are listed with their links and the line of a program", () => {
    expect(texts(saved.element, ".selection-name > span")).toEqual(["<i>cats</i>", "3 points"]);
    expect(saved.element.querySelector("a")?.getAttribute("href")).toBe(
      "/v1/maps/tiles-1/selections/%3Ci%3Ecats%3C%2Fi%3E/export?format=csv",
    );
    expect(texts(saved.element, "code")).toEqual([clientLine("tiles-1", "<i>cats</i>")]);
    expect(clientLine("tiles-1", 'a"b')).toBe('client.open_map("tiles-1").selection("a\\"b").to_dataset()');
  });

  it("take a name, and are selected then", async () => {
    await submit(" cats & co ");
    expect(service.paths).toContain("/v1/maps/tiles-1/selections/cats%20%26%20co");
    expect(selected).toEqual([{ saved: "<i>cats</i>" }]);
  });

  it("are replaced only where somebody says so", async () => {
    service.on(/^PUT (?!.*replace)/, new Refusal(409, "conflict", "there is one already"));
    await submit("cats");
    expect(saved.element.querySelector(".problem")?.textContent).toBe("there is one already Replace it");
    expect(selected).toEqual([]);
    saved.element.querySelector<HTMLElement>(".problem button")!.click();
    await settle();
    expect(service.paths).toContain("/v1/maps/tiles-1/selections/cats?replace=true");
    expect(selected).toHaveLength(1);
  });

  it("are deleted when that is said twice", async () => {
    service.on(/^DELETE/, {});
    const [button] = [...saved.element.querySelectorAll<HTMLElement>(".selection-more button")];
    button!.click();
    await settle();
    expect(service.asked.some(({ method }) => method === "DELETE")).toBe(false);
    button!.click();
    await settle();
    expect(service.asked.some(({ method }) => method === "DELETE")).toBe(true);
  });
});

describe("the bar", () => {
  it("offers what there is to do", () => {
    const did: unknown[] = [];
    const bar = new SelectionBar({
      classes: [{ index: 4, name: "cat", color: "#fff", count: 1 }],
      onTool: (tool) => did.push(tool),
      onInView: vi.fn(),
      onClass: (label) => did.push(label),
      onNeighbors: vi.fn(),
      onInvert: vi.fn(),
      onClear: vi.fn(),
      onClose: vi.fn(),
    });
    shown(bar.element);
    bar.show("lasso", { change: false, neighbors: false });
    const labeled = (label: string) => bar.element.querySelector<HTMLButtonElement>(`[aria-label^="${label}"]`)!;
    expect(labeled("Lasso").getAttribute("aria-pressed")).toBe("true");
    expect([labeled("Invert").disabled, labeled("The open example").disabled]).toEqual([true, true]);
    labeled("Lasso").click();
    labeled("Box").click();
    choose(at(bar.element, "selection-class"), "4");
    expect(did).toEqual([null, "box", 4]);
    const [, add] = [...bar.element.querySelectorAll<HTMLElement>(".selection-how button")];
    add!.click();
    expect(bar.how).toBe("add");
  });
});
