/** An OpenAPI description, as far as its page reads it: operations by group, parameters and answers as rows. */

export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  items?: Schema;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  minLength?: number;
  maxLength?: number;
  anyOf?: Schema[];
  oneOf?: Schema[];
  required?: string[];
  properties?: Record<string, Schema>;
  prefixItems?: Schema[];
  additionalProperties?: Schema | boolean;
}

export interface Parameter {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
}

type Content = Record<string, { schema?: Schema; example?: unknown }>;

/** The body of a request, or of an answer. */
export interface Body {
  kind: string;
  schema: Schema | undefined;
  example: unknown;
}

export interface Operation {
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: Parameter[];
  requestBody?: { content?: Content };
  responses?: Record<string, { description?: string; content?: Content }>;
}

export interface Description {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Record<string, Schema> };
}

export interface Route extends Operation {
  method: string;
  path: string;
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

/** The operations by tag, in the order of the description. */
export function groupsOf({ paths }: Description): [tag: string, routes: Route[]][] {
  const groups = new Map<string, Route[]>();
  for (const [path, operations] of Object.entries(paths)) {
    for (const method of METHODS) {
      const operation = operations[method];
      if (!operation) continue;
      const tag = operation.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), { ...operation, method: method.toUpperCase(), path }]);
    }
  }
  return [...groups];
}

/** The name of a schema that is referred to. */
export function refName({ $ref }: Schema): string | null {
  return $ref ? $ref.slice($ref.lastIndexOf("/") + 1) : null;
}

/** A schema as a type in words. */
export function typeOf(schema: Schema | undefined): string {
  if (!schema) return "any";
  const name = refName(schema);
  if (name) return name;
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const kinds = schema.anyOf ?? schema.oneOf;
  if (kinds) return kinds.map(typeOf).join(" | ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.type === "array") return `list of ${typeOf(schema.items)}`;
  if (schema.type === "object" && typeof schema.additionalProperties === "object")
    return `text → ${typeOf(schema.additionalProperties)}`;
  return schema.type === "string" ? "text" : (schema.type ?? "any");
}

/** Range, length and default of a parameter or field, in words. */
export function limitsOf(schema: Schema): string {
  const { minimum, maximum, default: preset } = schema;
  const least = minimum ?? schema.exclusiveMinimum;
  const most = maximum ?? schema.exclusiveMaximum;
  const [from, to] = [minimum === undefined ? "above" : "from", maximum === undefined ? "below" : "up to"];
  const both = minimum !== undefined && maximum !== undefined;
  const range = both
    ? `${minimum} to ${maximum}`
    : [least !== undefined && `${from} ${least}`, most !== undefined && `${to} ${most}`].filter(Boolean).join(", ");
  const length = schema.maxLength === undefined ? "" : `at most ${schema.maxLength} characters`;
  const given = preset === undefined || preset === null || preset === "" ? "" : `default ${JSON.stringify(preset)}`;
  return [range, length, given].filter(Boolean).join(", ");
}

/** The schema and media type of the answer to a success, or of a body. */
export function contentOf(content: Content | undefined): Body | null {
  const [kind] = Object.keys(content ?? {});
  return kind ? { kind, schema: content![kind]!.schema, example: content![kind]!.example } : null;
}

/** The answer to a success. */
export function answerOf({ responses }: Operation): { status: string; content: ReturnType<typeof contentOf> } | null {
  const status = Object.keys(responses ?? {}).find((each) => each.startsWith("2"));
  return status ? { status, content: contentOf(responses![status]!.content) } : null;
}

/** The address of a request: values in the path and the query; empty ones of the query are left out. */
export function addressOf({ path, parameters = [] }: Route, values: Readonly<Record<string, string>>): string {
  const filled = path.replace(/\{([^}]+)\}/g, (_, name: string) =>
    (values[name] ?? "").split("/").map(encodeURIComponent).join("/"),
  );
  const query = new URLSearchParams();
  for (const { name, in: place } of parameters) {
    const value = values[name] ?? "";
    if (place === "query" && value !== "") query.append(name, value);
  }
  return query.size > 0 ? `${filled}?${query}` : filled;
}
