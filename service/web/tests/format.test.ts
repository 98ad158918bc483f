import { describe, expect, it } from "vitest";
import type { ColorLayer } from "../src/api/types";
import {
  attributeValue,
  elapsedSeconds,
  formatAgo,
  formatBytes,
  formatDuration,
  formatEta,
  formatFigure,
  humanize,
  joined,
  plural,
} from "../src/lib/format";
import { gridStep } from "../src/lib/grid-step";
import { Lru } from "../src/lib/lru";
import { Store } from "../src/lib/store";
import { scaleTicks, soloed, toggled } from "../src/map/legend";
import { drawnText, zoomText } from "../src/map/status-line";

describe("numbers and times", () => {
  it("of attributes have two decimals at most", () => {
    expect([30.456, 24, -0.5, "a <b>"].map(attributeValue)).toEqual(["30.46", "24", "-0.5", "a <b>"]);
  });

  it("are written as people read them", () => {
    expect(plural(1, "image")).toBe("1 image");
    expect(plural(1797, "image")).toBe("1,797 images");
    expect([0.44, 42.2, 200, 7500, Number.NaN].map(formatDuration)).toEqual([
      "0.4 s",
      "42 s",
      "3 min 20 s",
      "2 h 5 min",
      "–",
    ]);
    expect([1, 42, 200, 5000].map(formatEta)).toEqual([
      "a few seconds left",
      "about 40 s left",
      "about 3 min 30 s left",
      "about 1 h 25 min left",
    ]);
    expect([812, 1_234_567, 999_999].map(formatBytes)).toEqual(["812 B", "1.2 MB", "1.0 MB"]);
    expect([0.98312, 1797, 12345.6].map(formatFigure)).toEqual(["0.983", "1797", "12,346"]);
    expect([0, -0.00000515, 0.000123].map(formatFigure)).toEqual(["0", "-5.15e-6", "0.000123"]);
    expect(humanize("knn_label_accuracy")).toBe("kNN label accuracy");
    expect(joined("a", "", null, "b")).toMatch(/^a\s·\sb$|^a\S*\s*·\s*\S*b$/);
  });

  it("count from the start of a job to its end, or to now", () => {
    const start = "2026-11-22T12:00:00Z";
    const now = Date.parse("2026-11-22T12:01:00Z");
    expect(elapsedSeconds(start, "2026-11-22T12:00:05Z", now)).toBe(5);
    expect(elapsedSeconds(start, null, now)).toBe(60);
    expect(elapsedSeconds(null, null, now)).toBeNull();
    expect(formatAgo(start, now)).toBe("1 min ago");
    expect(formatAgo(start, now + 26 * 3_600_000)).toBe("yesterday");
    expect(formatAgo(start, now + 30 * 86_400_000)).toBe("2026-11-22");
  });
});

describe("what is drawn of how many", () => {
  const layer = (kind: string, drawn: number[]) => ({ legend: { kind }, drawn }) as unknown as ColorLayer;

  it("is said for every kind of layer", () => {
    const images = layer("images", [43, 1797]);
    expect(drawnText({ layer: images, examples: 1797, hidden: 0, z: 0 })).toBe("43 of 1,797 images at this zoom");
    expect(drawnText({ layer: images, examples: 1797, hidden: 0, z: 1 })).toBe("1,797 of 1,797 images drawn");
    const seen = { layer: images, examples: 1797, inSight: 12 };
    expect(drawnText({ ...seen, hidden: 97, z: 1 })).toBe("1,700 of 1,797 images drawn, 12 in sight");
    expect(drawnText({ ...seen, hidden: 97, z: 0 })).toBe("12 of 1,797 images in sight");
    expect(drawnText({ ...seen, hidden: 0, z: 1, inSight: 1797 })).toBe("1,797 of 1,797 images drawn");
    const icons = { ...images, drawn: [1700, 1650], legend: { ...images.legend, icons: [61, 180] } };
    expect(drawnText({ layer: icons, examples: 1797, hidden: 0, z: 1 })).toBe("180 icons for 1,650 of 1,797 images");
    expect(drawnText({ layer: icons, examples: 1797, hidden: 0, z: 4 })).toBe("180 icons for 1,650 of 1,797 images");
    expect(drawnText({ layer: layer("density", [1797]), examples: 1797, hidden: 9, z: 0 })).toBe(
      "1,797 of 1,797 examples drawn",
    );
    expect(drawnText({ layer: layer("category", [1797]), examples: 1797, hidden: 97, z: 0 })).toBe(
      "1,700 of 1,797 examples drawn",
    );
    expect([zoomText(0), zoomText(-1), zoomText(5)]).toEqual(["× 1.0", "× 0.5", "× 32"]);
  });
});

describe("the legend", () => {
  it("hides one class, shows only one, and shows all when asked again", () => {
    expect(toggled(new Set([1]), 2)).toEqual(new Set([1, 2]));
    expect(toggled(new Set([1]), 1)).toEqual(new Set());
    expect(soloed([0, 1, 2], new Set(), 1)).toEqual(new Set([0, 2]));
    expect(soloed([0, 1, 2], new Set([0, 1]), 1)).toEqual(new Set([0, 2]));
    expect(soloed([0, 1, 2], new Set([0, 2]), 1)).toEqual(new Set());
  });

  it("has round numbers between its ends", () => {
    expect(scaleTicks(1)).toEqual([1]);
    expect(scaleTicks(3)).toEqual([1, 3]);
    expect(scaleTicks(16)).toEqual([1, 16]);
    expect(scaleTicks(4000)).toEqual([1, 10, 100, 1000, 4000]);
  });
});

describe("the neighbors", () => {
  it("are walked with the arrow keys", () => {
    expect(gridStep("ArrowRight", 0, 12, 4)).toBe(1);
    expect(gridStep("ArrowDown", 1, 12, 4)).toBe(5);
    expect(gridStep("ArrowUp", 1, 12, 4)).toBe(1);
    expect(gridStep("End", 1, 12, 4)).toBe(11);
    expect(gridStep("Tab", 1, 12, 4)).toBeNull();
  });
});

describe("caches and stores", () => {
  it("forget what was used longest ago", () => {
    const lru = new Lru<string, number>(2);
    lru.set("a", 1);
    lru.set("b", 2);
    lru.get("a");
    lru.set("c", 3);
    expect([lru.get("a"), lru.get("b"), lru.get("c"), lru.size]).toEqual([1, undefined, 3, 2]);
  });

  it("tell listeners of real changes only", () => {
    const store = new Store({ a: 1, b: "x" });
    const seen: number[] = [];
    const end = store.subscribe((state, previous) => seen.push(previous.a, state.a));
    store.set({ a: 1 });
    store.set({ a: 2 });
    end();
    store.set({ a: 3 });
    expect(seen).toEqual([1, 2]);
  });
});
