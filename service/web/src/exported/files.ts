/** Files of an exported map, in the forms that an export has; paths are relative to the page. */

import { type Source as Bytes, zxyToTileId } from "pmtiles";
import type { Archive } from "../api/source";
import { Lru } from "../lib/lru";
import { archiveAt } from "../tiles/archive";

export interface Files {
  /** A whole file; an error where it cannot be read. */
  whole(path: string): Promise<ArrayBuffer>;
  archive(path: string): Archive;
}

async function fetched(path: string): Promise<ArrayBuffer> {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: the host answers with ${answer.status}`);
  return answer.arrayBuffer();
}

const NO_RANGES = "this host answers no range requests; a map exported with --xyz needs none";

/** On a host that answers range requests: archives as they are. */
export const rangeFiles: Files = {
  whole: fetched,
  archive(path) {
    const archive = archiveAt(new URL(path, document.baseURI).href);
    return {
      tile: (z, x, y, signal) =>
        archive.tile(z, x, y, signal).catch((error: Error) => {
          throw /Byte Serving/.test(error.message) ? new Error(NO_RANGES) : error;
        }),
    };
  },
};

/** Which tiles an archive had: runs of ids, flat, each as its first and how many. */
export interface TileRuns {
  suffix: string;
  runs: readonly number[];
}

/** Whether a run has the tile. */
export function hasTile(runs: readonly number[], id: number): boolean {
  let low = 0;
  let high = runs.length / 2 - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const first = runs[2 * middle]!;
    if (id < first) high = middle - 1;
    else if (id >= first + runs[2 * middle + 1]!) low = middle + 1;
    else return true;
  }
  return false;
}

/** On any host: a file for each tile, in the folder that is named like the archive. */
export const folderFiles: Files = {
  whole: fetched,
  archive(path) {
    const folder = path.replace(/\.pmtiles$/, "");
    let known: Promise<TileRuns> | undefined;
    return {
      async tile(z, x, y) {
        known ??= fetched(`${folder}/tiles.json`).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
        const { suffix, runs } = await known;
        return hasTile(runs, zxyToTileId(z, x, y)) ? fetched(`${folder}/${z}/${x}/${y}.${suffix}`) : null;
      },
    };
  },
};

/** Gives a piece of a file by its name, as base64. */
export type LoadPiece = (name: string) => Promise<string>;

/** Files in pieces of this many bytes, and the size of each file. */
interface Pieces {
  piece_bytes: number;
  files: Record<string, number>;
}

const INDEX = "pieces.json";
/** 32 MiB, with pieces of a mebibyte. */
const CACHED_PIECES = 32;

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/** Where nothing can be fetched: every file in pieces, the n-th of `path` under the name `path.n`. */
export class PieceFiles implements Files {
  private readonly known = new Lru<string, Promise<Uint8Array<ArrayBuffer>>>(CACHED_PIECES);
  private index: Promise<Pieces> | undefined;

  constructor(private readonly load: LoadPiece) {}

  async whole(path: string): Promise<ArrayBuffer> {
    return this.range(path, 0, Number.POSITIVE_INFINITY);
  }

  archive(path: string): Archive {
    const bytes: Bytes = {
      getKey: () => path,
      getBytes: async (offset, length) => ({ data: await this.range(path, offset, length) }),
    };
    return archiveAt(bytes);
  }

  /** The bytes from `offset` on, as many of `length` as there are. */
  private async range(path: string, offset: number, length: number): Promise<ArrayBuffer> {
    this.index ??= this.piece(`${INDEX}.0`).then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
    const { piece_bytes: each, files } = await this.index;
    const size = Object.hasOwn(files, path) ? files[path]! : null;
    if (size === null) throw new Error(`${path} is not part of this map`);
    const end = Math.min(size, offset + length);
    const out = new Uint8Array(Math.max(0, end - offset));
    for (let n = Math.floor(offset / each); n * each < end; n += 1) {
      const piece = await this.piece(`${path}.${n}`);
      const from = Math.max(0, offset - n * each);
      out.set(piece.subarray(from, end - n * each), n * each + from - offset);
    }
    return out.buffer;
  }

  private piece(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const load = this.load(name).then(fromBase64);
    this.known.set(name, load);
    load.catch(() => this.known.delete(name));
    return load;
  }
}
