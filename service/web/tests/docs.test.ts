// @vitest-environment happy-dom
import { afterEach, describe, expect, it, vi } from "vitest";
import { bodyElement, curlOf } from "../src/docs/body";
import { addressOf, contentOf, groupsOf, limitsOf, typeOf } from "../src/docs/openapi";
import { docsPage } from "../src/docs/page";
import { shownText } from "../src/docs/try-it";
import { h } from "../src/lib/dom";
import { at, settle, shown, texts } from "./helpers/page";
import { Service } from "./helpers/service";

const described = {
  paths: {
    "/v1/jobs/{job_id}/files/{path}": {
      get: {
        tags: ["artifacts"],
        description: "A file of the artifact. Only names in the manifest lead to a file.",
        parameters: [
          { name: "job_id", in: "path", required: true, schema: { type: "string" } },
          { name: "path", in: "path", required: true, schema: { type: "string" } },
          { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 1000, default: 100 } },
        ],
        responses: {
          "200": { content: { "application/json": { schema: { $ref: "#/components/schemas/JobPage" } } } },
        },
      },
      delete: { tags: ["jobs"], description: "Delete it.", responses: { "204": {} } },
    },
  },
  components: {
    schemas: { JobPage: { properties: { total: { type: "integer", description: "How many <b>match</b>." } } } },
  },
};

afterEach(() => vi.unstubAllGlobals());

describe("the description of the API", () => {
  it("is read group by group", () => {
    const found = groupsOf(described).map(([tag, routes]) => [tag, ...routes.map(({ method }) => method)]);
    expect(found).toEqual([
      ["artifacts", "GET"],
      ["jobs", "DELETE"],
    ]);
  });

  it("has types and limits in words", () => {
    expect(typeOf({ anyOf: [{ type: "array", items: { type: "string" } }, { type: "null" }] })).toBe(
      "list of text | null",
    );
    expect(typeOf({ enum: ["a", "b"] })).toBe('"a" | "b"');
    expect(typeOf({ type: "object", additionalProperties: { type: "number" } })).toBe("text → number");
    expect(limitsOf({ minimum: 1, maximum: 1000, default: 100 })).toBe("1 to 1000, default 100");
    expect(limitsOf({ minimum: 0 })).toBe("from 0");
    expect(limitsOf({})).toBe("");
  });

  it("gives addresses whose values are no more than values", () => {
    const [[, [route]]] = groupsOf(described) as [[string, Parameters<typeof addressOf>[0][]]];
    const values = { job_id: "a?b", path: "data/x y.json", limit: "5" };
    expect(addressOf(route!, values)).toBe("/v1/jobs/a%3Fb/files/data/x%20y.json?limit=5");
    expect(addressOf(route!, { job_id: "a", path: "x" })).toBe("/v1/jobs/a/files/x");
  });
});

describe("the body of a request", () => {
  const [[, [find]]] = groupsOf({
    paths: {
      "/v1/maps/{job_id}/find": {
        post: {
          tags: ["maps"],
          requestBody: {
            content: {
              "application/json": {
                schema: { $ref: "#/components/schemas/FindPage" },
                example: { words: "it's <b>" },
              },
            },
          },
        },
      },
    },
  }) as [[string, Parameters<typeof addressOf>[0][]]];
  const schemas = {
    FindPage: {
      required: ["words"],
      properties: {
        words: { type: "string", maxLength: 1000, description: "All of `words`." },
        limit: { type: "integer", exclusiveMinimum: 0, maximum: 1000, default: 100 },
        by: { oneOf: [{ $ref: "#/components/schemas/FindPage" }, { type: "null" }] },
      },
    },
  };

  it("has fields with types, limits, defaults, and which are required", () => {
    const body = contentOf(find!.requestBody!.content)!;
    const element = shown(bodyElement(find!, body, schemas));
    expect(texts(element, "dd p")).toEqual([
      "required, at most 1000 characters. All of words.",
      "above 0, up to 1000, default 100",
    ]);
    expect(texts(element, "dd .type")).toEqual(["text", "integer", "FindPage | null"]);
    expect(element.querySelectorAll('a[href="#schema-FindPage"]')).toHaveLength(2);
  });

  it("is a command that a shell takes as it is, and is copied", async () => {
    const body = contentOf(find!.requestBody!.content)!;
    expect(curlOf("http://x", find!, body)).toBe(
      `curl -X POST 'http://x/v1/maps/{job_id}/find' \\\n  -H 'Content-Type: application/json' \\\n  -d '{"words":"it'\\''s <b>"}'`,
    );
    expect(curlOf("http://x", find!, { kind: "image/*", schema: {}, example: undefined })).toContain(
      "'Content-Type: image/png' \\\n  --data-binary @FILE",
    );
    const writeText = vi.fn(async () => undefined);
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    const element = shown(bodyElement(find!, body, schemas));
    element.querySelector<HTMLButtonElement>(".command button")!.click();
    await settle();
    expect(writeText).toHaveBeenCalledWith(curlOf(location.origin, find!, body));
    expect(at(document, "notice").textContent).toBe("The command is copied");
  });
});

describe("the page of the API", () => {
  it("shows routes and schemas as text, and tries a GET", async () => {
    const service = new Service().on(/openapi/, described);
    const app = shown(h("div"));
    const page = await docsPage(app);
    expect(texts(app, ".route-path")).toEqual(["/v1/jobs/{job_id}/files/{path}", "/v1/jobs/{job_id}/files/{path}"]);
    expect(texts(app, "#schema-JobPage p").at(-1)).toBe("How many <b>match</b>.");
    expect(app.querySelectorAll("[data-testid=try]")).toHaveLength(1);
    const [job, path] = app.querySelectorAll<HTMLInputElement>(".try input");
    [job!.value, path!.value] = ["features-1", "x"];
    vi.stubGlobal("fetch", async (address: string) => {
      service.asked.push({ method: "GET", path: address, body: null, headers: {} });
      return new Response('{"a":1}', { status: 200, headers: { "content-type": "application/json" } });
    });
    at(app, "try").dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
    await new Promise((done) => setTimeout(done, 0));
    expect(service.paths.at(-1)).toBe("/v1/jobs/features-1/files/x");
    expect(texts(app, "pre.log")).toEqual(['{\n  "a": 1\n}']);
    expect(page.follow!({ page: "docs" })).toBe(true);
    page.destroy();
  });

  it("shows the beginning of a long answer", () => {
    expect(shownText("application/json", '{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
    expect(shownText("text/plain", "x".repeat(30_000))).toHaveLength(20_002);
    expect(shownText("application/json", "{")).toBe("{");
  });
});
