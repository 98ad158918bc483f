// @vitest-environment happy-dom
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Point } from "../src/map/points";
import { BOX, choose, type LabelParts, TextLabels, textsFrom } from "../src/map/text-labels";
import { textOf } from "../src/map/texts";
import { settle, texts } from "./helpers/page";

const point = (row: number, x = 0.5, y = 0.5, label = 0): Point => ({ row, x, y, label });

afterEach(() => vi.unstubAllGlobals());

function parts(points: Point[], change: Partial<LabelParts> = {}): LabelParts & { moved: () => void } {
  const listeners: Record<string, () => void> = {};
  const olMap = {
    on: (type: string, listener: () => void) => {
      listeners[type] = listener;
      return { type, listener, target: { removeEventListener: () => delete listeners[type] } };
    },
    getSize: () => [1000, 500],
  };
  return {
    olMap: olMap as unknown as LabelParts["olMap"],
    zoom: () => 3,
    pixelOf: (x, y) => [1000 * x, 500 * y],
    placeOf: ([x, y]) => [x / 1000, y / 500],
    picker: { within: () => Promise.resolve(points) },
    accepts: () => true,
    texts: { get: (row) => Promise.resolve(`text ${row}`) },
    from: 2,
    moved: () => listeners["moveend"]!(),
    ...change,
  };
}

describe("which texts have room", () => {
  it("takes points by row, whose boxes do not overlap", () => {
    const [width, height] = BOX;
    const placed = [
      { point: point(3), x: 0, y: 0 },
      { point: point(2), x: width - 1, y: height - 1 },
      { point: point(9), x: 0, y: height + 4 },
      { point: point(1), x: 3 * width, y: 0 },
    ];
    expect(choose(placed).map((each) => each.point.row)).toEqual([1, 2]);
    expect(choose(placed.slice(0, 1)).map((each) => each.point.row)).toEqual([3]);
    expect(choose(placed.filter((each) => each.point.row !== 2)).map((each) => each.point.row)).toEqual([1, 3, 9]);
    expect(choose(placed, 1).map((each) => each.point.row)).toEqual([1]);
  });

  it("is asked for where a screen has few tiles of points", () => {
    expect(textsFrom({ points_zoom: 4 })).toBe(5);
  });
});

describe("texts on the map", () => {
  const HOSTILE = "<img src=x onerror=alert(1)> مرحبا";

  it("are text nodes with a direction of their own, at their dots", async () => {
    const labels = new TextLabels(
      parts([point(1, 0.25, 0.5), point(2, 0.75, 0.5)], {
        texts: { get: (row) => Promise.resolve(row === 1 ? HOSTILE : null) },
      }),
    );
    await labels.update();
    expect(texts(labels.element, "p")).toEqual([HOSTILE]);
    const box = labels.element.querySelector("p")!;
    expect(box.getAttribute("dir")).toBe("auto");
    expect(box.childElementCount).toBe(0);
    expect(box.style.transform).toContain("translate(250px, 250px)");
    expect(labels.element.getAttribute("aria-hidden")).toBe("true");
  });

  it("leave out what is hidden or out of sight, and all of it above their zoom", async () => {
    const points = [point(1, 0.1, 0.5, 7), point(2, 0.5, 0.5), point(3, 1.5, 0.5)];
    const labels = new TextLabels(parts(points, { accepts: (label) => label !== 7 }));
    await labels.update();
    expect(texts(labels.element, "p")).toEqual(["text 2"]);
    const above = new TextLabels(parts(points, { zoom: () => 1 }));
    await above.update();
    expect(texts(above.element, "p")).toEqual([]);
  });

  it("are chosen anew when the view has moved, the last move counts", async () => {
    const held: ((found: Point[]) => void)[] = [];
    const made = parts([], { picker: { within: () => new Promise((done) => held.push(done)) } });
    const labels = new TextLabels(made);
    made.moved();
    made.moved();
    held[1]!([point(2)]);
    await settle();
    held[0]!([point(1)]);
    await settle();
    expect(texts(labels.element, "p")).toEqual(["text 2"]);
  });

  it("come from an attribute of that very name", () => {
    expect(textOf({ text: "x", n: 3 }, "text")).toBe("x");
    expect(textOf({ text: "x", n: 3 }, "n")).toBe("3");
    expect(textOf({}, "constructor")).toBeNull();
  });
});
