// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { Lru } from "../src/lib/lru";
import { freePart } from "../src/map/free-part";
import { countOf, leastSide, levelFor, MOST_TILES, nearestFirst, tilesIn } from "../src/map/image-levels";
import { kept, zoomedAt } from "../src/map/image-view";
import { stripRows } from "../src/map/lightbox-part";
import { coveredBy, seenAt } from "../src/map/masked-tile";
import { decodedSide, type RowImage, RowImages } from "../src/map/row-images";
import { stepped, walkFrom } from "../src/map/walk";
import type { PlacedImages } from "../src/map/webp";
import { settle } from "./helpers/page";

const WHOLE = { left: 0, top: 0, right: 1, bottom: 1 };

function placed(boxes: readonly [left: number, top: number, side: number, label: number][]): PlacedImages {
  const column = (at: 0 | 1 | 2 | 3) => boxes.map((box) => box[at]);
  return {
    count: boxes.length,
    row: Uint32Array.from(boxes.keys(), (i) => 100 + i),
    left: Int16Array.from(column(0)),
    top: Int16Array.from(column(1)),
    width: Uint16Array.from(column(2)),
    height: Uint16Array.from(column(2)),
    label: Uint16Array.from(column(3)),
  };
}

describe("the level that images are drawn from", () => {
  const grid = { minZoom: 0, maxZoom: 2, cellPx: 64, overlaps: false };

  it("has all of 800 images where 29 x 29 cells fill a screen, and on a phone", () => {
    // 29 of 32 cells of the square are filled: a square of 780 CSS px is the zoom log2(780 / (512 * 29 / 32)).
    const zoom = (side: number) => Math.log2((side * 32) / 29 / 512);
    expect(leastSide(900, 1, 0)).toEqual({ side: 20, ofAll: 12 });
    expect(levelFor(grid, zoom(780), WHOLE, leastSide(900, 1, 0))).toBe(2);
    expect(leastSide(390, 1, 0).side).toBeCloseTo(12.19, 2);
    expect(levelFor(grid, zoom(382), WHOLE, leastSide(390, 1, 0))).toBe(2);
    // One step larger, and one screen smaller, there is one of four.
    expect(levelFor(grid, zoom(780), WHOLE, leastSide(900, 1, 1))).toBe(1);
    expect(levelFor(grid, zoom(300), WHOLE, leastSide(390, 1, 0))).toBe(1);
  });

  it("is the one that has every image from 12 px on, and another from 20", () => {
    // 64 x 64 cells of 64 px at level 3: 13.4 px each in a square of 860 px, 11.9 px in one of 760.
    const zoom = (side: number) => Math.log2(side / 512);
    const full = { ...grid, maxZoom: 3 };
    expect(levelFor(full, zoom(860), WHOLE, leastSide(900, 1, 0))).toBe(3);
    expect(levelFor(full, zoom(760), WHOLE, leastSide(900, 1, 0))).toBe(2);
    // Level 3 of a larger map leaves images out.
    expect(levelFor({ ...grid, maxZoom: 4 }, zoom(860), WHOLE, leastSide(900, 1, 0))).toBe(2);
  });

  it("is deeper on a dense screen, within bounds", () => {
    expect(leastSide(900, 4, 0).side).toBeCloseTo(20 / 1.5);
    expect(leastSide(900, 2, 0).side).toBeCloseTo(20 / Math.SQRT2);
    expect(leastSide(900, 2, 0).ofAll).toBeCloseTo(12 / Math.SQRT2);
    expect(leastSide(900, 0.5, 0).side).toBe(20);
  });

  it("never has more than so many tiles", () => {
    const deep = { ...grid, maxZoom: 10 };
    const z = levelFor(deep, 3, WHOLE, { side: 1, ofAll: 1 });
    expect(z).toBe(3);
    expect(countOf(tilesIn(WHOLE, z))).toBe(MOST_TILES);
    expect(countOf(tilesIn(WHOLE, z + 1))).toBeGreaterThan(MOST_TILES);
  });

  it("is not the deepest of images that lie over each other, before they are seen at their own size", () => {
    const exact = { ...grid, overlaps: true };
    const least = { side: 12, ofAll: 12 };
    expect(levelFor(exact, 0.8, WHOLE, least)).toBe(1);
    expect(levelFor(exact, 1.4, WHOLE, least)).toBe(1);
    expect(levelFor(exact, 1.5, WHOLE, least)).toBe(2);
  });

  it("has the tiles that a part touches, those in its middle first", () => {
    expect(tilesIn({ left: 0.3, top: -1, right: 0.75, bottom: 0.26 }, 2)).toEqual({
      ...{ z: 2, left: 1, top: 0, right: 2, bottom: 1 },
    });
    expect(countOf(tilesIn({ left: 1.2, top: 0, right: 1.5, bottom: 1 }, 2))).toBe(0);
    expect(nearestFirst({ z: 3, left: 0, top: 0, right: 2, bottom: 2 })[0]).toEqual([3, 1, 1]);
  });
});

describe("images that lie over each other", () => {
  // The second lies over the first, the third beside both.
  const tile = placed([
    [0, 0, 64, 1],
    [32, 32, 64, 2],
    [96, 0, 64, 1],
  ]);

  it("are known, those that only touch are not over each other", () => {
    expect(coveredBy(tile)).toEqual([[1], [], []]);
  });

  it("are opened from the top, hidden ones let those beneath through", () => {
    expect(seenAt(tile, 40, 40, () => false)).toBe(1);
    expect(seenAt(tile, 40, 40, (label) => label === 2)).toBe(0);
    expect(seenAt(tile, 80, 80, (label) => label === 2)).toBe(-1);
    expect(seenAt(tile, 300, 0, () => false)).toBe(-1);
  });
});

describe("the least recently used", () => {
  it("goes where all together are too heavy, and is told of", () => {
    const dropped: number[] = [];
    const lru = new Lru<string, number>(
      10,
      (value) => value,
      (value) => dropped.push(value),
    );
    lru.set("a", 4);
    lru.set("b", 5);
    lru.get("a");
    lru.set("c", 3);
    expect([dropped, lru.size, lru.weight]).toEqual([[5], 2, 7]);
    lru.set("a", 6);
    expect([dropped, lru.weight]).toEqual([[5, 4], 9]);
    // One that is too heavy alone is kept until the next comes.
    lru.set("d", 99);
    expect([lru.size, lru.weight]).toEqual([1, 99]);
    lru.clear();
    expect([lru.size, lru.weight]).toEqual([0, 0]);
  });
});

describe("images of rows", () => {
  function images(side = 100) {
    const asked: { row: number; signal: AbortSignal; answer(): void; fail(): void }[] = [];
    const load = (row: number, _: number, signal: AbortSignal) =>
      new Promise<RowImage>((resolve, reject) => {
        const bitmap = { width: side, height: side, close: vi.fn() } as unknown as ImageBitmap;
        const answer = () => resolve({ bitmap, width: side, height: side });
        asked.push({ row, signal, answer, fail: () => reject(new Error("gone")) });
      });
    return { asked, rows: new RowImages(load, 4 * 100 * 100 * 2, () => undefined) };
  }

  it("are fetched six at once, in order, and those out of sight are cancelled", async () => {
    const { asked, rows } = images();
    rows.want([1, 2, 3, 4, 5, 6, 7, 8], 100);
    expect(asked.map((each) => each.row)).toEqual([1, 2, 3, 4, 5, 6]);
    asked[0]!.answer();
    await settle();
    expect(asked.at(-1)!.row).toBe(7);
    rows.want([3, 9], 100);
    expect(asked.map((each) => each.signal.aborted)).toEqual([false, true, false, true, true, true, true, false]);
    expect(asked.at(-1)!.row).toBe(9);
    expect(rows.get(1)).toBeDefined();
  });

  it("are forgotten beyond so many bytes", async () => {
    const { asked, rows } = images();
    rows.want([1, 2, 3], 100);
    for (const each of asked) each.answer();
    await settle();
    expect([1, 2, 3].map((row) => rows.get(row) !== undefined)).toEqual([false, true, true]);
  });

  it("are given up where none can be read, not where one is missing", async () => {
    const { asked, rows } = images();
    rows.want([1, 2, 3, 4], 100);
    asked[0]!.fail();
    asked[1]!.fail();
    await settle();
    expect(rows.givenUp).toBe(false);
    asked[2]!.fail();
    await settle();
    expect(rows.givenUp).toBe(true);
    rows.want([5], 100);
    expect(asked).toHaveLength(4);
    asked[3]!.answer();
    rows.want([4], 100);
    const other = images();
    other.rows.want([1, 2, 3, 4], 100);
    other.asked[0]!.answer();
    for (const each of other.asked.slice(1)) each.fail();
    await settle();
    expect(other.rows.givenUp).toBe(false);
  });

  it("are decoded anew where they are drawn larger than they were decoded", () => {
    expect([10, 65, 128, 1e6].map(decodedSide)).toEqual([64, 128, 128, 4096]);
  });
});

describe("the part that no card covers", () => {
  const screen = { left: 0, top: 0, right: 1440, bottom: 900 };

  it("is the whole where there is none, and beside a card at the left", () => {
    expect(freePart(screen, [])).toEqual(screen);
    expect(freePart(screen, [{ left: 0, top: 0, right: 300, bottom: 400 }])).toEqual({ ...screen, left: 300 });
  });

  it("has room for the largest square: below a bar rather than beside it", () => {
    const cards = [
      { left: 0, top: 0, right: 300, bottom: 900 },
      { left: 1080, top: 0, right: 1440, bottom: 68 },
    ];
    expect(freePart(screen, cards)).toEqual({ left: 300, top: 68, right: 1440, bottom: 900 });
  });

  it("is the whole where all is covered", () => {
    expect(freePart(screen, [screen])).toEqual(screen);
  });
});

describe("the lightbox", () => {
  it("goes along what was found, else along the nearest neighbors, and stays at the ends", () => {
    const neighbors = [{ row: 8 }, { row: 3 }];
    expect(walkFrom(5, [1, 5, 2], neighbors)).toEqual({ of: "of what was found", rows: [1, 5, 2] });
    const walk = walkFrom(7, [1, 5, 2], neighbors);
    expect(walk.rows).toEqual([7, 8, 3]);
    expect([stepped(walk, 0, -1), stepped(walk, 0, 1), stepped(walk, 2, 1)]).toEqual([0, 1, 2]);
  });

  it("reads the rows of the strip that is open", () => {
    document.body.innerHTML = `<p class="found"><i data-row="4"></i><i data-row="2"></i></p>`;
    expect(stripRows(document.body)).toEqual([4, 2]);
    document.querySelector<HTMLElement>(".found")!.hidden = true;
    expect(stripRows(document.body)).toEqual([]);
  });

  it("zooms about a place, and keeps the image in its frame", () => {
    expect(zoomedAt({ scale: 1, x: 0, y: 0 }, 2, 100, 50)).toEqual({ scale: 2, x: -100, y: -50 });
    expect(zoomedAt({ scale: 2, x: -100, y: -50 }, 0.5, 0, 0)).toEqual({ scale: 1, x: 0, y: 0 });
    expect(zoomedAt({ scale: 10, x: 0, y: 0 }, 9, 0, 0).scale).toBe(16);
    expect(kept({ scale: 3, x: 1000, y: -40 }, 400, 300)).toEqual({ scale: 3, x: 400, y: -40 });
  });
});
