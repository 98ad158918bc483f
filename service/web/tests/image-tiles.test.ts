// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Coordinate, ImageTiles } from "../src/map/image-tiles";
import { ImageView } from "../src/map/image-view";
import { MaskedTile } from "../src/map/masked-tile";
import { loadFrom, type RowImage, type RowImages } from "../src/map/row-images";
import type { PlacedImages } from "../src/map/webp";
import { settle } from "./helpers/page";

afterEach(() => vi.unstubAllGlobals());

function bitmap(width: number, height = width) {
  return { width, height, close: vi.fn() };
}

describe("tiles of images", () => {
  beforeEach(() => vi.stubGlobal("createImageBitmap", async () => bitmap(512)));

  function made() {
    const asked: { key: string; signal: AbortSignal; answer(bytes: ArrayBuffer | null): void; fail(): void }[] = [];
    const archive = {
      tile: (z: number, x: number, y: number, signal?: AbortSignal) =>
        new Promise<ArrayBuffer | null>((answer, reject) => {
          asked.push({ key: `${z}/${x}/${y}`, signal: signal!, answer, fail: () => reject(new Error("away")) });
        }),
    };
    const onError = vi.fn();
    const tiles = new ImageTiles(archive, "image/webp", vi.fn(), onError);
    return { asked, tiles, onError };
  }
  const row = (count: number): Coordinate[] => Array.from({ length: count }, (_, x) => [4, x, 0]);

  it("are asked for eight at once, and those out of sight no longer", async () => {
    const { asked, tiles } = made();
    tiles.want(row(10));
    expect(asked.map((each) => each.key)).toEqual(Array.from({ length: 8 }, (_, x) => `4/${x}/0`));
    tiles.want([
      [4, 0, 0],
      [5, 1, 1],
    ]);
    expect(asked.map((each) => each.signal.aborted)).toEqual([false, ...Array(7).fill(true), false]);
    asked[0]!.answer(new ArrayBuffer(4));
    asked[1]!.answer(new ArrayBuffer(4));
    await settle();
    expect(tiles.get([4, 0, 0])).toBeInstanceOf(MaskedTile);
    expect(tiles.get([4, 1, 0]), "one that was cancelled").toBeUndefined();
    expect(tiles.loading).toBe(true);
  });

  it("that are not there, or cannot be had, are not asked for again; only the latter is said", async () => {
    const { asked, tiles, onError } = made();
    tiles.want(row(2));
    asked[0]!.answer(null);
    asked[1]!.fail();
    await settle();
    expect([tiles.get([4, 0, 0]), tiles.get([4, 1, 0]), tiles.loading]).toEqual([null, null, false]);
    expect(onError).toHaveBeenCalledOnce();
    tiles.want(row(2));
    expect(asked).toHaveLength(2);
  });
});

describe("a single image of a tile", () => {
  // The second lies over the lower right of the first, which reaches beyond the left edge of the tile.
  const placed: PlacedImages = {
    count: 2,
    row: Uint32Array.of(4, 9),
    left: Int16Array.of(-10, 20),
    top: Int16Array.of(0, 30),
    width: Uint16Array.of(40, 40),
    height: Uint16Array.of(40, 40),
    label: Uint16Array.of(0, 1),
  };
  const box = { left: 100, top: 200, width: 80, height: 80 };
  const thumbnails = (image?: RowImage) => ({ get: () => image }) as unknown as RowImages;

  it("is drawn from the part of it that the tile has, at the scale of its box", () => {
    const whole = bitmap(512) as unknown as ImageBitmap;
    const drawImage = vi.fn();
    const tile = new MaskedTile(whole, placed);
    const context = { drawImage } as unknown as CanvasRenderingContext2D;
    expect(tile.draw(context, 0, box, [], thumbnails())).toBe(true);
    expect(drawImage).toHaveBeenCalledWith(whole, 0, 0, 30, 40, 120, 200, 60, 80);
  });

  it("is its thumbnail where others lie over it, as soon as that has come", () => {
    const drawImage = vi.fn();
    const tile = new MaskedTile(bitmap(512) as unknown as ImageBitmap, placed);
    const thumbnail = bitmap(40) as unknown as ImageBitmap;
    const context = { drawImage } as unknown as CanvasRenderingContext2D;
    const image = { bitmap: thumbnail, width: 40, height: 40 };
    expect(tile.over(0)).toEqual([1]);
    expect(tile.draw(context, 0, box, tile.over(0), thumbnails(image))).toBe(true);
    expect(drawImage).toHaveBeenCalledWith(thumbnail, 100, 200, 80, 80);
  });

  it("costs nothing where no class of the tile is hidden", () => {
    const whole = bitmap(512) as unknown as ImageBitmap;
    const tile = new MaskedTile(whole, placed);
    expect(tile.without((label) => label === 7, 1, thumbnails())).toEqual({ image: whole, waits: [] });
  });
});

describe("the image at an address", () => {
  const size = { width: 1000, height: 400 };

  it("is decoded no larger than it is drawn, and its own size is known", async () => {
    const whole = { ...size, close: vi.fn() };
    const decode = vi.fn(async (_: unknown, resize?: { resizeWidth: number; resizeHeight: number }) =>
      resize ? bitmap(resize.resizeWidth, resize.resizeHeight) : whole,
    );
    vi.stubGlobal("createImageBitmap", decode);
    vi.stubGlobal("fetch", async () => new Response(new Blob(["x"])));
    const small = await loadFrom((row) => `/${row}`)(3, 256, new AbortController().signal);
    expect([small.bitmap.width, small.bitmap.height, small.width, small.height]).toEqual([256, 102, 1000, 400]);
    expect(whole.close).toHaveBeenCalledOnce();
    const large = await loadFrom((row) => `/${row}`)(3, 1024, new AbortController().signal);
    expect(large.bitmap).toBe(whole);
  });

  it("is an error where the service refuses it", async () => {
    vi.stubGlobal("fetch", async () => new Response(null, { status: 404 }));
    await expect(loadFrom(() => "/x")(3, 256, new AbortController().signal)).rejects.toThrow("404");
  });
});

describe("an image under the fingers", () => {
  function made() {
    const [frame, image, onSwipe] = [document.createElement("div"), document.createElement("img"), vi.fn()];
    for (const [name, value] of [
      ["clientWidth", 400],
      ["clientHeight", 300],
    ] as const) {
      Object.defineProperty(frame, name, { value });
    }
    frame.setPointerCapture = () => undefined;
    frame.getBoundingClientRect = () => ({ left: 0, top: 0, width: 400, height: 300 }) as DOMRect;
    const view = new ImageView(frame, image, onSwipe);
    const touch = (type: string, pointerId: number, clientX: number, clientY: number) =>
      frame.dispatchEvent(new PointerEvent(type, { pointerId, clientX, clientY, button: 0 }));
    return { view, image, onSwipe, touch };
  }

  it("goes to the next when it is wiped to the left, not when it is wiped down or a little", () => {
    const { onSwipe, touch } = made();
    for (const [x, y] of [
      [100, 150],
      [170, 150],
      [180, 300],
    ] as const) {
      touch("pointerdown", 1, 200, 150);
      touch("pointerup", 1, x, y);
    }
    touch("pointerdown", 1, 200, 150);
    touch("pointerup", 1, 300, 160);
    expect(onSwipe.mock.calls).toEqual([[1], [-1]]);
  });

  it("grows between two fingers, is moved by one then, and not wiped", () => {
    const { view, image, onSwipe, touch } = made();
    touch("pointerdown", 1, 150, 150);
    touch("pointerdown", 2, 250, 150);
    touch("pointermove", 2, 350, 150);
    expect(image.style.transform).toContain("scale(2)");
    touch("pointerup", 2, 350, 150);
    touch("pointerup", 1, 150, 150);
    touch("pointerdown", 1, 200, 150);
    touch("pointermove", 1, 100, 150);
    touch("pointerup", 1, 100, 150);
    expect([view.enlarged, onSwipe.mock.calls.length]).toEqual([true, 0]);
    view.reset();
    expect([view.enlarged, image.style.transform]).toEqual([false, ""]);
  });
});
