// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { NameLabels, type NameParts } from "../src/map/name-labels";
import { bandAt, layOut, type MapName, sizeOf } from "../src/map/name-layout";
import { isHidden, kindsOf, queryOf, shownKind } from "../src/map/names";
import { press, texts } from "./helpers/page";

const name = (key: number | string, x: number, y: number, count: number, change: Partial<MapName> = {}): MapName => ({
  text: `name ${key}`,
  x,
  y,
  count,
  kind: typeof key === "number" ? "class" : "cluster",
  key,
  ...change,
});
const wide = (text: string) => 10 * text.length;

describe("which names have room", () => {
  /** Pseudo-random, the same in every run. */
  const many = Array.from({ length: 300 }, (_, i) =>
    name(i, (i * 0.618034) % 1, (i * 0.754878) % 1, 1 + ((i * 7919) % 1000)),
  );

  it.each([0, 0.5, 2, 4.3])("is so that none overlap, at zoom %s", (zoom) => {
    const scale = 512 * 2 ** zoom;
    const boxes = layOut(many, zoom, wide).map(({ name: { x, y, text }, size }) => {
      const [w, h] = [wide(text), 1.35 * size];
      return { left: x * scale - w / 2, right: x * scale + w / 2, top: y * scale - h / 2, bottom: y * scale + h / 2 };
    });
    expect(boxes.length).toBeGreaterThan(10);
    const overlap = (a: (typeof boxes)[0], b: (typeof boxes)[0]) =>
      a.right > b.left && b.right > a.left && a.bottom > b.top && b.bottom > a.top;
    expect(boxes.filter((a, i) => boxes.some((b, j) => j > i && overlap(a, b)))).toEqual([]);
  });

  it("goes by count, whatever the order, and more have room closer by", () => {
    const close = [name(1, 0.5, 0.5, 10), name(2, 0.51, 0.5, 20)];
    expect(layOut(close, 0, wide).map((each) => each.name.key)).toEqual([2]);
    expect(layOut(close.toReversed(), 0, wide).map((each) => each.name.key)).toEqual([2]);
    expect(layOut(close, 5, wide).map((each) => each.name.key)).toEqual([2, 1]);
  });

  it("keeps two places of one class apart", () => {
    const twice = [name(1, 0.2, 0.5, 20), name(1, 0.6, 0.5, 10), name(2, 0.6, 0.7, 5)];
    expect(layOut(twice, 0, wide).map((each) => each.name.count)).toEqual([20, 5]);
    expect(layOut(twice, 1, wide).map((each) => each.name.count)).toEqual([20, 10, 5]);
  });

  it("grows with the count, within limits", () => {
    expect([sizeOf(0, 100), sizeOf(25, 100), sizeOf(100, 100), sizeOf(5, 0)].slice(0, 3)).toEqual([12, 17, 22]);
  });
});

describe("the band of a zoom", () => {
  const bands = [0, 1, 2].map((zoom) => ({ zoom, names: [] }));
  it("is the nearest, the last one for all deeper levels", () => {
    expect([-2, 0.4, 0.6, 2, 9].map((zoom) => bandAt(bands, zoom)?.zoom)).toEqual([0, 0, 1, 2, 2]);
    expect(bandAt([], 1)).toBeNull();
  });
});

describe("which names are shown", () => {
  const bands = { exact: [{ zoom: 0, names: [name(0, 0, 0, 1), name("a", 0, 0, 1)] }] };
  it("are the classes, where there are any, or what the address asks for", () => {
    expect(kindsOf(bands)).toEqual(["class", "cluster"]);
    expect(shownKind(null, ["class", "cluster"])).toBe("class");
    expect(shownKind("cluster", ["class", "cluster"])).toBe("cluster");
    expect(shownKind("class", ["cluster"])).toBe("cluster");
    expect(shownKind("off", ["class"])).toBe("off");
    expect(shownKind(null, [])).toBe("off");
  });

  it("select their class or cluster", () => {
    expect(queryOf(name(3, 0, 0, 1))).toEqual({ class: 3 });
    expect(queryOf(name("cat (2)", 0, 0, 1))).toEqual({ cluster: "cat (2)" });
  });

  it("go where their cluster is hidden in the legend that is shown", () => {
    const classes = [{ index: 5, name: "a", color: "#000000", count: 1 }];
    const info = { layers: [{ name: "category:cluster", legend: { classes } }] } as never;
    const state = { layer: "category:cluster", hidden: new Set([5]) } as never;
    expect(isHidden(name("a", 0, 0, 1), info, state)).toBe(true);
    expect(isHidden(name("b", 0, 0, 1), info, state)).toBe(false);
    expect(isHidden(name("a", 0, 0, 1), info, { layer: "category", hidden: new Set([5]) } as never)).toBe(false);
  });
});

describe("names over the map", () => {
  function labels(change: Partial<NameParts> = {}) {
    const container = document.createElement("div");
    document.body.replaceChildren(container);
    let render = () => {};
    const olMap = {
      on: (_: string, listener: () => void) => {
        render = listener;
        return { target: { removeEventListener: () => {} } };
      },
      getSize: () => [1000, 500],
      getOverlayContainer: () => container,
    };
    let shift = 0;
    const parts: NameParts = {
      olMap: olMap as unknown as NameParts["olMap"],
      zoom: () => 1,
      pixelOf: (x, y) => [1000 * x + shift, 500 * y],
      arrangement: () => "exact",
      shows: () => true,
      choose: vi.fn(),
      measure: null,
      ...change,
    };
    const made = new NameLabels(parts);
    const pan = (by: number) => {
      shift += by;
      render();
    };
    return { made, parts, pan };
  }
  const HOSTILE = "<img src=x onerror=alert(1)> مرحبا";
  const bands = {
    exact: [
      { zoom: 0, names: [name(0, 0.5, 0.5, 9, { text: HOSTILE }), name(1, 0.9, 0.9, 5), name("a", 0.1, 0.1, 7)] },
    ],
  };
  const shown = () => texts(document, ".map-names button");

  it("are text with a direction of its own, of the kind that is asked for", () => {
    const { made } = labels();
    made.show(bands, "class");
    expect(shown()).toEqual([HOSTILE, "name 1"]);
    expect(made.element.querySelector("img")).toBeNull();
    expect(made.element.querySelector("button")!.getAttribute("dir")).toBe("auto");
    made.show(bands, "cluster");
    expect(shown()).toEqual(["name a"]);
    made.show(bands, "off");
    expect(shown()).toEqual([]);
  });

  it("follow the map, keep their elements, and leave with their place", () => {
    const { made, pan } = labels();
    made.show(bands, "class");
    const [first] = made.element.children;
    pan(50);
    expect(made.element.children[0]).toBe(first);
    expect((first as HTMLElement).style.transform).toContain("translate(550px, 250px)");
    pan(100);
    expect(shown()).toEqual([HOSTILE]);
  });

  it("are not there for a class that is hidden, or an arrangement without names", () => {
    const { made } = labels({ shows: ({ key }) => key !== 0 });
    made.show(bands, "class");
    expect(shown()).toEqual(["name 1"]);
    labels({ arrangement: () => "grid" }).made.show(bands, "class");
    expect(shown()).toEqual([]);
  });

  it("choose by click and Enter, and arrow keys walk", () => {
    const { made, parts } = labels();
    made.show(bands, "class");
    const boxes = [...made.element.querySelectorAll("button")];
    expect(boxes.map((box) => box.tabIndex)).toEqual([0, -1]);
    boxes[0]!.focus();
    expect(press(boxes[0]!, "ArrowRight")).toBe(true);
    expect(document.activeElement).toBe(boxes[1]);
    expect(boxes.map((box) => box.tabIndex)).toEqual([-1, 0]);
    boxes[1]!.click();
    expect(parts.choose).toHaveBeenCalledExactlyOnceWith(bands.exact[0]!.names[1]);
  });

  it("do not take a drag of the map for a click", () => {
    const { made, parts } = labels();
    made.show(bands, "class");
    const box = made.element.querySelector("button")!;
    box.dispatchEvent(new MouseEvent("pointerdown", { bubbles: true, clientX: 10, clientY: 10 }));
    box.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: 40, clientY: 10, detail: 1 }));
    expect(parts.choose).not.toHaveBeenCalled();
    box.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: 12, clientY: 10, detail: 1 }));
    expect(parts.choose).toHaveBeenCalledTimes(1);
  });
});
