/** Which names of classes and clusters have room, and how large they are: a matter of the zoom alone, so that panning moves none. */

/** A name on the map, as `data/names.json` has it; its text is hostile. */
export interface MapName {
  text: string;
  /** Unit square, y down. */
  x: number;
  y: number;
  /** Examples that it stands for there. */
  count: number;
  kind: NameKind;
  /** Index of the class, or the value of the attribute `cluster`. */
  key: number | string;
}

export type NameKind = "class" | "cluster";

/** Names from a zoom on, of each kind by falling count. */
export interface NameBand {
  zoom: number;
  names: MapName[];
}

/** By arrangement. */
export type NameBands = Record<string, NameBand[]>;

export interface PlacedName {
  name: MapName;
  /** Size of the letters, in pixels. */
  size: number;
}

const SMALLEST_PX = 12;
const LARGEST_PX = 22;
/** Widest name, as the style sheet has it. */
export const WIDEST_PX = 220;
const GAP_PX = 6;
/** Between two places of one class or cluster. */
const APART_PX = 260;
const TILE_PX = 512;

/** The band of a view zoom: tiles of a band are about half to one and a half times as large as they are. */
export function bandAt(bands: readonly NameBand[], zoom: number): NameBand | null {
  const wanted = Math.max(0, Math.round(zoom));
  return bands.findLast((band) => band.zoom <= wanted) ?? bands[0] ?? null;
}

/** Size of the letters: their area grows with the count. */
export function sizeOf(count: number, largest: number): number {
  return SMALLEST_PX + (LARGEST_PX - SMALLEST_PX) * Math.sqrt(count / Math.max(1, largest));
}

/**
 * Those of the names that have room, the ones of larger counts first.
 *
 * @param zoom of the view
 * @param widthOf width of a text in pixels, by the size of its letters
 */
export function layOut(
  names: readonly MapName[],
  zoom: number,
  widthOf: (text: string, size: number) => number,
): PlacedName[] {
  const scale = TILE_PX * 2 ** zoom;
  const ordered = names.toSorted((a, b) => b.count - a.count);
  const largest = ordered[0]?.count ?? 1;
  const chosen: (PlacedName & { x: number; y: number; width: number; height: number })[] = [];
  for (const name of ordered) {
    const size = sizeOf(name.count, largest);
    const width = Math.min(WIDEST_PX, widthOf(name.text, size)) + GAP_PX;
    const box = { name, size, x: name.x * scale, y: name.y * scale, width, height: 1.35 * size + GAP_PX };
    const hasRoom = chosen.every((other) => {
      const [dx, dy] = [Math.abs(box.x - other.x), Math.abs(box.y - other.y)];
      const same = name.key === other.name.key && name.kind === other.name.kind;
      if (same && Math.hypot(dx, dy) < APART_PX) return false;
      return 2 * dx >= box.width + other.width || 2 * dy >= box.height + other.height;
    });
    if (hasRoom) chosen.push(box);
  }
  return chosen.map(({ name, size }) => ({ name, size }));
}
