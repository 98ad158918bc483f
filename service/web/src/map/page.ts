/** The page of one map: loads what it needs, then hands over to the controller. */

import { ApiError, getJob, getManifest, mapInfo } from "../api/client";
import { isMap, type Job, type Manifest, type MapInfo } from "../api/types";
import { messagePage } from "../app/message-page";
import type { Page } from "../app/router";
import { describeJob } from "../job-parts/describe";
import { fill, h } from "../lib/dom";
import { MapController } from "./controller";
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

async function unfinished(app: HTMLElement, id: string, error: ApiError): Promise<Page> {
  const job = await getJob(id).catch((): Job | null => null);
  if (!job) return messagePage(app, "No such map", error.message);
  if (!isMap(job)) return messagePage(app, "Not a map", `${id} is a ${job.job} job.`);
  const { navigate } = await import("../app/router");
  navigate(`/jobs/${encodeURIComponent(id)}`, true);
  return { destroy: () => undefined };
}

export async function mapPage(app: HTMLElement, id: string): Promise<Page> {
  fill(app, h("div", { class: "map-page opening", attrs: { "aria-busy": "true" } }));
  let manifest: Manifest;
  try {
    manifest = await getManifest(id);
  } catch (error) {
    if (error instanceof ApiError && error.status !== 0) return unfinished(app, id, error);
    throw error;
  }
  const info = mapInfo(manifest);
  const noAttribution = manifest.details["no_attribution"];
  const controller = new MapController(app, id, info, {
    thumbnailPx: thumbnailPx(manifest),
    noAttribution: typeof noAttribution === "string" ? noAttribution : null,
  });
  void mapTitle(id, info).then((title) => controller.setTitle(title));
  return controller;
}
