/** Examples and thumbnails of an exported map by row, out of files with a fixed number of rows each. */

import type { Example, Neighbor } from "../api/types";
import { Lru } from "../lib/lru";
import type { Files } from "./files";

/** Neighbor of an exported example: row, distance, id, label, x, y, and its place in the grid. */
type StoredNeighbor = [number, number, string, number | null, number, number, number | null, number | null];

interface StoredExample extends Omit<Example, "row" | "class_name" | "neighbors"> {
  neighbors: StoredNeighbor[];
}

export interface RowFacts {
  /** Rows in a file. */
  examples_per_file: number;
  thumbnails_per_file: number;
  /** Names of the classes, by label. */
  classes: readonly string[];
}

const FILES_PER_FOLDER = 1000;
const CACHED_FILES = 64;

/** Path of the file that holds a row. */
export function rowFile(kind: "examples" | "thumbnails", row: number, perFile: number): string {
  const n = Math.floor(row / perFile);
  return `data/${kind}/${Math.floor(n / FILES_PER_FOLDER)}/${n}.${kind === "examples" ? "json" : "bin"}`;
}

/** Path of the full image of a row. */
export function imageFile(row: number): string {
  return `data/images/${Math.floor(row / FILES_PER_FOLDER)}/${row}.bin`;
}

/** Bytes of the i-th image of a file: one more uint32 offset than there are images, then the images; null: none. */
export function imageIn(file: ArrayBuffer, i: number): ArrayBuffer | null {
  const view = new DataView(file);
  const [from, to] = [view.getUint32(4 * i, true), view.getUint32(4 * i + 4, true)];
  return to > from ? file.slice(from, to) : null;
}

export class ExportedRows {
  private readonly read = new Lru<string, Promise<ArrayBuffer>>(CACHED_FILES);

  constructor(
    private readonly files: Files,
    private readonly facts: RowFacts,
  ) {}

  async example(row: number): Promise<Example> {
    const perFile = this.facts.examples_per_file;
    const bytes = await this.file(rowFile("examples", row, perFile));
    const stored: StoredExample[] = JSON.parse(new TextDecoder().decode(bytes));
    const { neighbors, ...example } = stored[row % perFile]!;
    return {
      row,
      ...example,
      class_name: this.className(example.label),
      neighbors: neighbors.map((each) => this.neighbor(each)),
    };
  }

  /** The thumbnail of a row; null: it has none. */
  async thumbnail(row: number): Promise<ArrayBuffer | null> {
    const perFile = this.facts.thumbnails_per_file;
    return imageIn(await this.file(rowFile("thumbnails", row, perFile)), row % perFile);
  }

  private neighbor([row, distance, example_id, label, x, y, grid_x, grid_y]: StoredNeighbor): Neighbor {
    return { row, example_id, label, class_name: this.className(label), distance, x, y, grid_x, grid_y };
  }

  private className(label: number | null): string | null {
    return label === null ? null : (this.facts.classes[label] ?? null);
  }

  private file(path: string): Promise<ArrayBuffer> {
    const known = this.read.get(path);
    if (known !== undefined) return known;
    const load = this.files.whole(path);
    this.read.set(path, load);
    load.catch(() => this.read.delete(path));
    return load;
  }
}
