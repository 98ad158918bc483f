/** An exported map as a source: the addresses of the API that a map needs, answered out of its files. */

import type { Archive, Source } from "../api/source";
import type { Job, Manifest } from "../api/types";
import type { Files } from "./files";
import { ExportedRows, imageFile, type RowFacts } from "./rows";

/** `map.json` of an export. */
export interface ExportedMap extends Pick<RowFacts, "examples_per_file" | "thumbnails_per_file"> {
  map: string;
  /** Whether the full images are in it; absent: not. */
  images?: boolean;
  manifest: Manifest;
  /** The job of the map and that of its features, as far as the page shows them. */
  jobs: Record<string, Partial<Job>>;
}

type Answer = (source: ExportedSource, match: string[]) => Promise<Response>;

const JOB = "/v1/jobs/([^/]+)";
const EXAMPLE = "/v1/maps/[^/]+/examples/(\\d+)";

const ROUTES: readonly (readonly [string, Answer])[] = [
  [`${JOB}/manifest`, async ({ exported }) => Response.json(exported.manifest)],
  [`${JOB}/files/(.+)`, async ({ files }, [, , path]) => new Response(await files.whole(decoded(path!)))],
  [`${JOB}/rows/points/(\\d+)`, (source, [, , row]) => source.attributes(Number(row))],
  [JOB, async ({ exported }, [, id]) => found(exported.jobs[decodeURIComponent(id!)])],
  [EXAMPLE, async ({ rows }, [, row]) => Response.json(await rows.example(Number(row)))],
  [`${EXAMPLE}/thumbnail`, (source, [, row]) => source.thumbnail(Number(row))],
  [`${EXAMPLE}/image`, (source, [, row]) => source.image(Number(row))],
];

/** A path of the artifact as it was before it became an address. */
function decoded(path: string): string {
  return path.split("/").map(decodeURIComponent).join("/");
}

function found(body: unknown): Response {
  if (body !== undefined) return Response.json(body);
  const message = "An exported map has its own data only; the service that made it has more.";
  return Response.json({ error: { code: "not_exported", message } }, { status: 404 });
}

export class ExportedSource implements Source {
  readonly service = false;
  readonly noImages: string | null;
  readonly rows: ExportedRows;
  /** What an image element is to show, and the object URL that it shows. */
  private readonly shown = new WeakMap<HTMLImageElement, { path: string; url?: string }>();

  constructor(
    readonly exported: ExportedMap,
    readonly files: Files,
  ) {
    this.noImages = exported.images ? null : "This export has thumbnails only: it was made without the full images.";
    const { classes } = exported.manifest.details.map!;
    this.rows = new ExportedRows(files, { ...exported, classes });
  }

  async request(path: string): Promise<Response> {
    const { pathname } = new URL(path, "http://exported");
    for (const [pattern, answer] of ROUTES) {
      const match = new RegExp(`^${pattern}$`).exec(pathname);
      if (match) return answer(this, match);
    }
    return found(undefined);
  }

  archive(path: string): Archive {
    const match = new RegExp(`^${JOB}/files/(.+)$`).exec(path);
    return this.files.archive(decoded(match![2]!));
  }

  show(image: HTMLImageElement, path: string): void {
    const before = this.shown.get(image)?.url;
    if (before) URL.revokeObjectURL(before);
    this.shown.set(image, { path });
    void this.showNow(image, path).catch(() => image.dispatchEvent(new Event("error")));
  }

  /** What a table of points has of a row, as far as the pages ask. */
  async attributes(row: number): Promise<Response> {
    const { attributes } = await this.rows.example(row);
    return Response.json({ row, values: { attributes: JSON.stringify(attributes) } });
  }

  async thumbnail(row: number): Promise<Response> {
    const bytes = await this.rows.thumbnail(row);
    return bytes ? new Response(bytes) : found(undefined);
  }

  /** The full image where the export has them, else the thumbnail. */
  async image(row: number): Promise<Response> {
    return this.exported.images ? new Response(await this.files.whole(imageFile(row))) : this.thumbnail(row);
  }

  private async showNow(image: HTMLImageElement, path: string): Promise<void> {
    const answer = await this.request(path);
    if (!answer.ok) throw new Error(`${path} is not exported`);
    const blob = await answer.blob();
    // Another image may have been asked of the element meanwhile.
    if (this.shown.get(image)?.path !== path) return;
    const url = URL.createObjectURL(blob);
    this.shown.set(image, { path, url });
    image.src = url;
  }
}
