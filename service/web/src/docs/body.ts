/** The body of a request: its fields, and an example as a command to copy. */

import { fill, h } from "../lib/dom";
import { icon } from "../lib/icons";
import { notify } from "../lib/share";
import { fieldRows, type Schemas, typeElement } from "./fields";
import { type Body, type Route, refName } from "./openapi";

/** The command that sends an example to this service; parts of the path in braces are to be filled in. */
export function curlOf(origin: string, { method, path }: Route, { kind, example }: Body): string {
  const target = quoted(`${origin}${path}`);
  const head = `curl -X ${method} ${target} \\\n  -H ${quoted(`Content-Type: ${kind.replace("*", "png")}`)}`;
  if (example === undefined) return `${head} \\\n  --data-binary @FILE`;
  return `${head} \\\n  -d ${quoted(JSON.stringify(example))}`;
}

/** A word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

async function copy(text: string, shown: HTMLElement): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify("The command is copied");
  } catch {
    window.getSelection()?.selectAllChildren(shown);
    notify("The browser does not let this page copy: copy the selected command");
  }
}

function command(route: Route, body: Body): HTMLElement {
  const text = curlOf(location.origin, route, body);
  const shown = h("pre", { class: "log", tabIndex: 0, label: "Command", testid: "curl" }, text);
  const button = h("button", { type: "button", class: "button", on: { click: () => void copy(text, shown) } });
  fill(button, icon("copy"), "Copy");
  return h("div", { class: "command" }, shown, button);
}

/** Fields of the body where it is one object, else the kinds that it can be; then the command. */
export function bodyElement(route: Route, body: Body, schemas: Schemas): HTMLElement {
  const name = body.schema ? refName(body.schema) : null;
  const rows = name ? fieldRows(schemas[name] ?? {}, schemas) : [];
  const about = body.schema?.description;
  return h(
    "div",
    { testid: "body" },
    h("p", {}, typeElement(body.schema, schemas), h("span", { class: "faint" }, ` ${body.kind}`)),
    about !== undefined && h("p", { class: "faint" }, about),
    rows.length > 0 && h("dl", { class: "table" }, ...rows),
    command(route, body),
  );
}
