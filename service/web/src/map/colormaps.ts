/**
 * Sequential colormaps as lookup tables, under the names that the API's tiles have. The stops sample
 * matplotlib's perceptually uniform maps (CC0); between stops the table is linear in sRGB.
 */

export const COLORMAPS = {
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"],
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  inferno: ["#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#f7d13d", "#fcffa4"],
  plasma: ["#0d0887", "#46039f", "#7201a8", "#9c179e", "#bd3786", "#d8576b", "#ed7953", "#fb9f3a", "#fdca26", "#f0f921"],
  cividis: ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"],
  gray: ["#1a1a1a", "#ffffff"],
} as const;

export type ColormapName = keyof typeof COLORMAPS;
export type Theme = "dark" | "light";

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

/** Color of `stops` at `t` in 0…1. */
export function sample(stops: readonly string[], t: number): [number, number, number] {
  const at = Math.min(1, Math.max(0, t)) * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  const from = parseHex(stops[low]!);
  const to = parseHex(stops[low + 1]!);
  const mix = (i: 0 | 1 | 2) => Math.round(from[i] + (to[i] - from[i]) * (at - low));
  return [mix(0), mix(1), mix(2)];
}

/**
 * Where the smallest and the largest count lie on the colormap. The end that would vanish into the
 * page is cut off, so that a single example is seen in both themes; in light, more is darker.
 */
export function span(theme: Theme): [number, number] {
  return theme === "dark" ? [0.36, 1] : [0.7, 0.06];
}

const TABLE_SIZE = 256;

/** 256 packed colors from the smallest to the largest count. */
export function lookupTable(name: ColormapName, theme: Theme): Uint32Array {
  const [from, to] = span(theme);
  const table = new Uint32Array(TABLE_SIZE);
  for (let i = 0; i < TABLE_SIZE; i += 1) {
    const t = i / (TABLE_SIZE - 1);
    const [r, g, b] = sample(COLORMAPS[name], from + (to - from) * t);
    table[i] = pack(r, g, b, 255);
  }
  return table;
}
