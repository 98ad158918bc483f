/** Axes: from values to pixels, and which values have a tick. */

export interface Scale {
  from: number;
  to: number;
  /** Pixels of `from` and `to`. */
  start: number;
  end: number;
}

export function at({ from, to, start, end }: Scale, value: number): number {
  return start + ((value - from) / (to - from || 1)) * (end - start);
}

/** The value at a pixel. */
export function valueAt({ from, to, start, end }: Scale, pixel: number): number {
  return from + ((pixel - start) / (end - start || 1)) * (to - from);
}

/** Round values between two ends, about `count` of them. */
export function ticks(from: number, to: number, count: number): number[] {
  const span = to - from;
  if (!(span > 0) || !Number.isFinite(span)) return [from];
  const rough = span / Math.max(1, count);
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * unit).find((size) => size >= rough * 0.999)!;
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Whole ticks only: for exponents and steps. */
export function wholeTicks(from: number, to: number, count: number): number[] {
  return ticks(from, to, Math.max(1, Math.min(count, to - from))).filter(Number.isInteger);
}

/** The smallest and largest of finite values; 0 and 1 where there are none. */
export function extent(values: Iterable<number>): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}
