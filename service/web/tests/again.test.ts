// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { againPage } from "../src/jobs/again-page";
import { leaves, type Schema, schemaAt, typedValue, withValue } from "../src/jobs/spec-values";
import { h } from "../src/lib/dom";
import { job } from "./helpers/builders";
import { at, choose, settle, shown, texts, type } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const schema: Schema = {
  properties: {
    perplexity: { anyOf: [{ type: "number" }, { type: "null" }], description: "As in openTSNE." },
    metric: { enum: ["euclidean", "cosine"], type: "string" },
    reuse: { type: "boolean" },
    title: { anyOf: [{ type: "string" }, { type: "null" }] },
    dataset: { $ref: "#/$defs/DatasetSpec" },
  },
  $defs: { DatasetSpec: { properties: { name: { type: "string" }, limit: { type: "integer" } } } },
};
const spec = {
  job: "embedding",
  perplexity: null,
  metric: "euclidean",
  reuse: true,
  title: null,
  dataset: { name: "digits", limit: 4 },
  layers: ["a", "b"],
};

describe("values of a spec", () => {
  it("are opened by dotted path, but the job's type, and put back", () => {
    expect(leaves(spec).map(([path]) => path)).toEqual([
      ...["perplexity", "metric", "reuse", "title", "dataset.name", "dataset.limit", "layers"],
    ]);
    expect(withValue(spec, "dataset.limit", 9)).toEqual({ ...spec, dataset: { name: "digits", limit: 9 } });
    expect(spec.dataset.limit).toBe(4);
  });

  it("have the schema of their path, through references and choices", () => {
    expect(schemaAt(schema, "dataset.limit")).toEqual({ type: "integer" });
    expect(schemaAt(schema, "dataset.nothing")).toBeUndefined();
  });

  it("are typed as text where the schema takes text, else as JSON", () => {
    const text = [{ type: "string" }, { type: "null" }];
    expect(typedValue("12", text, null)).toBe("12");
    expect(typedValue("12", [{ type: "number" }], 3)).toBe(12);
    expect(typedValue(" ", text, "x")).toBeNull();
    expect(typedValue('["a"]', [{ type: "array" }], null)).toEqual(["a"]);
    expect(typedValue("twelve", [{ type: "number" }], 3)).toBe("twelve");
  });
});

describe("running a job again", () => {
  let service: Service;
  let app: HTMLElement;
  const submit = async () => {
    app.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
  };

  beforeEach(async () => {
    history.replaceState(null, "", "/jobs/embedding-1/again");
    service = new Service()
      .on(/GET \/v1\/jobs\/embedding-1$/, job({ id: "embedding-1", spec }))
      .on(/catalog/, { jobs: [{ name: "embedding", schema }] })
      .on(/POST \/v1\/jobs$/, job({ id: "embedding-2" }));
    app = shown(h("div"));
    await againPage(app, "embedding-1");
  });
  afterEach(() => vi.unstubAllGlobals());

  it("submits the spec with what was changed, and goes to the new job", async () => {
    expect(texts(app, ".spec-field .faint")).toEqual(["As in openTSNE."]);
    type(at(app, "field-perplexity"), "12.5");
    choose(at(app, "field-metric"), "cosine");
    (at(app, "field-reuse") as HTMLInputElement).checked = false;
    await submit();
    const posted = service.asked.at(-1)!;
    expect(posted.body).toEqual({ ...spec, perplexity: 12.5, metric: "cosine", reuse: false });
    expect(posted.headers["Idempotency-Key"]).toMatch(/^again-/);
    expect(location.pathname).toBe("/jobs/embedding-2");
  });

  it("says what is wrong at its field, and the rest below", async () => {
    const problems = [
      { field: "dataset.limit", problem: "at least 1" },
      { field: "layers.1", problem: "no such layer" },
      { field: "embedding", problem: "missing" },
    ];
    service.on(/POST/, new Refusal(422, "invalid_spec", "dataset.limit: at least 1 (and 2 more)", { problems }));
    await submit();
    const said = (field: string) => at(app, field).parentElement!.querySelector("[role=alert]")!.textContent;
    expect([said("field-dataset.limit"), said("field-layers"), said("field-metric")]).toEqual([
      ...["at least 1", "no such layer", ""],
    ]);
    expect(at(app, "field-dataset.limit").getAttribute("aria-invalid")).toBe("true");
    expect(at(app, "spec-problem").textContent).toBe("embedding: missing");
    expect(location.pathname).toBe("/jobs/embedding-1/again");
  });

  it("is edited as JSON, too, with what was changed in the form", async () => {
    type(at(app, "field-dataset.limit"), "7");
    at(app, "as-json").click();
    const text = at(app, "spec-json") as HTMLTextAreaElement;
    expect(JSON.parse(text.value).dataset.limit).toBe(7);
    text.value = "{";
    at(app, "as-form").click();
    expect(at(app, "spec-problem").textContent).toMatch(/^This is not JSON/);
    expect(at(app, "as-json").getAttribute("aria-checked")).toBe("true");
    text.value = JSON.stringify({ ...spec, metric: "cosine" });
    at(app, "as-form").click();
    expect((at(app, "field-metric") as HTMLSelectElement).value).toBe("cosine");
  });
});
