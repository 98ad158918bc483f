/** The JSON of the HTTP API, as far as the viewer reads it. */

export type Status = "PENDING" | "RUNNING" | "SUCCEEDED" | "FAILED" | "STOPPED";

/** How a training has gone: an entry per epoch, or evenly spread ones; null where a figure is no finite number. */
export interface Curve {
  /** From 1. */
  epoch: readonly number[];
  /** Nats. */
  loss: readonly (number | null)[];
  validation_loss: readonly (number | null)[];
  /** Fraction. */
  validation_accuracy: readonly (number | null)[];
}

export interface Progress {
  attempt: number;
  sequence: number;
  stage: string;
  done: number;
  total: number;
  errors: number;
  message: string;
  /** Empty unless the job is a training. */
  curve?: Curve;
  /** Unix time, seconds. */
  updated_at: number;
}

export interface Reason {
  code: string;
  message: string;
  detail?: Record<string, unknown>;
}

export interface Job {
  id: string;
  job: string;
  title: string | null;
  status: Status;
  spec: Record<string, unknown>;
  /** Field of the spec → job id. */
  inputs: Record<string, string>;
  attempt: number;
  reason: Reason | null;
  progress: Progress | null;
  rows: number | null;
  error_rows: number | null;
  /** The job that computed the artifact, where it was an earlier one. */
  reused_from?: string | null;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
}

export interface JobPage {
  jobs: Job[];
  total: number;
}

export interface ArtifactRef {
  path: string;
  kind: string;
  size_bytes: number;
  sha256: string;
  rows: number | null;
}

export interface LegendClass {
  index: number;
  name: string;
  color: string;
  count: number;
}

export type LayerKind = "density" | "category" | "pictures";

export interface ColorLayer {
  name: string;
  title: string;
  path: string;
  media_type: string;
  min_zoom: number;
  max_zoom: number;
  legend: {
    kind: LayerKind;
    classes: LegendClass[];
    count_max: number[];
    /** How many pictures stand for several examples each, per zoom level; absent or empty: none does. */
    icons?: number[];
    /** Cells along a side of the map, per zoom level, where pictures stand for cells. */
    grids?: number[];
  };
  /** Examples that are drawn, per zoom level. */
  drawn: number[];
}

export interface MapInfo {
  tile_px: number;
  max_zoom: number;
  bounds: [number, number, number, number];
  examples: number;
  has_labels: boolean;
  classes: string[];
  layers: ColorLayer[];
  points: string;
  points_zoom: number;
  embedding: string;
  features: string;
  /** Where every point is a step of an example: what a step is. */
  step_unit?: "row" | "view" | "word" | null;
}

/** Files of the dataset that are no examples. */
export interface PassedOverFiles {
  files: number;
  /** `a HEIC picture: what can be done`, how many, and the paths of the first ones. */
  reasons: { reason: string; count: number; names: string[] }[];
}

export interface Manifest {
  job_id: string;
  job: string;
  attempt: number;
  spec: Record<string, unknown>;
  seed: number;
  inputs: Record<string, string>;
  created_at: string;
  versions: Record<string, string>;
  files: ArtifactRef[];
  rows: number;
  error_rows: number;
  passed_over: PassedOverFiles;
  timings_seconds: Record<string, number>;
  details: Record<string, unknown>;
}

export interface Neighbor {
  row: number;
  example_id: string;
  label: number | null;
  class_name: string | null;
  distance: number;
  /** Unit square, y down. */
  x: number;
  y: number;
}

export interface Example {
  row: number;
  example_id: string;
  label: number | null;
  class_name: string | null;
  /** Unit square, y down. */
  x: number;
  y: number;
  /** Pixels of the picture as it was read. */
  width: number;
  height: number;
  /** What is known of the example beside its label; of a described picture also the words. Hostile text. */
  attributes: Record<string, string | number | string[]>;
  neighbors: Neighbor[];
}

export interface ExampleMatch {
  row: number;
  example_id: string;
  class_name: string | null;
  /** Where the example was found by what is said of it. */
  caption?: string;
}

/** A picture or video in a row of an artifact. */
export interface Picture {
  url: string;
  media_type: string;
}

/** A row of an artifact's tables, with its number over all files of the kind. */
export interface Row<V> {
  row: number;
  values: V;
}

/** A column of an artifact's tables, or a field of the records in one. */
export interface ColumnInfo {
  name: string;
  type: string;
  unit: string;
  description: string;
  given: boolean;
}

export interface RowPage<V> {
  total: number;
  offset: number;
  columns: ColumnInfo[];
  rows: Row<V>[];
}

export interface DatasetCard {
  name: string;
  gives: string;
}

export interface ModelCard {
  name: string;
  reads: string;
  gives: string;
  sequence: boolean;
  recurrent: boolean;
  layers: string[];
  default_layer: string;
  /** Where dreams are made; absent or null: no good place is known. */
  dream_layer?: string | null;
  weights: { source: string } | null;
}

export interface Catalog {
  datasets: DatasetCard[];
  models: ModelCard[];
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
