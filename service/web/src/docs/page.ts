/** The HTTP API: every route with its parameters and answer, from the service's own description. */

import { getOpenApi } from "../api/client";
import type { Page } from "../app/router";
import { pageHead } from "../job-parts/parts";
import { fill, h } from "../lib/dom";
import { humanize } from "../lib/format";
import { bodyElement } from "./body";
import { fieldRows, marked, row, type Schemas, schemaId, typeElement } from "./fields";
import { answerOf, contentOf, type Description, groupsOf, limitsOf, type Route, type Schema } from "./openapi";
import { tryIt } from "./try-it";

const ABOUT = "All bodies are JSON unless said otherwise. Where the service has a token, a request shows it as ";
const TOKEN = "Authorization: Bearer …";
const ERROR = '{"error": {"code", "message", "detail"}}';

function parameterRows(route: Route, schemas: Schemas): HTMLElement[] {
  return (route.parameters ?? []).map((each) => {
    const said = [each.in === "query" ? "" : each.in, limitsOf(each.schema ?? {}), each.description];
    return row(each.name, typeElement(each.schema, schemas), said.filter(Boolean).join("; "));
  });
}

function routeElement(route: Route, schemas: Schemas): HTMLElement {
  const answer = answerOf(route);
  const body = contentOf(route.requestBody?.content);
  const rows = parameterRows(route, schemas);
  const about = route.description ?? "";
  const [first = ""] = about.split(/(?<=[.;])\s/);
  const summary = h(
    "summary",
    {},
    h("span", { class: `method ${route.method.toLowerCase()}` }, route.method),
    h("code", { class: "route-path" }, route.path),
    h("span", { class: "faint" }, ...marked(first.replace(/;$/, ""))),
  );
  const part = (title: string, ...content: (Node | null)[]) => h("section", {}, h("h4", {}, title), ...content);
  return h(
    "details",
    { class: "route", testid: "route" },
    summary,
    about !== first && h("p", {}, ...marked(about)),
    rows.length > 0 && part("Parameters", h("dl", { class: "table" }, ...rows)),
    body && part("Body", bodyElement(route, body, schemas)),
    answer &&
      part(
        `Answer ${answer.status}`,
        answer.content ? typeElement(answer.content.schema, schemas) : null,
        answer.content
          ? h("span", { class: "faint" }, ` ${answer.content.kind}`)
          : h("span", { class: "faint" }, "no body"),
      ),
    route.method === "GET" && part("Try it", tryIt(route)),
  );
}

function schemaElement(name: string, schema: Schema, schemas: Schemas): HTMLElement {
  const rows = fieldRows(schema, schemas);
  const about = schema.description ? h("p", { class: "faint" }, schema.description) : null;
  const head = h("summary", {}, h("code", {}, name));
  const element = h("details", { class: "route", attrs: { id: schemaId(name) } }, head, about);
  element.append(rows.length > 0 ? h("dl", { class: "table" }, ...rows) : typeElement(schema, schemas));
  return element;
}

/** Opens the schema that the address names. */
function reveal(main: HTMLElement): void {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id === "") return;
  const found = [...main.querySelectorAll("details")].find((each) => each.id === id);
  if (!found) return;
  found.open = true;
  found.scrollIntoView({ block: "start" });
}

function content(described: Description): HTMLElement[] {
  const schemas = described.components?.schemas ?? {};
  const groups = groupsOf(described).map(([tag, routes]) =>
    h(
      "section",
      { class: "route-group" },
      h("h2", {}, humanize(tag)),
      ...routes.map((route) => routeElement(route, schemas)),
    ),
  );
  const all = Object.entries(schemas).map(([name, schema]) => schemaElement(name, schema, schemas));
  return [...groups, h("section", { class: "route-group" }, h("h2", {}, "schemas"), ...all)];
}

export async function docsPage(app: HTMLElement): Promise<Page> {
  const described = await getOpenApi();
  document.title = "API · featurescape";
  const head = pageHead([]);
  const file = h("a", { href: "/v1/openapi.json", attrs: { download: "openapi.json" } }, "openapi.json");
  const title = h(
    "div",
    { class: "page-title" },
    h("h1", {}, "The HTTP API"),
    h("p", { class: "faint" }, ABOUT, h("code", {}, TOKEN), ". An error is ", h("code", {}, ERROR)),
    h("p", { class: "faint" }, "Its OpenAPI description, for other tools: ", file),
  );
  const main = h("main", { class: "page-main docs" }, title, ...content(described));
  fill(app, h("div", { class: "page" }, head.element, main));
  const follow = () => reveal(main);
  window.addEventListener("hashchange", follow);
  follow();
  document.body.dataset.ready = "true";
  return {
    follow: (route) => route.page === "docs",
    destroy() {
      window.removeEventListener("hashchange", follow);
      head.destroy();
    },
  };
}
