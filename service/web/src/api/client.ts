/** Calls of the HTTP API. Every failure arrives as an `ApiError` with the service's own code. */

import type { Description } from "../docs/openapi";
import { source } from "./source";
import type {
  Catalog,
  Deletion,
  Encoded,
  Example,
  ExampleMatch,
  ExamplePage,
  FindAnswer,
  FindFacts,
  Job,
  JobPage,
  Manifest,
  MapInfo,
  Row,
  RowPage,
  SearchAnswer,
  SearchFacts,
} from "./types";

export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly detail: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const id = encodeURIComponent;
const LOGIN = "/v1/login";
const AWAY = "The service does not answer. Is it running?";

/** Fired on the window where the service asks for its token. */
export const SIGN_IN_EVENT = "featurescape:sign-in";

/** Turns `{"error": {"code", "message"}}`, or whatever came instead, into an `ApiError`. */
export function apiError(status: number, body: unknown): ApiError {
  const error = (body as { error?: { code?: unknown; message?: unknown; detail?: unknown } } | null)?.error;
  const code = typeof error?.code === "string" ? error.code : "internal";
  const message = typeof error?.message === "string" ? error.message : `the service answered with ${status}`;
  const detail = error?.detail && typeof error.detail === "object" ? (error.detail as Record<string, unknown>) : {};
  return new ApiError(code, message, status, detail);
}

/** Whether nobody answers: the service is away, or the network. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await source().request(path, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") throw error;
    throw new ApiError("service_unavailable", AWAY, 0);
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== LOGIN) window.dispatchEvent(new Event(SIGN_IN_EVENT));
  throw apiError(response.status, await response.json().catch(() => null));
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await request(path, signal ? { signal } : {})).json() as Promise<T>;
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body), ...(signal ? { signal } : {}) };
  return (await request(path, init)).json() as Promise<T>;
}

export async function putJson<T>(path: string, body: unknown): Promise<T> {
  const headers = { "Content-Type": "application/json" };
  return (await request(path, { method: "PUT", headers, body: JSON.stringify(body) })).json() as Promise<T>;
}

export async function remove(path: string): Promise<void> {
  await request(path, { method: "DELETE" });
}

/** The bytes that answer a POST. */
export async function postForBlob(path: string, body: unknown, signal?: AbortSignal): Promise<Blob> {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body), ...(signal ? { signal } : {}) };
  return (await request(path, init)).blob();
}

export async function postBytes<T>(path: string, body: Blob, signal?: AbortSignal): Promise<T> {
  const headers = { "Content-Type": "application/octet-stream" };
  const init = { method: "POST", headers, body, ...(signal ? { signal } : {}) };
  return (await request(path, init)).json() as Promise<T>;
}

export async function getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
  return (await request(path, signal ? { signal } : {})).blob();
}

/** Address of a file that the job's manifest names. */
export function fileUrl(job: string, path: string): string {
  return `/v1/jobs/${id(job)}/files/${path.split("/").map(id).join("/")}`;
}

/** A JSON file that the job's manifest names. */
export function getJsonFile<T>(job: string, path: string): Promise<T> {
  return getJson<T>(fileUrl(job, path));
}

export function thumbnailUrl(map: string, row: number): string {
  return `/v1/maps/${id(map)}/examples/${row}/thumbnail`;
}

/** Address of a small image of a map that draws images. */
export function previewUrl(map: string): string {
  return `/v1/maps/${id(map)}/preview`;
}

export function imageUrl(map: string, row: number): string {
  return `/v1/maps/${id(map)}/examples/${row}/image`;
}

/** Shows the image at an address; an `error` event where there is none. Returns the element. */
export function showImage(image: HTMLImageElement, path: string): HTMLImageElement {
  source().show(image, path);
  return image;
}

/** Address of an image that is inside an answer. */
export function dataUrl(image: Encoded): string {
  return `data:${image.media_type};base64,${image.data}`;
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

/** Gives a job another title, or none. */
export async function renameJob(job: string, title: string | null): Promise<Job> {
  const headers = { "Content-Type": "application/json" };
  const init = { method: "PATCH", headers, body: JSON.stringify({ title }) };
  return (await request(`/v1/jobs/${id(job)}`, init)).json() as Promise<Job>;
}

/** What goes with a job that is deleted. */
export interface Extent {
  /** What was made from it. */
  dependents: boolean;
  /** What it was made from, where nothing else was. */
  inputs: boolean;
}

/** What would be deleted; an `ApiError` with status 409 says why it cannot be. */
export function getDeletion(job: string, { dependents, inputs }: Extent): Promise<Deletion> {
  return getJson<Deletion>(`/v1/jobs/${id(job)}/deletion?dependents=${dependents}&inputs=${inputs}`);
}

export async function deleteJob(job: string, { dependents, inputs }: Extent): Promise<Deletion> {
  const path = `/v1/jobs/${id(job)}?dependents=${dependents}&inputs=${inputs}`;
  return (await request(path, { method: "DELETE" })).json() as Promise<Deletion>;
}

/** Whether the service answers at all. */
export async function isAlive(): Promise<boolean> {
  return request("/livez").then(
    () => true,
    () => false,
  );
}

export function getExample(map: string, row: number, signal?: AbortSignal): Promise<Example> {
  return getJson<Example>(`/v1/maps/${id(map)}/examples/${row}`, signal);
}

export async function findExamples(map: string, text: string, signal?: AbortSignal): Promise<ExampleMatch[]> {
  const path = `/v1/maps/${id(map)}/examples?example_id=${id(text)}`;
  return (await getJson<ExamplePage>(path, signal)).examples;
}

/** Examples that have words and meet conditions: `words`, `where`, `offset`, `limit`, `marked`. */
export function findOnMap(map: string, asked: Record<string, unknown>, signal?: AbortSignal): Promise<FindAnswer> {
  return postJson<FindAnswer>(`/v1/maps/${id(map)}/find`, asked, signal);
}

/** Attributes that conditions can name. */
export function getFindFacts(map: string): Promise<FindFacts> {
  return getJson<FindFacts>(`/v1/maps/${id(map)}/find/facts`);
}

/** By what a map can be searched. */
export function getSearchFacts(map: string): Promise<SearchFacts> {
  return getJson<SearchFacts>(`/v1/maps/${id(map)}/search`);
}

/** Examples nearest to words (`text`), an uploaded image (`image`) or an example (`like`). */
export function searchMap(map: string, query: Record<string, unknown>, signal: AbortSignal): Promise<SearchAnswer> {
  return postJson<SearchAnswer>(`/v1/maps/${id(map)}/search`, query, signal);
}

/** Leaves an image with the service for a while; its id. */
export async function uploadImage(image: Blob, signal?: AbortSignal): Promise<string> {
  return (await postBytes<{ image: string }>("/v1/live/images", image, signal)).image;
}

/** Which rows of an artifact, and what of them. */
export interface RowQuery {
  offset?: number;
  limit?: number;
  columns?: readonly string[];
  /** A column of numbers; with `-` before it, the largest first. */
  order?: string;
  example_id?: string;
  channel?: number;
  /** Conditions that all hold, as "label=3". */
  where?: readonly string[];
}

/** The query string of a request for rows. */
export function rowSearch(query: RowQuery): string {
  const { where = [], ...plain } = query;
  const parts = Object.entries(plain).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams([
    ...parts.map(([name, value]) => [name, Array.isArray(value) ? value.join(",") : String(value)]),
    ...where.map((condition) => ["where", condition]),
  ]);
  return search.size > 0 ? `?${search}` : "";
}

export function getRows<V>(job: string, kind: string, query: RowQuery, signal?: AbortSignal): Promise<RowPage<V>> {
  return getJson<RowPage<V>>(`/v1/jobs/${id(job)}/rows/${id(kind)}${rowSearch(query)}`, signal);
}

export function getRow<V>(
  job: string,
  kind: string,
  row: number,
  columns: readonly string[],
  signal?: AbortSignal,
): Promise<Row<V>> {
  return getJson<Row<V>>(`/v1/jobs/${id(job)}/rows/${id(kind)}/${row}${rowSearch({ columns })}`, signal);
}

export function getCatalog(): Promise<Catalog> {
  return getJson<Catalog>("/v1/catalog");
}

/** The service's description of its API. */
export function getOpenApi(): Promise<Description> {
  return getJson<Description>("/v1/openapi.json");
}

/** Submits a job; the same key with the same spec gives the same job. */
export async function submitJob(spec: Record<string, unknown>, key: string): Promise<Job> {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  return (await request("/v1/jobs", { method: "POST", headers, body: JSON.stringify(spec) })).json() as Promise<Job>;
}

/** What a tiles job says of its map; an `ApiError` where the artifact is not a map. */
export function mapInfo(manifest: Manifest): MapInfo {
  const info = manifest.details.map;
  if (info && Array.isArray(info.layers) && info.layers.length > 0) return info;
  throw new ApiError("not_a_map", `${manifest.job_id} is a ${manifest.job} job, not a map.`, 200);
}
