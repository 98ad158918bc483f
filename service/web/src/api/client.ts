/** Calls of the HTTP API. Every failure arrives as an `ApiError` with the service's own code. */

import type { Example, ExampleMatch, Job, JobPage, Manifest, MapInfo } from "./types";

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const id = encodeURIComponent;
const LOGIN = "/v1/login";

/** Fired on the window where the service asks for its token. */
export const SIGN_IN_EVENT = "featurescape:sign-in";

/** Turns `{"error": {"code", "message"}}`, or whatever came instead, into an `ApiError`. */
export function apiError(status: number, body: unknown): ApiError {
  const error = (body as { error?: { code?: unknown; message?: unknown } } | null)?.error;
  const code = typeof error?.code === "string" ? error.code : "internal";
  const message =
    typeof error?.message === "string" ? error.message : `the service answered with ${status}`;
  return new ApiError(code, message, status);
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError("service_unavailable", "The service does not answer. Is it running?", 0);
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== LOGIN) window.dispatchEvent(new Event(SIGN_IN_EVENT));
  throw apiError(response.status, await response.json().catch(() => null));
}

async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, signal ? { signal } : {})).json() as Promise<T>;
}

/** Address of a file that the job's manifest names. */
export function fileUrl(job: string, path: string): string {
  return `/v1/jobs/${id(job)}/files/${path.split("/").map(id).join("/")}`;
}

export function thumbnailUrl(map: string, row: number): string {
  return `/v1/maps/${id(map)}/examples/${row}/thumbnail`;
}

export function imageUrl(map: string, row: number): string {
  return `/v1/maps/${id(map)}/examples/${row}/image`;
}

/** Trades the service's token for a session cookie. */
export async function login(token: string): Promise<void> {
  const headers = { "Content-Type": "application/json" };
  await request(LOGIN, { method: "POST", headers, body: JSON.stringify({ token }) });
}

export function listJobs(query: string, signal?: AbortSignal): Promise<JobPage> {
  return getJson<JobPage>(`/v1/jobs?${query}`, signal);
}

export function getJob(job: string, signal?: AbortSignal): Promise<Job> {
  return getJson<Job>(`/v1/jobs/${id(job)}`, signal);
}

export function getManifest(job: string, signal?: AbortSignal): Promise<Manifest> {
  return getJson<Manifest>(`/v1/jobs/${id(job)}/manifest`, signal);
}

export async function getLog(job: string, tailBytes: number, signal?: AbortSignal): Promise<string> {
  const path = `/v1/jobs/${id(job)}/log?tail_bytes=${tailBytes}`;
  return (await request(path, signal ? { signal } : {})).text();
}

export async function stopJob(job: string): Promise<Job> {
  return (await request(`/v1/jobs/${id(job)}/stop`, { method: "POST" })).json() as Promise<Job>;
}

export function getExample(map: string, row: number, signal?: AbortSignal): Promise<Example> {
  return getJson<Example>(`/v1/maps/${id(map)}/examples/${row}`, signal);
}

export async function findExamples(
  map: string,
  text: string,
  signal?: AbortSignal,
): Promise<ExampleMatch[]> {
  const path = `/v1/maps/${id(map)}/examples?example_id=${id(text)}`;
  return (await getJson<{ examples: ExampleMatch[] }>(path, signal)).examples;
}

/** What a tiles job says of its map; an `ApiError` where the artifact is not a map. */
export function mapInfo(manifest: Manifest): MapInfo {
  const info = manifest.details["map"] as MapInfo | undefined;
  if (info && Array.isArray(info.layers) && info.layers.length > 0) return info;
  throw new ApiError("not_a_map", `${manifest.job_id} is a ${manifest.job} job, not a map.`, 200);
}
