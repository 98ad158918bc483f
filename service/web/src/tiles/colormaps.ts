/** Sequential colormaps as lookup tables, under the names that the API's tiles have. */

import { COLORMAPS, DIVERGING } from "./colormap-tables";

export type ColormapName = keyof typeof COLORMAPS;
export type Theme = "dark" | "light";

const TABLE_SIZE = 256;

export const DEFAULT_COLORMAP: ColormapName = "magma";

export function isColormap(name: string): name is ColormapName {
  return Object.hasOwn(COLORMAPS, name);
}

/** "#rrggbb" → [r, g, b], 0 to 255. */
export function parseHex(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** RGBA as the little-endian word that a canvas's `ImageData` holds. */
export function pack(r: number, g: number, b: number, a: number): number {
  return ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Color of a colormap at `t` in 0…1: the nearest of its 256. */
export function sample(name: ColormapName, t: number): [number, number, number] {
  const at = Math.round(Math.min(1, Math.max(0, t)) * (TABLE_SIZE - 1));
  return parseHex(`#${COLORMAPS[name].slice(6 * at, 6 * at + 6)}`);
}

/**
 * Where the smallest and the largest count lie on the colormap. The end that would vanish into the
 * page is cut off, so that a single example is seen in both themes; in light, more is darker.
 */
export function span(theme: Theme): [number, number] {
  return theme === "dark" ? [0.36, 1] : [0.7, 0.06];
}

/** 256 packed colors from below to above zero, neutral in the middle. */
export function divergingTable(theme: Theme): Uint32Array {
  const hex = DIVERGING[theme];
  return Uint32Array.from({ length: TABLE_SIZE }, (_, i) => pack(...parseHex(`#${hex.slice(6 * i, 6 * i + 6)}`), 255));
}

/** 256 packed colors from the smallest to the largest count. */
export function lookupTable(name: ColormapName, theme: Theme): Uint32Array {
  const [from, to] = span(theme);
  const table = new Uint32Array(TABLE_SIZE);
  for (let i = 0; i < TABLE_SIZE; i += 1) {
    const t = i / (TABLE_SIZE - 1);
    const [r, g, b] = sample(name, from + (to - from) * t);
    table[i] = pack(r, g, b, 255);
  }
  return table;
}
