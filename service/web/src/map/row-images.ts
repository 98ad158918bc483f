/**
 * Images of single rows, fetched as they come into sight: the full ones of the dataset, or thumbnails. A few at once,
 * those out of sight cancelled; decoded no larger than they are drawn, and the least recently drawn forgotten.
 */

import { source } from "../api/source";
import { Lru } from "../lib/lru";

/** Requests at once. */
const AT_ONCE = 6;
/** So many failures before anything came: the dataset cannot be read from here. */
const GIVES_UP = 3;
const BYTES_PER_PIXEL = 4;

export interface RowImage {
  bitmap: ImageBitmap;
  /** Of the image itself; the bitmap may be smaller. */
  width: number;
  height: number;
}

export type LoadImage = (row: number, side: number, signal: AbortSignal) => Promise<RowImage>;

/** Side that is decoded for images drawn at `pixels`: the next power of two, so that a slow zoom loads little anew. */
export function decodedSide(pixels: number): number {
  return 2 ** Math.ceil(Math.log2(Math.min(4096, Math.max(64, pixels))));
}

export class RowImages {
  /** Counts what has come; a drawing is made anew where it has changed. */
  version = 0;
  private readonly kept: Lru<number, RowImage>;
  private readonly pending = new Map<number, AbortController>();
  private readonly failed = new Set<number>();
  private queue: number[] = [];
  private side = 0;
  private came = false;

  constructor(
    private readonly load: LoadImage,
    bytes: number,
    private readonly onChange: () => void,
  ) {
    const weigh = ({ bitmap }: RowImage) => bitmap.width * bitmap.height * BYTES_PER_PIXEL;
    this.kept = new Lru(bytes, weigh, ({ bitmap }) => bitmap.close());
  }

  /** None has come, and several could not: nothing more is asked for. */
  get givenUp(): boolean {
    return !this.came && this.failed.size >= GIVES_UP;
  }

  get(row: number): RowImage | undefined {
    return this.kept.get(row);
  }

  /** Fetches these, in this order, to be drawn at `pixels`; what else is under way is cancelled. */
  want(rows: readonly number[], pixels: number): void {
    this.side = decodedSide(pixels);
    const wanted = new Set(rows);
    for (const [row, controller] of this.pending) {
      if (wanted.has(row)) continue;
      controller.abort();
      this.pending.delete(row);
    }
    this.queue = rows.filter((row) => !this.pending.has(row) && !this.failed.has(row) && !this.fits(row));
    this.pump();
  }

  destroy(): void {
    this.want([], 0);
    this.kept.clear();
  }

  private fits(row: number): boolean {
    const known = this.kept.get(row);
    if (!known) return false;
    const needed = Math.min(this.side, Math.max(known.width, known.height));
    return Math.max(known.bitmap.width, known.bitmap.height) >= needed;
  }

  private pump(): void {
    while (this.pending.size < AT_ONCE && this.queue.length > 0 && !this.givenUp) void this.fetch(this.queue.shift()!);
  }

  private async fetch(row: number): Promise<void> {
    const controller = new AbortController();
    this.pending.set(row, controller);
    try {
      const image = await this.load(row, this.side, controller.signal);
      if (controller.signal.aborted) {
        image.bitmap.close();
        return;
      }
      this.came = true;
      this.kept.set(row, image);
    } catch {
      if (controller.signal.aborted) return;
      this.failed.add(row);
    }
    this.pending.delete(row);
    this.version += 1;
    this.pump();
    this.onChange();
  }
}

/** Fetches the image at an address, and decodes it to at most `side` pixels. */
export function loadFrom(url: (row: number) => string): LoadImage {
  return async (row, side, signal) => {
    const answer = await source().request(url(row), { signal });
    if (!answer.ok) throw new Error(`the service answered with ${answer.status}`);
    const whole = await createImageBitmap(await answer.blob());
    const { width, height } = whole;
    const longer = Math.max(width, height);
    if (longer <= side) return { bitmap: whole, width, height };
    const [resizeWidth, resizeHeight] = [width, height].map((each) => Math.max(1, Math.round((each * side) / longer)));
    const bitmap = await createImageBitmap(whole, {
      resizeWidth: resizeWidth!,
      resizeHeight: resizeHeight!,
      resizeQuality: "medium",
    });
    whole.close();
    return { bitmap, width, height };
  };
}
