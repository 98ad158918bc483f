/** Places of the examples of several maps, for one map that becomes the next. At most 100,000 examples are given. */

import { getBlob } from "../api/client";

const NOTHING = -1;

export interface Moves {
  count: number;
  /** Rows in the first map. */
  rows: Uint32Array;
  /** Index of the class; `NOTHING`: no label. */
  labels: Int32Array;
  /** Of each map x and y in the unit square; not a number where it does not have the example. */
  places: readonly { x: Float32Array; y: Float32Array }[];
}

/** Reads moves between `maps` maps: uint32 n, uint32 row[n], int32 label[n], then of each map float32 x[n], y[n]. */
export function parseMoves(buffer: ArrayBuffer, maps: number): Moves {
  const count = buffer.byteLength >= 4 ? new DataView(buffer).getUint32(0, true) : NOTHING;
  if (count < 0 || buffer.byteLength !== 4 + 4 * count * (2 + 2 * maps)) {
    throw new RangeError(`${buffer.byteLength} bytes cannot hold ${count} moves between ${maps} maps`);
  }
  const at = (column: number) => 4 + 4 * column * count;
  const floats = (column: number) => new Float32Array(buffer, at(column), count);
  return {
    count,
    rows: new Uint32Array(buffer, at(0), count),
    labels: new Int32Array(buffer, at(1), count),
    places: Array.from({ length: maps }, (_, i) => ({ x: floats(2 + 2 * i), y: floats(3 + 2 * i) })),
  };
}

/** Moves of the examples of the first map to the others, in order. */
export async function getMoves(maps: readonly string[], signal: AbortSignal): Promise<Moves> {
  const [first, ...others] = maps.map(encodeURIComponent);
  const blob = await getBlob(`/v1/maps/${first}/moves?${others.map((id) => `to=${id}`).join("&")}`, signal);
  return parseMoves(await blob.arrayBuffer(), maps.length);
}

/** Where all examples are at a moment: at 1.25 a quarter of the way from the second map to the third. */
export interface Moment {
  x: Float32Array;
  y: Float32Array;
  /** 0 to 1: an example that one of the two maps does not have fades. */
  shown: Float32Array;
}

export function emptyMoment(count: number): Moment {
  return { x: new Float32Array(count), y: new Float32Array(count), shown: new Float32Array(count) };
}

/** Fills in the moment; how many examples are seen at all. */
export function moveTo(moves: Moves, at: number, out: Moment): number {
  const from = Math.max(0, Math.min(moves.places.length - 2, Math.floor(at)));
  const part = at - from;
  const [a, b] = [moves.places[from]!, moves.places[from + 1]!];
  let seen = 0;
  for (let i = 0; i < moves.count; i += 1) {
    const [ax, bx] = [a.x[i]!, b.x[i]!];
    const [here, there] = [!Number.isNaN(ax), !Number.isNaN(bx)];
    out.x[i] = here && there ? ax + (bx - ax) * part : here ? ax : bx;
    out.y[i] = here && there ? a.y[i]! + (b.y[i]! - a.y[i]!) * part : here ? a.y[i]! : b.y[i]!;
    const shown = (here ? 1 - part : 0) + (there ? part : 0);
    out.shown[i] = shown;
    if (shown > 0) seen += 1;
  }
  return seen;
}

/** The example that is seen nearest to a place, within a distance; -1: there is none. */
export function nearestAt(moment: Moment, x: number, y: number, reach: number): number {
  let [found, least] = [NOTHING, reach];
  for (let i = 0; i < moment.x.length; i += 1) {
    if (moment.shown[i]! < 0.5) continue;
    const distance = Math.hypot(moment.x[i]! - x, moment.y[i]! - y);
    if (distance <= least) [found, least] = [i, distance];
  }
  return found;
}
