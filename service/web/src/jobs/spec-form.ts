/** A job's spec as a form: a field for each value, typed by the JSON schema of its job type. */

import { h, setText } from "../lib/dom";
import { choices, type Json, leaves, type Schema, type Spec, schemaAt, typedValue, withValue } from "./spec-values";

export interface Problem {
  field: string;
  problem: string;
}

function checkbox(checked: boolean): HTMLInputElement {
  const box = h("input", { type: "checkbox" });
  box.checked = checked;
  return box;
}

function textField(value: Json): HTMLInputElement {
  const attrs = { autocomplete: "off", spellcheck: "false", placeholder: "none" };
  const input = h("input", { class: "field", attrs });
  input.value = value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
  return input;
}

function selectOf(values: readonly Json[], chosen: Json): HTMLSelectElement {
  const name = (value: Json) => (value === null ? "none" : typeof value === "string" ? value : JSON.stringify(value));
  const options = values.map((value) => h("option", { attrs: { value: name(value) } }, name(value)));
  const element = h("select", { class: "field select" }, ...options);
  element.selectedIndex = values.indexOf(chosen);
  return element;
}

class Field {
  readonly element: HTMLElement;
  private readonly input: HTMLInputElement | HTMLSelectElement;
  private readonly problem = h("p", { class: "problem", role: "alert" });
  private readonly kinds: Schema[];
  /** Values of the options, where it is a choice. */
  private values: Json[] = [];

  constructor(
    readonly path: string,
    private readonly before: Json,
    root: Schema,
  ) {
    const schema = schemaAt(root, path);
    this.kinds = choices(schema, root);
    this.input = this.made();
    this.input.id = `field-${path}`;
    this.input.dataset["testid"] = this.input.id;
    const label = h("label", { attrs: { for: this.input.id } }, h("code", {}, path));
    const about = schema?.description && h("p", { class: "faint" }, schema.description);
    this.element = h("div", { class: "spec-field" }, label, h("div", {}, this.input, about, this.problem));
  }

  get value(): Json {
    if (this.input instanceof HTMLSelectElement) return this.values[this.input.selectedIndex] ?? null;
    if (this.input.type === "checkbox") return this.input.checked;
    return typedValue(this.input.value, this.kinds, this.before);
  }

  complain(text: string): void {
    setText(this.problem, text);
    this.input.setAttribute("aria-invalid", String(text !== ""));
  }

  focus(): void {
    this.input.focus();
  }

  private made(): HTMLInputElement | HTMLSelectElement {
    if (typeof this.before === "boolean") return checkbox(this.before);
    const values = this.kinds.find((each) => each.enum)?.enum;
    if (!values || this.kinds.some((each) => !each.enum && each.type !== "null")) return textField(this.before);
    const nullable = this.kinds.some((each) => each.type === "null") ? [null] : [];
    this.values = [...new Set([this.before, ...values, ...nullable])];
    return selectOf(this.values, this.before);
  }
}

export class SpecForm {
  readonly element = h("div", { class: "spec-form" });
  private fields: Field[] = [];
  private spec: Spec = {};

  constructor(private readonly schema: Schema) {}

  show(spec: Spec): void {
    this.spec = spec;
    this.fields = leaves(spec).map(([path, value]) => new Field(path, value, this.schema));
    this.element.replaceChildren(...this.fields.map((field) => field.element));
  }

  get value(): Spec {
    return this.fields.reduce((spec, field) => withValue(spec, field.path, field.value), this.spec);
  }

  /** Says what is wrong at the fields; returns what belongs to none of them. */
  complain(problems: readonly Problem[]): Problem[] {
    for (const field of this.fields) field.complain("");
    const fieldOf = ({ field }: Problem) =>
      this.fields.find(({ path }) => field === path || field.startsWith(`${path}.`));
    for (const problem of problems) fieldOf(problem)?.complain(problem.problem);
    problems.map(fieldOf).find(Boolean)?.focus();
    return problems.filter((problem) => !fieldOf(problem));
  }
}
