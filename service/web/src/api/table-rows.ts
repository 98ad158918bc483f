/** Whole tables of an artifact, read page by page. */

import { getRows } from "./client";
import type { Manifest } from "./types";

const PAGE = 100;
/** Rows of one table that are read at most: what can be told apart in a chart. */
export const MOST_ROWS = 6000;

/** Rows of one table, in its order; none where the artifact has no such table. */
export async function tableRows<V>(
  manifest: Manifest,
  kind: string,
  columns: readonly string[],
  signal: AbortSignal,
): Promise<V[]> {
  if (!manifest.files.some((file) => file.kind === kind)) return [];
  const page = (offset: number) => getRows<V>(manifest.job_id, kind, { offset, limit: PAGE, columns }, signal);
  const first = await page(0);
  const last = Math.min(first.total, MOST_ROWS);
  const offsets = Array.from({ length: Math.max(0, Math.ceil(last / PAGE) - 1) }, (_, i) => (i + 1) * PAGE);
  const rest: V[] = [];
  for (let at = 0; at < offsets.length; at += 6) {
    const pages = await Promise.all(offsets.slice(at, at + 6).map(page));
    rest.push(...pages.flatMap((each) => each.rows.map((row) => row.values)));
  }
  return [...first.rows.map((row) => row.values), ...rest];
}
