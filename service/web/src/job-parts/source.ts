/** From a job to the images that its features are of. */

import { getJob } from "../api/client";
import { earlierJob, type Source, sourceOf } from "./ask";

const MOST_HOPS = 4;

/** Dataset and model of a features job; where it has read the features of another job, of that one. */
export async function findSource(features: string): Promise<Source> {
  let source = sourceOf(await getJob(features));
  for (let hop = 0; hop < MOST_HOPS; hop += 1) {
    const earlier = earlierJob(source);
    if (earlier === null) return source;
    source = sourceOf(await getJob(earlier));
  }
  return source;
}
