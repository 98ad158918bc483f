/** What can be done with a job: share, rename, run again, delete. */

import { isMap, isTerminal, type Job } from "../api/types";
import type { Action } from "../lib/menu";
import { againPath, mapPath } from "../lib/paths";
import { share } from "../lib/share";
import { askDeletion } from "./delete";
import { askTitle } from "./rename";

export interface Changes {
  renamed(job: Job): void;
  deleted(ids: readonly string[]): void;
}

/** The entries of a job's menu. */
export function jobActions(job: Job, changes: Changes): Action[] {
  const done = isMap(job) && job.status === "SUCCEEDED";
  const path = done ? mapPath(job.id) : `/jobs/${encodeURIComponent(job.id)}`;
  const actions: Action[] = [
    { name: "Copy link", icon: "link", testid: "share", run: () => void share(path) },
    { name: "Rename …", icon: "pen", testid: "rename", run: () => askTitle(job, changes.renamed) },
    { name: "Run again with …", icon: "again", testid: "run-again", run: againPath(job.id) },
  ];
  if (!isTerminal(job.status)) return actions;
  return [
    ...actions,
    { name: "Delete …", icon: "trash", testid: "delete", run: () => askDeletion(job, changes.deleted) },
  ];
}
