/** Trying a GET of the API: fields for its parameters, and the answer as it came. */

import { h, setText } from "../lib/dom";
import { formatBytes } from "../lib/format";
import { addressOf, type Route } from "./openapi";

const MOST_CHARACTERS = 20_000;

/** Text of a body, indented where it is JSON; the beginning of a long one. */
export function shownText(kind: string, text: string): string {
  let found = text;
  if (kind.includes("json")) {
    try {
      found = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // It is shown as it is.
    }
  }
  return found.length > MOST_CHARACTERS ? `${found.slice(0, MOST_CHARACTERS)}\n…` : found;
}

async function bodyOf(answer: Response): Promise<string> {
  const kind = answer.headers.get("content-type") ?? "";
  if (/json|text/.test(kind)) return shownText(kind, await answer.text());
  const { size } = await answer.blob();
  return `${kind}, ${formatBytes(size)}`;
}

export function tryIt(route: Route): HTMLElement {
  const parameters = (route.parameters ?? []).filter((each) => each.in === "path" || each.in === "query");
  const fields = parameters.map(({ name, required }) => {
    const input = h("input", { class: "field", label: name, attrs: { placeholder: name, autocomplete: "off" } });
    input.required = required === true;
    return [name, input] as const;
  });
  const line = h("p", { class: "faint", attrs: { role: "status" } });
  const body = h("pre", { class: "log", tabIndex: 0, label: "Answer", attrs: { hidden: "" } });
  const send = h("button", { class: "button" }, "Send");
  const form = h("form", { class: "try", testid: "try" }, ...fields.map(([, input]) => input), send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const address = addressOf(route, Object.fromEntries(fields.map(([name, input]) => [name, input.value.trim()])));
    setText(line, `GET ${address} …`);
    void ask(address, line, body);
  });
  return h("div", {}, form, line, body);
}

async function ask(address: string, line: HTMLElement, body: HTMLElement): Promise<void> {
  body.hidden = true;
  try {
    const answer = await fetch(address);
    setText(body, await bodyOf(answer));
    setText(line, `GET ${address}: ${answer.status} ${answer.statusText}`.trim());
    body.hidden = false;
  } catch {
    setText(line, "The service does not answer. Is it running?");
  }
}
