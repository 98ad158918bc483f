/** Addresses of the pages of a job's artifact. */

export function galleryPath(job: string, row?: number): string {
  const base = `/jobs/${encodeURIComponent(job)}/gallery`;
  return row === undefined ? base : `${base}/${row}`;
}

export function unitPath(job: string, channel: number): string {
  return `/jobs/${encodeURIComponent(job)}/units/${channel}`;
}
