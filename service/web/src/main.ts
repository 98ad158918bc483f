/** Start of the viewer: theme, routes, and one page at a time. */

import "@fontsource-variable/geist-mono/wght.css";
import "@fontsource-variable/instrument-sans/wght.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/menus.css";
import "./styles/jobs.css";
import "./styles/lists.css";
import "./styles/map.css";
import "./styles/images.css";
import "./styles/panel.css";
import "./styles/selection.css";
import "./styles/gallery.css";
import "./styles/dynamics.css";
import "./styles/captions.css";
import "./styles/predictions.css";
import "./styles/translations.css";
import "./styles/live.css";
import "./styles/compare.css";
import "./styles/narrow.css";
import { isAlive, isUnreachable, SIGN_IN_EVENT } from "./api/client";
import { loginPage } from "./app/login-page";
import { awayPage, messagePage } from "./app/message-page";
import { type Page, parseRoute, type Route, startRouter } from "./app/router";
import { startTheme } from "./app/theme";

const app = document.getElementById("app")!;
let page: Page | null = null;
let visit = 0;

async function open(route: Route): Promise<Page> {
  switch (route.page) {
    case "home":
      return (await import("./jobs/list-page")).homePage(app);
    case "jobs":
      return (await import("./jobs/list-page")).jobsPage(app);
    case "job":
      return (await import("./jobs/detail-page")).jobPage(app, route.id);
    case "again":
      return (await import("./jobs/again-page")).againPage(app, route.id);
    case "docs":
      return (await import("./docs/page")).docsPage(app);
    case "gallery":
    case "unit":
      return (await import("./galleries/page")).galleryPage(app, route);
    case "map":
      return (await import("./map/page")).mapPage(app, route.id);
    case "compare":
      return (await import("./compare/page")).comparePage(app);
    case "live":
      return (await import("./live/page")).livePage(app);
    case "missing":
      return messagePage(app, "There is nothing here", `No page has the address ${route.path}`);
  }
}

async function show(route: Route): Promise<void> {
  if (page?.follow?.(route)) return;
  const turn = ++visit;
  page?.destroy();
  page = null;
  document.body.dataset.ready = "false";
  document.body.dataset.page = route.page;
  try {
    const opened = await open(route);
    if (turn === visit) page = opened;
    else opened.destroy();
  } catch (error) {
    const away = isUnreachable(error) || !(await isAlive());
    if (turn === visit) page = away ? awayPage(app, () => void show(route)) : failedPage(error);
  }
}

/** What cannot be loaded of a service that answers was of an earlier version of the viewer. */
function failedPage(error: unknown): Page {
  const { name, message } = error as Error;
  const outdated = name === "TypeError" && /import|module/i.test(message);
  const why = outdated ? "The viewer has been updated since this page was loaded. Reload it." : message;
  return messagePage(app, "This page could not be opened", why);
}

/** Any page may meet a service that asks for its token; the page is opened again after signing in. */
function signIn(): void {
  visit += 1;
  page?.destroy();
  page = loginPage(app, () => void show(parseRoute(location.pathname)));
}

window.addEventListener(SIGN_IN_EVENT, signIn);
startTheme();
startRouter((route) => void show(route));
