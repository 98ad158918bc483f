/** Fractions as people read them. */

/** A fraction as people read it: 0.9731 → "97.3 %", 0.00004 → "less than 0.1 %". */
export function percent(fraction: number | null): string {
  if (fraction === null) return "";
  return fraction > 0 && fraction < 0.001 ? "less than 0.1 %" : `${Number((100 * fraction).toFixed(1))} %`;
}
