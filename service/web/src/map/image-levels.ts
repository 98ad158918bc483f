/** Which level of the image tiles a view is drawn from, so that many images are seen and none is too small. */

/** Tiles that are drawn at once; 1 MiB each when decoded. */
export const MOST_TILES = 64;
/** Sizes that can be chosen: each doubles the least side of an image, or halves it. */
export const SIZES = [-1, 0, 1, 2] as const;

const LEAST_PX = 12;
const COMFORTABLE_PX = 20;
const ACROSS = 32;
const DENSEST = 1.5;

/** How small an image may be drawn, in CSS pixels. */
export interface Least {
  /** Where a level leaves some images out: they are to be looked at. */
  side: number;
  /** On the level that has every image: less, so that none is missed. */
  ofAll: number;
}

/**
 * The least sides on a screen: 20 where the screen is large, down to 12 on a phone; on dense screens
 * less, where the same image has more pixels.
 */
export function leastSide(shorter: number, pixelRatio: number, size: number): Least {
  const side = Math.min(COMFORTABLE_PX, Math.max(LEAST_PX, shorter / ACROSS));
  const by = 2 ** size / Math.min(DENSEST, Math.sqrt(Math.max(1, pixelRatio)));
  // Who asks for larger images wants those, not all.
  return { side: side * by, ofAll: size > 0 ? side * by : LEAST_PX * by };
}

/** A part of the unit square, y down. */
export interface Part {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface TileRange {
  z: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** Columns and rows of the tiles that touch a part; none: right < left or bottom < top. */
export function tilesIn(part: Part, z: number): TileRange {
  const side = 2 ** z;
  const from = (value: number) => Math.max(0, Math.floor(value * side));
  const to = (value: number) => Math.min(side, Math.ceil(value * side)) - 1;
  return { z, left: from(part.left), top: from(part.top), right: to(part.right), bottom: to(part.bottom) };
}

export function countOf({ left, top, right, bottom }: TileRange): number {
  return Math.max(0, right - left + 1) * Math.max(0, bottom - top + 1);
}

export interface LevelFacts {
  minZoom: number;
  maxZoom: number;
  /** Side of an image's cell in pixels of a tile. */
  cellPx: number;
  /** Whether images of the deepest level lie over each other: it is only drawn at its own size. */
  overlaps: boolean;
}

/** The deepest level whose images are not too small, and whose tiles are at most `MOST_TILES`. */
export function levelFor(facts: LevelFacts, zoom: number, part: Part, least: Least): number {
  for (let z = facts.maxZoom; z > facts.minZoom; z -= 1) {
    const large = facts.cellPx * 2 ** (zoom - z) >= (z === facts.maxZoom ? least.ofAll : least.side);
    const apart = z < facts.maxZoom || !facts.overlaps || zoom - z >= -0.5;
    if (large && apart && countOf(tilesIn(part, z)) <= MOST_TILES) return z;
  }
  return facts.minZoom;
}

/** CSS pixels per pixel of a tile. */
export function scaleOf(zoom: number, z: number): number {
  return 2 ** (zoom - z);
}

/** The tiles of a range, those nearest its middle first. */
export function nearestFirst({ z, left, top, right, bottom }: TileRange): [z: number, x: number, y: number][] {
  const tiles: [number, number, number][] = [];
  for (let y = top; y <= bottom; y += 1) for (let x = left; x <= right; x += 1) tiles.push([z, x, y]);
  const [mx, my] = [(left + right) / 2, (top + bottom) / 2];
  return tiles.sort((a, b) => Math.hypot(a[1] - mx, a[2] - my) - Math.hypot(b[1] - mx, b[2] - my));
}
