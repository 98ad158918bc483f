/** Calls of the selections of a map. */

import type { SelectionQuery } from "../map/selection-query";
import { getJson, postForBlob, postJson, putJson, remove } from "./client";
import type { SavedSelection, SelectionCount, SelectionSummary } from "./types";

const id = encodeURIComponent;

function path(map: string, name?: string): string {
  const base = `/v1/maps/${id(map)}/selections`;
  return name === undefined ? base : `${base}/${id(name)}`;
}

/** Counts of all that is selected, and the ends of its contact sheet. */
export function summarize(map: string, query: SelectionQuery, signal: AbortSignal): Promise<SelectionSummary> {
  return postJson<SelectionSummary>(path(map), query, signal);
}

/** How many of how many are selected. */
export function countSelected(map: string, query: SelectionQuery, signal: AbortSignal): Promise<SelectionCount> {
  return postJson<SelectionCount>(`${path(map)}/count`, query, signal);
}

/** Positions of the selected points, at most 100,000 of them; packed. */
export async function getMarks(
  map: string,
  query: SelectionQuery,
  arrangement: string,
  signal: AbortSignal,
): Promise<ArrayBuffer> {
  return (await postForBlob(`${path(map)}/marks?arrangement=${id(arrangement)}`, query, signal)).arrayBuffer();
}

export async function listSelections(map: string, signal?: AbortSignal): Promise<SavedSelection[]> {
  return (await getJson<{ selections: SavedSelection[] }>(path(map), signal)).selections;
}

/** Saves a selection; an `ApiError` where the name is taken, unless that is to be replaced. */
export function saveSelection(map: string, name: string, query: SelectionQuery, replace: boolean) {
  return putJson<SavedSelection>(`${path(map, name)}${replace ? "?replace=true" : ""}`, query);
}

export function deleteSelection(map: string, name: string): Promise<void> {
  return remove(path(map, name));
}

/** Address of the table of a saved selection. */
export function selectionExportUrl(map: string, name: string, format: "csv" | "parquet"): string {
  return `${path(map, name)}/export?format=${format}`;
}

/** The table of a selection that is not saved. */
export function exportSelection(map: string, query: SelectionQuery, format: "csv" | "parquet"): Promise<Blob> {
  return postForBlob(`${path(map)}/export?format=${format}`, query);
}
