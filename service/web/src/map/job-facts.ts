/** What the jobs of a map say of it: its title, and the side of an image's cell. */

import { getJob } from "../api/client";
import type { Job, Manifest, MapInfo } from "../api/types";
import { describeJob } from "../job-parts/describe";
import type { MapTitle } from "./sidebar";

const DEFAULT_THUMBNAIL_PX = 64;

/** Side of an image's cell in the thumbnails layer, from the spec of the job that drew the map. */
export function thumbnailPx(manifest: Manifest): number {
  const value = manifest.spec["thumbnail_px"];
  return typeof value === "number" && value > 0 ? value : DEFAULT_THUMBNAIL_PX;
}

/** Title of a map: dataset and model are named by its features job. */
export async function mapTitle(job: string, info: MapInfo): Promise<MapTitle> {
  const [tiles, features] = await Promise.all([
    getJob(job).catch((): Job | null => null),
    info.features ? getJob(info.features).catch((): Job | null => null) : null,
  ]);
  const made = features ? describeJob(features) : "";
  const title = tiles?.title ?? made;
  return { title: title || job, detail: title === made ? "" : made };
}
