/** The scale of a value layer: its range in steps of the tiles, ticks, and values in words. */

import type { ValueScale } from "../api/types";
import { ticks } from "../charts/scale";
import { formatCount, formatFigure, formatNumber } from "../lib/format";
import { STEPS } from "../tiles/paint-value";

export type Range = readonly [low: number, high: number];

const DAY = 86_400;
const YEAR = 365.25 * DAY;

/** The range that is shown: the one asked for, kept within what the tiles tell apart; else the scale's own. */
export function shownRange(scale: ValueScale, asked: Range | null): Range {
  if (!asked) return scale.range;
  const [start, end] = limits(scale);
  const inside = (value: number) => Math.min(end, Math.max(start, value));
  const [low, high] = [inside(asked[0]), inside(asked[1])];
  return low < high ? [low, high] : scale.range;
}

/** The least and the largest end that a range can have. */
export function limits({ encoded, range }: ValueScale): Range {
  return [Math.min(encoded[0], range[0]), Math.max(encoded[1], range[1])];
}

/** The step of a value, which may lie beyond what is encoded. */
export function stepOf({ encoded: [start, end] }: ValueScale, value: number): number {
  return end > start ? ((value - start) / (end - start)) * STEPS : 0;
}

/** A number with as many digits as its neighbors need, or a date. */
export function valueText(scale: ValueScale, value: number, span: number): string {
  if (scale.type === "time") return timeText(value, span);
  const digits = span > 0 ? Math.max(0, Math.min(12, 2 - Math.floor(Math.log10(span)))) : 3;
  if (Math.abs(value) >= 1e6) return formatFigure(value);
  // Where the whole bar is that small its values are told apart by their exponent; else such a value is zero.
  return digits > 4 ? formatFigure(value) : formatNumber(Number(value.toFixed(digits)));
}

/** A time in UTC: the date where days count, else the time of the day too. */
function timeText(seconds: number, span: number): string {
  const date = new Date(1000 * seconds);
  if (Number.isNaN(date.getTime())) return "–";
  const iso = date.toISOString();
  const year = seconds < -62_135_596_800 ? iso : iso.slice(0, 10);
  if (span >= 12 * YEAR) return iso.slice(0, 4);
  return span >= 3 * DAY ? year : `${year} ${iso.slice(11, span >= 600 ? 16 : 19)}`;
}

export interface Tick {
  value: number;
  text: string;
  /** 0…1 along the bar. */
  at: number;
}

/** Round numbers along the bar; of times the ends and the middle. */
export function valueTicks(scale: ValueScale, [low, high]: Range): Tick[] {
  const span = high - low;
  const tick = (value: number) => ({
    value,
    text: valueText(scale, value, span),
    at: span > 0 ? (value - low) / span : 0.5,
  });
  if (!(span > 0)) return [tick(low)];
  const values = scale.type === "time" ? [low, low + span / 2, high] : ticks(low, high, 4);
  return values.map(tick);
}

/** The unit, or the zone of times. */
export function unitText(scale: ValueScale): string {
  return scale.type === "time" ? "UTC" : scale.unit;
}

/** What the colors do not show: values beyond the range, and examples without one. */
export function beyondText({ below, above, missing }: ValueScale, isOwnRange: boolean): string {
  const beyond = isOwnRange ? below + above : 0;
  const parts = [
    beyond > 0 && `${formatCount(beyond)} beyond the ends have the color of the end`,
    missing > 0 && `${formatCount(missing)} without a value are not drawn`,
  ].filter(Boolean);
  return parts.length > 0 ? `${parts.join("; ")}.` : "";
}

/** The bar in one sentence, for who does not see it. */
export function barText(scale: ValueScale, [low, high]: Range): string {
  const say = (value: number) => valueText(scale, value, high - low);
  const unit = unitText(scale);
  const middle = scale.diverging && low < 0 && high > 0 ? ", neutral at zero" : "";
  return `Colors from ${say(low)} to ${say(high)}${unit ? ` ${unit}` : ""}${middle}`;
}
