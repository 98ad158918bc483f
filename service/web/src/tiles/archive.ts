/** Tiles out of PMTiles archives, by range requests; and their decoding. */

import { PMTiles, type Source } from "pmtiles";
import { fileUrl } from "../api/client";
import { type Archive, source } from "../api/source";
import { type DataTile, sparseTile } from "./paint";

export type { Archive };

/** Opens the archive at `path` of a job; nothing is requested until the first tile. */
export function openArchive(job: string, path: string): Archive {
  const url = fileUrl(job, path);
  return source().archive?.(url) ?? archiveAt(new URL(url, location.origin).href);
}

/** The archive at an address, or what its bytes are read from. */
export function archiveAt(from: string | Source): Archive {
  const archive = new PMTiles(from);
  return {
    async tile(z, x, y, signal) {
      return (await archive.getZxy(z, x, y, signal))?.data ?? null;
    },
  };
}

let scratch: CanvasRenderingContext2D | null = null;

/** A canvas context without WebGL or GPU read-back. */
export function createContext(size: number, readBack: boolean): CanvasRenderingContext2D {
  const canvas = document.createElement("canvas");
  canvas.width = size;
  canvas.height = size;
  const context = canvas.getContext("2d", { willReadFrequently: readBack });
  if (!context) throw new Error("this browser has no 2D canvas");
  return context;
}

/** Decodes a lossless data tile to its words. No color management: the bytes are data. */
export async function decodeDataTile(bytes: ArrayBuffer, type: string): Promise<DataTile> {
  const bitmap = await createImageBitmap(new Blob([bytes], { type }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const size = bitmap.width;
  if (scratch?.canvas.width !== size) scratch = createContext(size, true);
  scratch.drawImage(bitmap, 0, 0);
  bitmap.close();
  return sparseTile(scratch.getImageData(0, 0, size, size).data, size);
}

/** Decodes an image tile. */
export function decodeImage(bytes: ArrayBuffer, type: string): Promise<ImageBitmap> {
  return createImageBitmap(new Blob([bytes], { type }));
}
