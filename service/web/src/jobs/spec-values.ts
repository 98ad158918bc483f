/** A job's spec as values by dotted path, and what its JSON schema says of each. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export interface Spec {
  [key: string]: Json;
}

/** A JSON schema, as far as a field needs it. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string;
  enum?: Json[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  properties?: Record<string, Schema>;
  description?: string;
}

function isGroup(value: Json | undefined): value is Spec {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The parts of a schema that a value may be of: references followed, choices laid out. */
export function choices(schema: Schema | undefined, root: Schema): Schema[] {
  if (!schema) return [];
  if (schema.$ref) return choices(root.$defs?.[schema.$ref.replace("#/$defs/", "")], root);
  const several = schema.anyOf ?? schema.oneOf;
  return several ? several.flatMap((each) => choices(each, root)) : [schema];
}

/** The schema of a dotted path; undefined where none says it. */
export function schemaAt(root: Schema, path: string): Schema | undefined {
  return path.split(".").reduce<Schema | undefined>((found, key) => {
    const known = choices(found, root).find((each) => each.properties?.[key]);
    return known?.properties?.[key];
  }, root);
}

/** The values of a spec by dotted path; groups are opened, lists are not. The job type is no field. */
export function leaves(spec: Spec, prefix = ""): [path: string, value: Json][] {
  return Object.entries(spec).flatMap(([key, value]): [string, Json][] => {
    const path = prefix + key;
    if (path === "job") return [];
    return isGroup(value) && Object.keys(value).length > 0 ? leaves(value, `${path}.`) : [[path, value]];
  });
}

/** A spec with another value at a dotted path. */
export function withValue(spec: Spec, path: string, value: Json): Spec {
  const [key, ...rest] = path.split(".");
  if (rest.length === 0) return { ...spec, [key!]: value };
  const inner = spec[key!];
  return { ...spec, [key!]: withValue(isGroup(inner) ? inner : {}, rest.join("."), value) };
}

/** What is typed as a value: text where the schema takes text alone, else JSON; nothing is null. */
export function typedValue(text: string, kinds: readonly Schema[], before: Json): Json {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  const takes = (...types: string[]) => kinds.some((each) => types.includes(each.type ?? ""));
  const textual = typeof before === "string" || (takes("string") && !takes("number", "integer"));
  try {
    const parsed = JSON.parse(trimmed) as Json;
    return textual && typeof parsed !== "object" ? text : parsed;
  } catch {
    return text;
  }
}
