/** The network that an image of the service was seen by: that of its map, or of the job whose row it is. */

import { getCatalog, getJob, getManifest, mapInfo } from "../api/client";
import type { ModelChoice } from "../api/types";
import { findSource } from "../job-parts/source";
import { modelChoice, type Source } from "../lib/live-path";

/** The model of a source, where it looks at images; null: it has none, or it cannot be told. */
export async function modelOf(source: Source | null): Promise<ModelChoice | null> {
  if (source === null) return null;
  try {
    const model = modelChoice(await fieldsOf(source));
    const { models, collections } = await getCatalog();
    const card = [...models, ...collections].find((each) => each.name === model?.name);
    return card?.reads === "images" && card.gives === "classes" ? model : null;
  } catch {
    return null; // the page asks which network
  }
}

async function fieldsOf(source: Source): Promise<Record<string, unknown> | null> {
  if ("job" in source) return (await getJob(source.job)).spec["model"] as Record<string, unknown> | null;
  const { features } = mapInfo(await getManifest(source.map));
  return (await findSource(features)).model;
}
