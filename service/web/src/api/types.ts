/** The JSON of the HTTP API: what the service describes (schema.ts), and what its description leaves open. */

import type * as schema from "./schema";
import type { Job } from "./schema";

export type {
  Activations,
  ArtifactRef,
  Catalog,
  CatalogCollection as CollectionCard,
  CatalogDataset as DatasetCard,
  CatalogModel as ModelCard,
  ColorLayerInfo as ColorLayer,
  ColumnInfo,
  Curve,
  Deletion,
  EncodedImage as Encoded,
  Example,
  ExampleMatch,
  ExamplePage,
  FindAnswer,
  FindAttribute,
  FindFacts,
  FoundExample,
  FoundMarks,
  FoundText,
  Grid,
  Job,
  JobPage,
  LegendClass,
  Manifest,
  MapInfo,
  Neighbor,
  NetworkInfo,
  Output,
  PassedOverFiles,
  Progress,
  Reason,
  SavedSelection,
  SearchAnswer,
  SearchFacts,
  SearchResult,
  SelectionCount,
  SelectionSummary,
  UnitAnswer,
  ValueScale,
} from "./schema";

export type Status = schema.Job["status"];
export type LayerKind = schema.Legend["kind"];
/** Channels, height, width. */
export type Shape = schema.NetworkInfo["input"];
/** How a unit is explained. */
export type Method = schema.UnitAnswer["method"];
export type Cell = schema.UnitAnswer["cell"];

/** Which network: part of a spec, with what the entry of the catalog asks for, as `architecture` of a collection. */
export interface ModelChoice {
  name: string;
  weights: string;
  training?: string;
  [option: string]: string | undefined;
}

/** An image or video in a row of an artifact. */
export interface StoredImage {
  url: string;
  media_type: string;
}

/** A row of an artifact's tables, with the values of a kind. */
export interface Row<V> extends Omit<schema.Row, "values"> {
  values: V;
}

export interface RowPage<V> extends Omit<schema.RowPage, "rows"> {
  rows: Row<V>[];
}

/** Job types whose artifact is a map. */
const MAPS: ReadonlySet<string> = new Set(["tiles", "atlas"]);

/** Whether what the job makes is a map. */
export function isMap(job: Job): boolean {
  return MAPS.has(job.job);
}

const TERMINAL: ReadonlySet<Status> = new Set<Status>(["SUCCEEDED", "FAILED", "STOPPED"]);

/** Whether the status will never change again. */
export function isTerminal(status: Status): boolean {
  return TERMINAL.has(status);
}
