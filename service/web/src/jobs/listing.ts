/** Which jobs a list shows: its state in the address, and the query that it asks the service with. */

export const ORDERS = ["newest", "oldest", "title", "size"] as const;
export const STATES = ["any", "unfinished", "done", "failed", "stopped"] as const;

export type Order = (typeof ORDERS)[number];
export type State = (typeof STATES)[number];

export interface Listing {
  /** Words that are all in title, id, type, dataset or model. */
  q: string;
  order: Order;
  /** Job type; "": any. */
  job: string;
  state: State;
  /** Of the jobs, and of the maps; from 0. */
  page: number;
  maps: number;
}

export const MAPS_PER_PAGE = 24;
export const JOBS_PER_PAGE = 25;

const STATUSES: Readonly<Record<State, readonly string[]>> = {
  any: [],
  unfinished: ["PENDING", "RUNNING"],
  done: ["SUCCEEDED"],
  failed: ["FAILED"],
  stopped: ["STOPPED"],
};

function oneOf<T extends string>(known: readonly T[], given: string | null): T {
  return known.find((each) => each === given) ?? known[0]!;
}

function pageFrom(text: string | null): number {
  return /^[1-9]\d{0,6}$/.test(text ?? "") ? Number(text) - 1 : 0;
}

/** Reads a query string; what is missing or malformed is as by default. */
export function parseListing(search: string): Listing {
  const query = new URLSearchParams(search);
  return {
    q: (query.get("q") ?? "").slice(0, 200),
    order: oneOf(ORDERS, query.get("order")),
    job: /^[a-z]{3,16}$/.test(query.get("job") ?? "") ? query.get("job")! : "",
    state: oneOf(STATES, query.get("state")),
    page: pageFrom(query.get("page")),
    maps: pageFrom(query.get("maps")),
  };
}

/** Writes the query string that `parseListing` reads, without what is as by default. */
export function formatListing({ q, order, job, state, page, maps }: Listing): string {
  const given: [string, string][] = [
    ["q", q],
    ["order", order === ORDERS[0] ? "" : order],
    ["job", job],
    ["state", state === STATES[0] ? "" : state],
    ["page", page > 0 ? String(page + 1) : ""],
    ["maps", maps > 0 ? String(maps + 1) : ""],
  ];
  const query = new URLSearchParams(given.filter(([, value]) => value !== "")).toString();
  return query ? `?${query}` : "";
}

/** Query for a page of finished maps. */
export function mapsQuery({ q, order, maps }: Listing): string {
  const paged = { limit: String(MAPS_PER_PAGE), offset: String(maps * MAPS_PER_PAGE) };
  return new URLSearchParams({ maps: "true", ...(q ? { q } : {}), order, ...paged }).toString();
}

/** Query for a page of chains, one job for each; on the home page without those whose maps it shows above. */
export function jobsQuery({ q, order, job, state, page }: Listing, besidesMaps: boolean): string {
  const query = new URLSearchParams({ ends: "true", order });
  if (besidesMaps) query.set("maps", "false");
  if (q) query.set("q", q);
  if (job) query.set("job", job);
  for (const status of STATUSES[state]) query.append("status", status);
  query.set("limit", String(JOBS_PER_PAGE));
  query.set("offset", String(page * JOBS_PER_PAGE));
  return query.toString();
}

/** Whether anything is left out of the list. */
export function isFiltered({ q, job, state }: Listing): boolean {
  return q !== "" || job !== "" || state !== "any";
}
