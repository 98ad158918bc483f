/** Tiles of images: fetched a few at once, those out of sight cancelled, the least recently drawn forgotten. */

import type { Archive } from "../api/source";
import { Lru } from "../lib/lru";
import { decodeImage } from "../tiles/archive";
import { WORLD } from "./grid";
import { MaskedTile } from "./masked-tile";
import { placedImages } from "./webp";

/** Decoded tiles that are kept, each of 1 MiB; half as much again where classes are hidden. */
const KEPT_TILES = 96;
const AT_ONCE = 8;

export type Coordinate = [z: number, x: number, y: number];

/** A tile; null: the archive has none there, or it could not be loaded. */
interface Loaded {
  tile: MaskedTile | null;
}

export class ImageTiles {
  private readonly kept = new Lru<string, Loaded>(
    KEPT_TILES,
    () => 1,
    ({ tile }) => tile?.close(),
  );
  private readonly pending = new Map<string, AbortController>();
  private queue: Coordinate[] = [];

  constructor(
    private readonly archive: Archive,
    private readonly mediaType: string,
    private readonly onChange: () => void,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** undefined: not loaded yet. */
  get([z, x, y]: Coordinate): MaskedTile | null | undefined {
    return this.kept.get(`${z}/${x}/${y}`)?.tile;
  }

  get loading(): boolean {
    return this.pending.size > 0 || this.queue.length > 0;
  }

  /** Fetches these in this order; what else is under way is cancelled. */
  want(tiles: readonly Coordinate[]): void {
    const wanted = new Set(tiles.map((each) => each.join("/")));
    for (const [key, controller] of this.pending) {
      if (wanted.has(key)) continue;
      controller.abort();
      this.pending.delete(key);
    }
    this.queue = tiles.filter((each) => this.get(each) === undefined && !this.pending.has(each.join("/")));
    this.pump();
  }

  destroy(): void {
    this.want([]);
    this.kept.clear();
  }

  private pump(): void {
    while (this.pending.size < AT_ONCE && this.queue.length > 0) void this.load(this.queue.shift()!);
  }

  private async load([z, x, y]: Coordinate): Promise<void> {
    const key = `${z}/${x}/${y}`;
    const controller = new AbortController();
    const { signal } = controller;
    this.pending.set(key, controller);
    let tile: MaskedTile | null = null;
    try {
      const bytes = await this.archive.tile(z, x, y, signal);
      if (bytes) tile = new MaskedTile(await decodeImage(bytes, this.mediaType), placedImages(bytes, WORLD));
    } catch (error) {
      if (!signal.aborted) this.onError(error);
    }
    if (signal.aborted) {
      tile?.close();
      return;
    }
    this.pending.delete(key);
    this.kept.set(key, { tile });
    this.pump();
    this.onChange();
  }
}
