/** What the manifest and the tables of a `dynamics` job say. */

import type { Manifest } from "../api/types";

export interface NetworkInfo {
  network: string;
  field: string;
  model: string;
  training: string | null;
  cell: string;
  layers: number;
  hidden_units: number;
  bidirectional: boolean;
}

export interface MatrixInfo {
  network: string;
  layer: string | null;
  matrix: string;
  spectral_radius: number | null;
  largest_singular_value: number;
  condition: number | null;
}

export interface GradientInfo {
  network: string;
  layer: string;
  path: string;
  factor_per_step: number | null;
  distance: number;
  log10_norm: number | null;
}

export interface RadiusInfo {
  network: string;
  layer: string;
  median: number;
  largest: number;
  above_one_fraction: number;
}

export interface GateInfo {
  network: string;
  layer: string;
  gate: string;
  low: number;
  high: number;
  mean: number;
}

export interface ParameterInfo {
  network: string;
  batches: number;
  clipped: number;
  median_norm: number | null;
  largest_norm: number | null;
}

/** The headlines of the manifest. */
export interface Headlines {
  networks: NetworkInfo[];
  matrices: MatrixInfo[];
  gradients: GradientInfo[];
  jacobian_radii: RadiusInfo[];
  gates: GateInfo[];
  parameter_gradients: ParameterInfo[];
  left_out: Record<string, string>;
  clip_norm: number;
  examples: number;
  steps: number;
}

export function headlines(manifest: Manifest): Headlines {
  return manifest.details as unknown as Headlines;
}

interface Placed {
  network: string;
  layer: string | null;
}

export interface Eigenvalues extends Placed {
  eigenvalues_real: number[] | null;
  eigenvalues_imaginary: number[] | null;
}

export interface Spectrum extends Eigenvalues {
  matrix: string;
}

export interface Power extends Placed {
  matrix: string;
  power: number;
  log10_norm: number | null;
  log10_largest: number | null;
}

export interface GradientNorm extends Placed {
  path: string;
  distance: number;
  log10_mean: number;
  log10_low: number;
  log10_high: number;
}

export interface Saturation extends Placed {
  gate: string;
  unit: number;
  low: number;
  high: number;
}

export interface Clipped {
  network: string;
  batch: number;
  norm: number;
  clipped_norm: number;
}

/** Rows by what `name` calls them, in the order of their first. */
export function grouped<V>(rows: readonly V[], name: (row: V) => string): Map<string, V[]> {
  const groups = new Map<string, V[]>();
  for (const row of rows) {
    const key = name(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

/** Values by a whole number, from 0 on; NaN where a row is missing or has none. */
export function series<V>(rows: readonly V[], place: (row: V) => number, value: (row: V) => number | null): number[] {
  const found: number[] = [];
  for (const row of rows) found[place(row)] = value(row) ?? Number.NaN;
  return Array.from(found, (each) => each ?? Number.NaN);
}
