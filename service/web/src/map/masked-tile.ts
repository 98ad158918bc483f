/**
 * An image tile, and single images of it: without those of hidden classes, and with what lies beneath them. A tile has
 * only the pixels that are seen; an image that others lie over is whole as soon as its thumbnail has come.
 */

import { createContext } from "../tiles/archive";
import { WORLD } from "./grid";
import type { RowImages } from "./row-images";
import type { PlacedImages } from "./webp";

/** Tiles with more images are taken as they are painted: who lies over whom would take too long to find. */
const MOST_COMPARED = 2000;
const NONE: readonly number[] = [];

export type Hides = (label: number) => boolean;

interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function boxOf(placed: PlacedImages, i: number): Box {
  return { left: placed.left[i]!, top: placed.top[i]!, width: placed.width[i]!, height: placed.height[i]! };
}

/** For each image the later ones that lie over it. */
export function coveredBy(placed: PlacedImages): readonly (readonly number[])[] {
  const { count, left, top, width, height } = placed;
  if (count > MOST_COMPARED) return [];
  return Array.from({ length: count }, (_, i) => {
    const over: number[] = [];
    for (let j = i + 1; j < count; j += 1) {
      const across = left[j]! < left[i]! + width[i]! && left[i]! < left[j]! + width[j]!;
      if (across && top[j]! < top[i]! + height[i]! && top[i]! < top[j]! + height[j]!) over.push(j);
    }
    return over;
  });
}

/** The index of the image seen at (x, y), hidden ones aside; -1: none. */
export function seenAt(placed: PlacedImages, x: number, y: number, hides: Hides): number {
  for (let i = placed.count - 1; i >= 0; i -= 1) {
    const { left, top, width, height } = boxOf(placed, i);
    if (x < left || y < top || x >= left + width || y >= top + height) continue;
    if (!hides(placed.label[i]!)) return i;
  }
  return -1;
}

interface Masked {
  canvas: HTMLCanvasElement;
  /** Versions of classes and of thumbnails that it was drawn from. */
  shows: string;
  /** Rows whose thumbnails it waits for. */
  waits: readonly number[];
}

let scratch: CanvasRenderingContext2D | null = null;

export class MaskedTile {
  private covers: readonly (readonly number[])[] | null = null;
  private masked: Masked | null = null;

  constructor(
    readonly bitmap: ImageBitmap,
    readonly placed: PlacedImages | null,
  ) {}

  close(): void {
    this.bitmap.close();
    this.masked = null;
  }

  /** The later images that lie over image `i`. */
  over(i: number): readonly number[] {
    if (!this.placed) return NONE;
    this.covers ??= coveredBy(this.placed);
    return this.covers[i] ?? NONE;
  }

  /** The tile without the images that are hidden, and the rows whose thumbnails it waits for. */
  without(
    hides: Hides,
    version: number,
    thumbnails: RowImages,
  ): { image: CanvasImageSource; waits: readonly number[] } {
    const { placed } = this;
    if (!placed?.label.some(hides)) return { image: this.bitmap, waits: NONE };
    const current = [`${version}/`, `${version}/${thumbnails.version}`];
    if (!this.masked || !current.includes(this.masked.shows)) {
      this.masked = this.mask(placed, hides, version, thumbnails);
    }
    return { image: this.masked.canvas, waits: this.masked.waits };
  }

  private mask(placed: PlacedImages, hides: Hides, version: number, thumbnails: RowImages): Masked {
    const context = createContext(WORLD, false);
    const waits: number[] = [];
    for (let i = 0; i < placed.count; i += 1) {
      if (hides(placed.label[i]!)) continue;
      const covering = this.over(i).filter((j) => hides(placed.label[j]!));
      if (!this.draw(context, i, boxOf(placed, i), covering, thumbnails)) waits.push(placed.row[i]!);
    }
    // A tile that waits for nothing stays as it is when other thumbnails come.
    const shows = waits.length === 0 ? `${version}/` : `${version}/${thumbnails.version}`;
    return { canvas: context.canvas, shows, waits };
  }

  /** Draws one image into a box, less what of `covering` lies over it in the tile; whether it is whole. */
  draw(
    context: CanvasRenderingContext2D,
    i: number,
    box: Box,
    covering: readonly number[],
    thumbnails: RowImages,
  ): boolean {
    const placed = this.placed!;
    const whole = covering.length > 0 ? thumbnails.get(placed.row[i]!) : undefined;
    if (whole) {
      context.drawImage(whole.bitmap, box.left, box.top, box.width, box.height);
      return true;
    }
    this.drawPart(context, i, box, covering);
    return covering.length === 0;
  }

  private drawPart(context: CanvasRenderingContext2D, i: number, box: Box, covering: readonly number[]): void {
    const own = boxOf(this.placed!, i);
    const [left, top] = [Math.max(0, own.left), Math.max(0, own.top)];
    const width = Math.min(WORLD, own.left + own.width) - left;
    const height = Math.min(WORLD, own.top + own.height) - top;
    if (width <= 0 || height <= 0) return;
    const [sx, sy] = [box.width / own.width, box.height / own.height];
    const to = [box.left + (left - own.left) * sx, box.top + (top - own.top) * sy, width * sx, height * sy] as const;
    if (covering.length === 0) {
      context.drawImage(this.bitmap, left, top, width, height, ...to);
      return;
    }
    scratch ??= createContext(WORLD, false);
    scratch.clearRect(0, 0, width, height);
    scratch.drawImage(this.bitmap, left, top, width, height, 0, 0, width, height);
    for (const j of covering) {
      const cut = boxOf(this.placed!, j);
      scratch.clearRect(cut.left - left, cut.top - top, cut.width, cut.height);
    }
    context.drawImage(scratch.canvas, 0, 0, width, height, ...to);
  }
}
