/**
 * Where the viewer's data comes from: the service, or the files of a map that was exported. Both answer at the
 * addresses of the API, so that the pages ask one as they ask the other.
 */

/** Reads tiles. */
export interface Archive {
  /** Bytes of a tile; null where the archive has none. */
  tile(z: number, x: number, y: number, signal?: AbortSignal): Promise<ArrayBuffer | null>;
}

export interface Source {
  /** Whether jobs, searches and networks can be asked for. */
  readonly service: boolean;
  /** Why there are no full images, as a sentence; null: there are. */
  readonly noImages: string | null;
  /** The answer at an address of the API. */
  request(path: string, init?: RequestInit): Promise<Response>;
  /** Shows the image at an address of the API. */
  show(image: HTMLImageElement, path: string): void;
  /** Opens the archive at an address of the API; absent where ranges of it can be requested. */
  archive?(path: string): Archive;
}

const SERVICE: Source = {
  service: true,
  noImages: null,
  request: (path, init) => fetch(path, init),
  show: (image, path) => {
    image.src = path;
  },
};

let current = SERVICE;

/** The source of this page. */
export function source(): Source {
  return current;
}

/** Takes the data from elsewhere, from now on. */
export function setSource(other: Source): void {
  current = other;
}
