/** Numbers and times as people read them. */

/** Between facts on one line; the thin spaces give the dot room. */
const BETWEEN = "\u2009 · \u2009";

/** Joins the facts that there are. */
export function joined(...facts: (string | false | null | undefined)[]): string {
  return facts.filter(Boolean).join(BETWEEN);
}

const COUNT = new Intl.NumberFormat("en-US");

/** 1797 → "1,797". */
export function formatCount(value: number): string {
  return COUNT.format(value);
}

/** A noun with its count: (1, "image") → "1 image"; `many` where it is not the noun with an s. */
export function plural(value: number, noun: string, many = `${noun}s`): string {
  return `${formatCount(value)} ${value === 1 ? noun : many}`;
}

/** Seconds → "0.4 s", "42 s", "3 min 20 s", "2 h 5 min". */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) {
    const rest = whole % 60;
    return `${Math.floor(whole / 60)} min${rest ? ` ${rest} s` : ""}`;
  }
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/** Time left, rounded so that it does not flicker: "about 40 s left". */
export function formatEta(seconds: number): string {
  if (seconds < 4) return "a few seconds left";
  const step = seconds < 60 ? 5 : seconds < 600 ? 30 : 300;
  return `about ${formatDuration(Math.max(step, Math.round(seconds / step) * step))} left`;
}

/** Bytes → "812 B", "1.2 MB" (decimal). */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** "just now", "4 min ago", "yesterday", or the date. */
export function formatAgo(iso: string, now: number): string {
  const seconds = (now - Date.parse(iso)) / 1000;
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 45) return "just now";
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds < 86_400) return `${Math.round(seconds / 3600)} h ago`;
  if (seconds < 172_800) return "yesterday";
  return new Date(iso).toISOString().slice(0, 10);
}

/** Seconds between two instants, the second defaulting to `now`; null where it never began. */
export function elapsedSeconds(start: string | null, end: string | null, now: number): number | null {
  if (!start) return null;
  return Math.max(0, ((end ? Date.parse(end) : now) - Date.parse(start)) / 1000);
}

const NUMBER = new Intl.NumberFormat("en-US", { useGrouping: "min2", maximumFractionDigits: 12 });

/** A number that may be a year, so that four digits stand together: 1984 → "1984", 12345 → "12,345". */
export function formatNumber(value: number): string {
  return NUMBER.format(value || 0);
}

/** A measured value with three significant figures: 0.98312 → "0.983", 0.00000515 → "5.15e-6". */
export function formatFigure(value: number): string {
  const figure = Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3));
  if (figure !== 0 && Math.abs(figure) < 1e-4) return figure.toExponential().replace("e+", "e");
  return formatNumber(figure);
}

const ABBREVIATIONS: Record<string, string> = { kl: "KL", knn: "kNN", pca: "PCA" };

/** "knn_label_accuracy" → "kNN label accuracy". */
export function humanize(name: string): string {
  return name
    .split("_")
    .map((word) => ABBREVIATIONS[word] ?? word)
    .join(" ");
}

/** The value of an attribute: numbers with at most two decimals. */
export function attributeValue(value: string | number): string {
  return typeof value === "number" ? String(Math.round(value * 100) / 100) : value;
}
