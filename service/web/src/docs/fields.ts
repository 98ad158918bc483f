/** Types and fields of a schema, with links to the schemas that they name. */

import { type Child, h } from "../lib/dom";
import { limitsOf, refName, type Schema, typeOf } from "./openapi";

export type Schemas = Readonly<Record<string, Schema>>;

export function schemaId(name: string): string {
  return `schema-${name}`;
}

/** A type in words; every schema in it is a link. */
export function typeElement(schema: Schema | undefined, schemas: Schemas): HTMLElement {
  return h("span", { class: "type" }, ...typeParts(schema, schemas));
}

function typeParts(schema: Schema | undefined, schemas: Schemas): Child[] {
  const text = h("code", {}, typeOf(schema));
  if (!schema) return [text];
  const name = refName(schema);
  if (name) return [schemas[name] ? h("a", { href: `#${schemaId(name)}` }, text) : text];
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds) return kinds.flatMap((kind, i): Child[] => [i > 0 && " | ", ...typeParts(kind, schemas)]);
  if (schema.type === "array" && schema.items) return ["list of ", ...typeParts(schema.items, schemas)];
  const values = schema.additionalProperties;
  if (schema.type === "object" && typeof values === "object") return ["text → ", ...typeParts(values, schemas)];
  return [text];
}

/** Text whose parts between backticks are code. */
export function marked(text: string): (Node | string)[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part));
}

export function row(name: string, type: HTMLElement, about: string): HTMLElement {
  return h(
    "div",
    {},
    h("dt", {}, h("code", {}, name)),
    h("dd", {}, type, about !== "" && h("p", { class: "faint" }, ...marked(about))),
  );
}

/** The fields of an object, with what they have to be, their defaults and descriptions. */
export function fieldRows({ properties = {}, required = [] }: Schema, schemas: Schemas): HTMLElement[] {
  return Object.entries(properties).map(([name, schema]) => {
    const said = [required.includes(name) ? "required" : "", limitsOf(schema)].filter(Boolean).join(", ");
    return row(name, typeElement(schema, schemas), [said, schema.description].filter(Boolean).join(". "));
  });
}
