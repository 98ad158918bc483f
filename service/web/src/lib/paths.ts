/** Addresses of the pages of a job's artifact. */

export function galleryPath(job: string, row?: number): string {
  const base = `/jobs/${encodeURIComponent(job)}/gallery`;
  return row === undefined ? base : `${base}/${row}`;
}

/** The page where a job's spec is changed and submitted again. */
export function againPath(job: string): string {
  return `/jobs/${encodeURIComponent(job)}/again`;
}

export function mapPath(job: string): string {
  return `/maps/${encodeURIComponent(job)}`;
}

export function unitPath(job: string, channel: number): string {
  return `/jobs/${encodeURIComponent(job)}/units/${channel}`;
}
