/** The page of one map: loads what it needs, then hands over to the controller. */

import { ApiError, getJob, getManifest, mapInfo } from "../api/client";
import { isMap, type Job, type Manifest } from "../api/types";
import { messagePage } from "../app/message-page";
import type { Page } from "../app/router";
import { fill, h } from "../lib/dom";
import { MapController } from "./controller";
import { mapTitle, thumbnailPx } from "./job-facts";

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
