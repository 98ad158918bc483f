/** Routes of the viewer, on the history API. */

export type Route =
  | { page: "home" }
  | { page: "jobs" }
  | { page: "docs" }
  | { page: "job"; id: string }
  | { page: "again"; id: string }
  | { page: "gallery"; id: string; row: number | null }
  | { page: "unit"; id: string; channel: number }
  | { page: "map"; id: string }
  | { page: "live" }
  | { page: "compare" }
  | { page: "missing"; path: string };

/** The route of a path. */
export function parseRoute(path: string): Route {
  const parts = path.split("/").filter(Boolean).map(safeDecode);
  const [first, id] = parts;
  if (parts.length === 0) return { page: "home" };
  if (parts.length === 1 && first === "jobs") return { page: "jobs" };
  if (parts.length === 2 && id && first === "jobs") return { page: "job", id };
  if (first === "jobs" && id) {
    const inside = jobRoute(id, parts.slice(2));
    if (inside) return inside;
  }
  if (parts.length === 2 && id && first === "maps") return { page: "map", id };
  if (parts.length === 1 && first === "compare") return { page: "compare" };
  if (parts.length === 1 && first === "live") return { page: "live" };
  if (parts.length === 1 && first === "docs") return { page: "docs" };
  return { page: "missing", path };
}

const NUMBER = /^\d{1,10}$/;

/** Pages below that of a job: its gallery, one image of it, one unit. */
function jobRoute(id: string, rest: string[]): Route | null {
  const [what, number] = rest;
  if (what === "gallery" && rest.length === 1) return { page: "gallery", id, row: null };
  if (what === "again" && rest.length === 1) return { page: "again", id };
  if (rest.length !== 2 || !NUMBER.test(number!)) return null;
  if (what === "gallery") return { page: "gallery", id, row: Number(number) };
  return what === "units" ? { page: "unit", id, channel: Number(number) } : null;
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A page that is shown; `destroy` ends its timers and listeners. */
export interface Page {
  destroy(): void;
  /** Shows another route itself, and says so; a page that does not is left. */
  follow?(route: Route): boolean;
}

type Show = (route: Route) => void;

let show: Show = () => undefined;

/** Goes to a path of the viewer. */
export function navigate(path: string, replace = false): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  show(parseRoute(location.pathname));
}

/** Whether a click on a link is ours to handle: plain, same origin, no modifier. */
function ours(event: MouseEvent, link: HTMLAnchorElement): boolean {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  return (
    plain &&
    !event.defaultPrevented &&
    link.origin === location.origin &&
    !link.target &&
    !link.download &&
    // A place on this page is the browser's own business.
    (link.hash === "" || link.pathname !== location.pathname) &&
    parseRoute(link.pathname).page !== "missing"
  );
}

/** Starts routing: links inside the viewer change the page without a reload. */
export function startRouter(onRoute: Show): void {
  show = onRoute;
  document.addEventListener("click", (event) => {
    const link = (event.target as Element | null)?.closest?.("a");
    if (!(link instanceof HTMLAnchorElement) || !ours(event, link)) return;
    event.preventDefault();
    navigate(link.pathname + link.search + link.hash);
  });
  window.addEventListener("popstate", () => show(parseRoute(location.pathname)));
  show(parseRoute(location.pathname));
}
