/** Jobs, manifests, maps and examples as the API gives them; a test names only what it is about. */

import type {
  CollectionCard,
  ColorLayer,
  Example,
  Job,
  LayerKind,
  Manifest,
  MapInfo,
  ModelCard,
  Neighbor,
  Progress,
} from "../../src/api/types";

export function job(change: Partial<Job> = {}): Job {
  const id = change.id ?? "features-0123456789ab";
  return {
    id,
    job: id.split("-")[0]!,
    title: null,
    status: "SUCCEEDED",
    spec: {},
    inputs: {},
    attempt: 1,
    reason: null,
    progress: null,
    rows: null,
    error_rows: null,
    reused_from: null,
    dataset: "",
    model: "",
    size_bytes: null,
    created_at: "2026-11-22T12:00:00Z",
    started_at: null,
    ended_at: null,
    ...change,
  };
}

export function progress(change: Partial<Progress> = {}): Progress {
  return {
    attempt: 1,
    sequence: 1,
    stage: "extract",
    done: 0,
    total: 0,
    errors: 0,
    message: "",
    curve: { epoch: [], loss: [], validation_loss: [], validation_accuracy: [] },
    updated_at: 0,
    ...change,
  };
}

export function manifest(change: Partial<Manifest> = {}): Manifest {
  return {
    schema_version: 1,
    job_id: "features-0123456789ab",
    job: "features",
    attempt: 1,
    spec: {},
    seed: 0,
    inputs: {},
    created_at: "2026-11-22T12:00:00Z",
    versions: {},
    files: [],
    rows: 0,
    error_rows: 0,
    passed_over: { files: 0, reasons: [] },
    timings_seconds: {},
    details: {},
    reused_from: null,
    ...change,
  };
}

export function layer(kind: LayerKind, names: readonly string[] = [], change: Partial<ColorLayer> = {}): ColorLayer {
  const classes = names.map((name, index) => ({
    index,
    name,
    color: `#0000${index}${index}`,
    count: 10 * (index + 1),
  }));
  return {
    name: kind,
    title: kind[0]!.toUpperCase() + kind.slice(1),
    path: `data/${kind}.pmtiles`,
    media_type: "image/png",
    min_zoom: 0,
    max_zoom: 3,
    legend: { kind, classes, count_max: [100, 50, 20, 5], icons: [], grids: [], value: null },
    drawn: [100, 100, 100, 100],
    ...change,
  };
}

export function map(change: Partial<MapInfo> = {}): MapInfo {
  return {
    tile_px: 512,
    max_zoom: 3,
    bounds: [0, 0, 1, 1],
    examples: 100,
    has_labels: true,
    classes: ["cat", "dog"],
    layers: [layer("density"), layer("category", ["cat", "dog"])],
    points: "data/points.pmtiles",
    points_zoom: 0,
    embedding: "embedding-1",
    features: "features-1",
    step_unit: null,
    captions: null,
    attributes: [],
    background: null,
    names: null,
    text: null,
    arrangements: [],
    ...change,
  };
}

/** A network that classifies images. */
export function modelCard(change: Partial<ModelCard> = {}): ModelCard {
  return {
    name: "lenet",
    title: "LeNet-5",
    summary: "",
    paper: "",
    reads: "images",
    gives: "classes",
    sequence: false,
    family: null,
    layers: [],
    default_layer: "fc",
    default_pooling: "mean",
    weights: null,
    n_classes: 10,
    trainer: null,
    dream_layer: null,
    weights_in: "file",
    options: {},
    ...change,
  };
}

export function collectionCard(change: Partial<CollectionCard> = {}): CollectionCard {
  return {
    name: "timm",
    title: "timm",
    summary: "",
    reads: "images",
    gives: "classes",
    family: null,
    trainer: null,
    weights_in: "file",
    options: {},
    package: "timm",
    ...change,
  };
}

/** Weights, wherever they are from. */
export function weights(source: "package" | "download"): NonNullable<ModelCard["weights"]> {
  return { name: "ImageNet-1k", source, license: "Apache-2.0", sha256: null, url: null };
}

export function neighbor(row: number, change: Partial<Neighbor> = {}): Neighbor {
  return {
    row,
    example_id: `example-${row}`,
    label: 0,
    class_name: "cat",
    distance: row / 10,
    x: 0.5,
    y: 0.5,
    grid_x: null,
    grid_y: null,
    ...change,
  };
}

export function example(change: Partial<Example> = {}): Example {
  return {
    row: 7,
    example_id: "photos/cat.jpg",
    label: 0,
    class_name: "cat",
    x: 0.25,
    y: 0.5,
    grid_x: null,
    grid_y: null,
    width: 640,
    height: 480,
    attributes: {},
    neighbors: [],
    ...change,
  };
}
