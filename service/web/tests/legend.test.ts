// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { ColorLayer } from "../src/api/types";
import { Legend, type LegendView, labelClasses, longestLegend, scaleTicks, soloed, toggled } from "../src/map/legend";
import type { Range } from "../src/map/value-scale";
import { COLORMAPS } from "../src/tiles/colormap-tables";
import { layer, map } from "./helpers/builders";
import { at, shown, stubPixels, texts, type } from "./helpers/page";

let hidden: ReadonlySet<number>[];
let colormaps: string[];
let ranges: (Range | null)[];
let legend: Legend;

beforeEach(() => {
  stubPixels();
  hidden = [];
  colormaps = [];
  ranges = [];
  legend = new Legend({
    onHidden: (set) => hidden.push(set),
    onColormap: (name) => colormaps.push(name),
    onRange: (range) => ranges.push(range),
  });
  shown(legend.element);
});

function view(of: ColorLayer, change: Partial<LegendView> = {}): LegendView {
  return {
    layer: of,
    classes: of.legend.classes,
    colormap: "viridis",
    hidden: new Set(),
    range: null,
    theme: "dark",
    max: 100,
    dotted: false,
    ...change,
  };
}

const CLASSES = layer("category", ["cat", "dog", "<i>cow</i>"]);

describe("the legend of a density", () => {
  it("says what a color counts, on a log scale to the largest count", () => {
    legend.update(view(layer("density")));
    expect(texts(legend.element, "h2")).toEqual(["Examples per pixel", "Colormap"]);
    expect(texts(legend.element, ".tick")).toEqual(["1", "10", "100"]);
    const places = [...legend.element.querySelectorAll<HTMLElement>(".tick")].map((tick) => tick.style.left);
    expect(places).toEqual(["0%", "50%", "100%"]);
    legend.update(view(layer("density"), { dotted: true }));
    expect(texts(legend.element, "h2")[0]).toBe("Examples per dot");
  });

  it("has one count in the middle where no place has more than one example", () => {
    legend.update(view(layer("density"), { max: 1 }));
    expect(texts(legend.element, ".tick")).toEqual(["1"]);
    expect(legend.element.querySelector<HTMLElement>(".tick")!.style.left).toBe("50%");
  });

  it("offers every colormap and tells of the choice", () => {
    legend.update(view(layer("density")));
    for (const name of Object.keys(COLORMAPS)) at(legend.element, `colormap-${name}`).click();
    expect(colormaps).toEqual(Object.keys(COLORMAPS));
    expect(at(legend.element, "colormap-viridis").getAttribute("role")).toBe("radio");
  });

  it("is not built again for the same scale, and keeps the focus where it is for another", () => {
    legend.update(view(layer("density")));
    const before = at(legend.element, "colormap-gray");
    legend.update(view(layer("density")));
    expect(at(legend.element, "colormap-gray")).toBe(before);
    before.focus();
    legend.update(view(layer("density"), { max: 7 }));
    expect(at(legend.element, "colormap-gray")).not.toBe(before);
    expect(document.activeElement).toBe(at(legend.element, "colormap-gray"));
  });
});

describe("the legend of classes", () => {
  it("names each as text, with its color and its number", () => {
    legend.update(view(CLASSES));
    expect(texts(legend.element, ".class-name")).toEqual(["cat", "dog", "<i>cow</i>"]);
    expect(texts(legend.element, ".class-count")).toEqual(["10", "20", "30"]);
    expect(legend.element.querySelector<HTMLElement>(".dot")!.style.getPropertyValue("--dot")).toBe("#000000");
    expect(legend.element.querySelector("h2")!.textContent).toBe("Category");
  });

  it("hides by a click, and shows alone by another, by two clicks or with Alt", () => {
    legend.update(view(CLASSES));
    at(legend.element, "class-1").click();
    at(legend.element, "only-1").click();
    at(legend.element, "class-1").dispatchEvent(new MouseEvent("dblclick", { bubbles: true }));
    at(legend.element, "class-1").dispatchEvent(new MouseEvent("click", { bubbles: true, altKey: true }));
    expect(hidden.map((set) => [...set])).toEqual([[1], [0, 2], [0, 2], [0, 2]]);
  });

  it("marks what is hidden, and then offers to show all", () => {
    legend.update(view(CLASSES));
    const reset = () => [...legend.element.querySelectorAll("button")].find((each) => each.textContent === "Show all")!;
    expect(reset().hidden).toBe(true);
    legend.update(view(CLASSES, { hidden: new Set([2]) }));
    expect(at(legend.element, "class-2").getAttribute("aria-pressed")).toBe("false");
    expect(at(legend.element, "class-0").getAttribute("aria-pressed")).toBe("true");
    expect(legend.element.querySelectorAll("li.off")).toHaveLength(1);
    expect(reset().hidden).toBe(false);
    reset().click();
    expect([...hidden.at(-1)!]).toEqual([]);
  });

  it("has a field to find one from fourteen on", () => {
    const names = Array.from({ length: 13 }, (_, i) => `class ${i}`);
    legend.update(view(layer("category", names)));
    expect(legend.element.querySelector("input")).toBeNull();
    const more = layer("category", [...names, "Zebra"], { name: "other" });
    legend.update(view(more));
    type(legend.element.querySelector("input")!, " zeb ");
    const visible = [...legend.element.querySelectorAll<HTMLElement>("li")].filter((row) => !row.hidden);
    expect(visible.map((row) => row.querySelector(".class-name")!.textContent)).toEqual(["Zebra"]);
  });

  it("says of images what hiding does there, and where there are no classes what nearness means", () => {
    legend.update(view(layer("images"), { classes: CLASSES.legend.classes }));
    expect(legend.element.textContent).toContain("A hidden class has no images");
    expect(legend.element.querySelector("h2")!.textContent).toBe("Classes");
    const other = new Legend({ onHidden: vi.fn(), onColormap: vi.fn(), onRange: vi.fn() });
    other.update(view(layer("images")));
    expect(other.element.textContent).toContain("sees as alike");
    expect(other.element.querySelector("button")).toBeNull();
  });
});

describe("what a legend works with", () => {
  it("switches one class, or all but one and back", () => {
    expect([...toggled(new Set([1]), 2)].sort()).toEqual([1, 2]);
    expect([...toggled(new Set([1]), 1)]).toEqual([]);
    expect([...soloed([0, 1, 2], new Set(), 1)]).toEqual([0, 2]);
    expect([...soloed([0, 1, 2], new Set([0, 2]), 1)]).toEqual([]);
    expect([...soloed([0, 1, 2], new Set([1, 2]), 1)], "it was hidden itself").toEqual([0, 2]);
  });

  it("has few ticks, the first and the last among them", () => {
    expect(scaleTicks(0)).toEqual([1]);
    expect(scaleTicks(16)).toEqual([1, 16]);
    expect(scaleTicks(17)).toEqual([1, 10, 17]);
    for (const max of [2, 99, 12_345, 9_876_543]) {
      const ticks = scaleTicks(max);
      expect(ticks[0]).toBe(1);
      expect(ticks.at(-1)).toBe(max);
      expect(ticks.length).toBeLessThanOrEqual(6);
    }
  });

  it("takes the classes of points from the layer whose classes are the map's", () => {
    const steps = layer("category", ["row 1", "row 2", "row 3"], { name: "step" });
    const info = map({ layers: [layer("density"), steps, layer("category", ["cat", "dog"])] });
    expect(labelClasses(info).map((each) => each.name)).toEqual(["cat", "dog"]);
    expect(longestLegend(info)).toHaveLength(3);
    expect(labelClasses(map({ classes: [] }))).toEqual([]);
    expect(labelClasses(map({ classes: ["owl"] }))).toEqual([]);
    expect(longestLegend(map({ layers: [layer("density")] }))).toEqual([]);
  });
});
