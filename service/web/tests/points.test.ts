import { describe, expect, it } from "vitest";
import { containing, NO_LABEL, nearest, type PointTile, parsePointTile, tilesAround } from "../src/map/points";
import { EMPTY_CELL, imageAt, placedImages } from "../src/map/webp";

type Entry = [x: number, y: number, row: number, label: number];

function encode(points: Entry[]): ArrayBuffer {
  const n = points.length;
  const view = new DataView(new ArrayBuffer(4 + 14 * n));
  view.setUint32(0, n, true);
  points.forEach(([x, y, row, label], i) => {
    view.setFloat32(4 + 4 * i, x, true);
    view.setFloat32(4 + 4 * (n + i), y, true);
    view.setUint32(4 + 4 * (2 * n + i), row, true);
    view.setUint16(4 + 12 * n + 2 * i, label, true);
  });
  return view.buffer;
}

const tile = (points: Entry[]): PointTile => parsePointTile(encode(points));
const any = () => true;

describe("point tiles", () => {
  it("are read as little-endian columns", () => {
    const read = tile([
      [0.25, 0.5, 70_000, 3],
      [0.75, 1, 9, NO_LABEL],
      [0, 0, 1, 0],
    ]);
    expect(read.count).toBe(3);
    expect([...read.x]).toEqual([0.25, 0.75, 0]);
    expect([...read.y]).toEqual([0.5, 1, 0]);
    expect([...read.row]).toEqual([70_000, 9, 1]);
    expect([...read.label]).toEqual([3, NO_LABEL, 0]);
  });

  it("are refused where the length does not fit the count", () => {
    expect(() => parsePointTile(encode([[0, 0, 1, 1]]).slice(0, 17))).toThrow(RangeError);
    expect(() => parsePointTile(new ArrayBuffer(2))).toThrow(RangeError);
  });
});

describe("picking", () => {
  const points = [
    tile([
      [0.1, 0.1, 1, 0],
      [0.12, 0.1, 2, 1],
    ]),
    tile([[0.9, 0.9, 3, 0]]),
  ];

  it("finds the nearest point within reach, in any of the tiles", () => {
    expect(nearest(points, 0.115, 0.1, 0.05, any)?.row).toBe(2);
    expect(nearest(points, 0.88, 0.9, 0.05, any)?.row).toBe(3);
    expect(nearest(points, 0.5, 0.5, 0.05, any)).toBeNull();
  });

  it("passes over hidden classes", () => {
    expect(nearest(points, 0.12, 0.1, 0.05, (label) => label !== 1)?.row).toBe(1);
  });

  it("finds the image whose square contains the cursor", () => {
    expect(containing(points, 0.129, 0.109, 0.01, any)?.row).toBe(2);
    expect(containing(points, 0.131, 0.1, 0.01, any)).toBeNull();
  });

  it("asks for at most nine tiles, the one under the cursor first", () => {
    expect(tilesAround(2, 0.3, 0.3, 0.001)).toEqual([[1, 1]]);
    expect(tilesAround(2, 0.26, 0.3, 0.02)).toEqual([
      [1, 1],
      [0, 1],
    ]);
    expect(tilesAround(6, 0.5, 0.5, 0.4)).toHaveLength(9);
    expect(tilesAround(6, 0.5, 0.5, 0.4)[0]).toEqual([32, 32]);
    expect(tilesAround(2, -0.01, 1.01, 0.02)).toEqual([[0, 3]]);
  });
});

function riff(chunks: [string, Uint8Array][]): ArrayBuffer {
  const bytes = [...chunks].flatMap(([tag, body]) => [
    ...new TextEncoder().encode(tag),
    ...new Uint8Array(Uint32Array.of(body.length).buffer),
    ...body,
    ...(body.length % 2 ? [0] : []),
  ]);
  const head = [
    ...new TextEncoder().encode("RIFF"),
    ...new Uint8Array(Uint32Array.of(bytes.length + 4).buffer),
    ...new TextEncoder().encode("WEBP"),
  ];
  return Uint8Array.from([...head, ...bytes]).buffer;
}

type Box = [row: number, left: number, top: number, width: number, height: number, label: number];

function placedChunk(images: Box[]): Uint8Array {
  const n = images.length;
  const view = new DataView(new ArrayBuffer(4 + 14 * n));
  view.setUint32(0, n, true);
  images.forEach(([row, ...others], i) => {
    view.setUint32(4 + 4 * i, row, true);
    others.forEach((value, column) => {
      view.setInt16(4 + 4 * n + 2 * (column * n + i), value, true);
    });
  });
  return new Uint8Array(view.buffer);
}

describe("the images of a tile", () => {
  const image: [string, Uint8Array] = ["VP8L", new Uint8Array(7)];

  it("are in the chunk after the image, the last one on top", () => {
    const chunk = placedChunk([
      [70_000, -30, 10, 60, 40, 3],
      [5, 0, 20, 60, 60, NO_LABEL - 65536],
      [9, 400, 400, 60, 60, 0],
    ]);
    const placed = placedImages(riff([image, ["FSIP", chunk]]), 512)!;
    expect([...placed.row]).toEqual([70_000, 5, 9]);
    expect([...placed.left]).toEqual([-30, 0, 400]);
    expect([...placed.label]).toEqual([3, NO_LABEL, 0]);
    expect(imageAt(placed, 5, 15)).toBe(0);
    expect(imageAt(placed, 5, 25)).toBe(1);
    expect(imageAt(placed, 30, 15)).toBe(-1);
    expect(imageAt(placed, 459.9, 459.9)).toBe(2);
    expect(imageAt(placed, 460, 459.9)).toBe(-1);
  });

  it("are those of the cells in tiles of earlier versions", () => {
    const rows = Uint32Array.of(5, EMPTY_CELL, 70_000, 8);
    const placed = placedImages(riff([image, ["FSRW", new Uint8Array(rows.buffer)]]), 512)!;
    expect([...placed.row]).toEqual([5, 70_000, 8]);
    expect(placed.row[imageAt(placed, 50, 50)]).toBe(5);
    expect(imageAt(placed, 460, 50)).toBe(-1);
    expect(placed.row[imageAt(placed, 50, 460)]).toBe(70_000);
    expect(placed.row[imageAt(placed, 511, 511)]).toBe(8);
  });

  it("are unknown where the tile does not say, is cut off, or is no WebP", () => {
    const whole = riff([["FSIP", placedChunk([[1, 0, 0, 9, 9, 0]])]]);
    expect(placedImages(whole, 512)?.count).toBe(1);
    expect(placedImages(whole.slice(0, 30), 512)).toBeNull();
    expect(placedImages(riff([["FSIP", new Uint8Array(17)]]), 512)).toBeNull();
    expect(placedImages(riff([["FSRW", new Uint8Array(12)]]), 512)).toBeNull();
    expect(placedImages(riff([image]), 512)).toBeNull();
    expect(placedImages(new ArrayBuffer(4), 512)).toBeNull();
  });
});
