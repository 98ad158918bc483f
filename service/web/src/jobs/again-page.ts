/** "Run again with …": the spec of a job, to be changed and submitted as a new one. */

import { ApiError, getCatalog, getJob, submitJob } from "../api/client";
import type { Job } from "../api/types";
import { messagePage } from "../app/message-page";
import { navigate, type Page } from "../app/router";
import { pageHead } from "../job-parts/parts";
import { fill, h, setText } from "../lib/dom";
import { type RadioGroup, radioGroup } from "../lib/radio";
import { nameOf } from "./map-card";
import { type Problem, SpecForm } from "./spec-form";
import type { Schema, Spec } from "./spec-values";

type View = "form" | "json";

const ABOUT =
  "A new job is made; this one stays. What earlier jobs have made of the same spec and files is not computed again.";

/** What a refusal says is wrong, by field. */
export function problemsOf(error: unknown): Problem[] {
  if (!(error instanceof ApiError)) return [];
  const { problems, field } = error.detail;
  if (Array.isArray(problems)) return problems as Problem[];
  return typeof field === "string" ? [{ field, problem: error.message.replace(`${field}: `, "") }] : [];
}

function inLine(problems: readonly Problem[]): string {
  return problems.map(({ field, problem }) => `${field}: ${problem}`).join("; ");
}

class Again {
  readonly element: HTMLElement;
  private readonly form: SpecForm;
  private readonly text = h("textarea", {
    class: "field spec-json",
    label: "The spec as JSON",
    testid: "spec-json",
    attrs: { spellcheck: "false", rows: "24", hidden: "" },
  });
  private readonly problem = h("p", { class: "problem", role: "alert", testid: "spec-problem" });
  private readonly submit = h("button", { class: "button primary", testid: "submit-again" }, "Submit as a new job");
  private readonly views: RadioGroup;
  private view: View = "form";

  constructor(
    private readonly job: Job,
    schema: Schema,
  ) {
    this.form = new SpecForm(schema);
    this.form.show(job.spec as Spec);
    const choices = [
      { value: "form", label: "Form", content: [h("span", {}, "Form")], testid: "as-form" },
      { value: "json", label: "JSON", content: [h("span", {}, "JSON")], testid: "as-json" },
    ];
    this.views = radioGroup("Edit as", "segments two", choices, (value) => this.turn(value as View));
    this.views.select(this.view);
    this.element = h(
      "form",
      { class: "again" },
      this.views.element,
      this.form.element,
      this.text,
      this.problem,
      this.submit,
    );
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
  }

  /** Shows the spec the other way, with what has been changed; not where it is no JSON. */
  private turn(view: View): void {
    const spec = this.read();
    if (!spec) return this.views.select(this.view);
    this.view = view;
    if (view === "form") this.form.show(spec);
    else this.text.value = JSON.stringify(spec, null, 2);
    this.text.hidden = view === "form";
    this.form.element.hidden = view === "json";
  }

  private read(): Spec | null {
    setText(this.problem, "");
    if (this.view === "form") return this.form.value;
    try {
      return JSON.parse(this.text.value) as Spec;
    } catch (error) {
      setText(this.problem, `This is not JSON: ${(error as Error).message}`);
      return null;
    }
  }

  private async send(): Promise<void> {
    const spec = this.read();
    if (!spec) return;
    this.submit.disabled = true;
    try {
      const key = `again-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
      const made = await submitJob({ ...spec, job: this.job.job }, key);
      navigate(`/jobs/${encodeURIComponent(made.id)}`);
    } catch (error) {
      this.submit.disabled = false;
      const problems = problemsOf(error);
      const left = this.view === "form" ? this.form.complain(problems) : problems;
      setText(this.problem, problems.length === 0 ? (error as Error).message : inLine(left));
    }
  }
}

export async function againPage(app: HTMLElement, id: string): Promise<Page> {
  let found: [Job, Awaited<ReturnType<typeof getCatalog>>];
  try {
    found = await Promise.all([getJob(id), getCatalog()]);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return messagePage(app, "No such job", error.message);
    throw error;
  }
  const [job, catalog] = found;
  const types = catalog["jobs"] as { name: string; schema: Schema }[] | undefined;
  const schema = types?.find(({ name }) => name === job.job)?.schema ?? {};
  const jobs = h("a", { href: "/jobs", class: "trail" }, "Jobs");
  const own = h("a", { href: `/jobs/${encodeURIComponent(id)}`, class: "trail" }, nameOf(job));
  const head = pageHead([jobs, own]);
  const title = h("div", { class: "page-title" }, h("h1", {}, "Run again with …"), h("p", { class: "faint" }, ABOUT));
  const main = h("main", { class: "page-main" }, title, new Again(job, schema).element);
  document.title = `Run ${nameOf(job)} again · featurescape`;
  fill(app, h("div", { class: "page" }, head.element, main));
  document.body.dataset.ready = "true";
  return { destroy: head.destroy };
}
