/** The JSON of the HTTP API, as far as the viewer reads it. */

export type Status = "PENDING" | "RUNNING" | "SUCCEEDED" | "FAILED" | "STOPPED";

export interface Progress {
  attempt: number;
  sequence: number;
  stage: string;
  done: number;
  total: number;
  errors: number;
  message: string;
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
  legend: { kind: LayerKind; classes: LegendClass[]; count_max: number[] };
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
  /** What the dataset knows of the example beside its label. Hostile text. */
  attributes: Record<string, string | number>;
  neighbors: Neighbor[];
}

export interface ExampleMatch {
  row: number;
  example_id: string;
  class_name: string | null;
}

const TERMINAL: ReadonlySet<Status> = new Set<Status>(["SUCCEEDED", "FAILED", "STOPPED"]);

/** Whether the status will never change again. */
export function isTerminal(status: Status): boolean {
  return TERMINAL.has(status);
}
