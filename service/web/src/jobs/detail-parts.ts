/** The parts of a job's page: spec, inputs, timings, quality figures, files. */

import { fileUrl } from "../api/client";
import type { Job, Manifest, PassedOverFiles } from "../api/types";
import { h } from "../lib/dom";
import { formatBytes, formatCount, formatDuration, humanize, plural } from "../lib/format";
import { icon } from "../lib/icons";
import { figures } from "./figures";

function section(title: string, ...content: (Node | null)[]): HTMLElement {
  return h("section", { class: "block" }, h("h2", {}, title), ...content);
}

/** A value of a spec in one line. */
export function specValue(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(specValue).join(", ");
  return typeof value === "number" ? String(value) : typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A nested spec as rows of dotted field and value; empty fields are left out. */
export function specRows(spec: Record<string, unknown>, prefix = ""): [string, string][] {
  return Object.entries(spec).flatMap(([key, value]): [string, string][] => {
    if (value === null || (prefix === "" && key === "job")) return [];
    if (typeof value === "object" && !Array.isArray(value)) {
      return specRows(value as Record<string, unknown>, `${prefix}${key}.`);
    }
    return [[prefix + key, specValue(value)]];
  });
}

export function specBlock(spec: Record<string, unknown>): HTMLElement {
  const rows = specRows(spec).map(([field, value]) => h("div", {}, h("dt", {}, field), h("dd", {}, value)));
  return section("Spec", h("dl", { class: "table" }, ...rows));
}

export function inputsBlock(job: Job): HTMLElement | null {
  const inputs = Object.entries(job.inputs);
  if (inputs.length === 0) return null;
  const rows = inputs.map(([field, id]) =>
    h(
      "div",
      {},
      h("dt", {}, field),
      h("dd", {}, h("a", { href: `/jobs/${encodeURIComponent(id)}` }, h("code", {}, id))),
    ),
  );
  return section("Inputs", h("dl", { class: "table" }, ...rows));
}

export function timingsBlock(manifest: Manifest): HTMLElement | null {
  const timings = Object.entries(manifest.timings_seconds);
  if (timings.length === 0) return null;
  const most = Math.max(...timings.map(([, seconds]) => seconds), 1e-9);
  const rows = timings.map(([stage, seconds]) => {
    const bar = h("i", {});
    bar.style.width = `${(100 * seconds) / most}%`;
    return h(
      "div",
      {},
      h("dt", {}, humanize(stage)),
      h("dd", { class: "timing" }, h("span", { class: "track" }, bar), formatDuration(seconds)),
    );
  });
  return section("Time per stage", h("dl", { class: "table" }, ...rows));
}

/** Fewer examples are too few for t-SNE. */
const TSNE_EXAMPLES = 8;

/** How an embedding was laid out, where it was not by t-SNE; else null. */
export function layoutNote({ details, rows }: Pick<Manifest, "details" | "rows">): string | null {
  if (details["method"] !== "PCA") return null;
  const why =
    rows < TSNE_EXAMPLES
      ? `${plural(rows, "example")} ${rows === 1 ? "is" : "are"} too few for t-SNE`
      : "all examples are equally far from one another";
  return `Laid out by PCA, as ${why}.`;
}

export function qualityBlock(manifest: Manifest): HTMLElement | null {
  const found = figures(manifest.details).slice(0, 24);
  if (found.length === 0) return null;
  const cards = found.map(({ name, value }) =>
    h("div", { class: "figure-card" }, h("dd", {}, value), h("dt", {}, name)),
  );
  const note = layoutNote(manifest);
  return section(
    "Figures",
    note ? h("p", { class: "layout-note", testid: "layout-note" }, note) : null,
    h("dl", { class: "figures" }, ...cards),
  );
}

/** Kind of file, how many with the first names, and what can be done; the commonest first. */
export function passedOverRows({ reasons }: PassedOverFiles): [string, string, string][] {
  return reasons.map(({ reason, count, names }) => {
    const [kind, ...hint] = reason.split(": ");
    const more = count > names.length ? ", …" : "";
    return [kind!.replace(/^an? /, ""), `${formatCount(count)}: ${names.join(", ")}${more}`, hint.join(": ")];
  });
}

export function passedOverBlock(manifest: Manifest): HTMLElement | null {
  if (manifest.passed_over.files === 0) return null;
  const rows = passedOverRows(manifest.passed_over).map(([kind, found, hint]) =>
    h("div", {}, h("dt", {}, kind), h("dd", {}, found, hint ? h("span", { class: "faint" }, ` – ${hint}`) : null)),
  );
  return section("Passed over", h("dl", { class: "table", testid: "passed-over" }, ...rows));
}

/** What is said of rows that were kept: how many of each kind, and the first ones. */
export function remarksBlock({ details }: Pick<Manifest, "details">): HTMLElement | null {
  const remarks = Object.entries((details["remarks"] ?? {}) as Record<string, { rows: number; first: string[] }>);
  if (remarks.length === 0) return null;
  const rows = remarks.map(([code, { rows: count, first }]) =>
    h(
      "div",
      {},
      h("dt", {}, humanize(code)),
      h("dd", {}, `${formatCount(count)}: ${first.join(", ")}${count > first.length ? ", …" : ""}`),
    ),
  );
  return section("Kept, but", h("dl", { class: "table", testid: "remarks" }, ...rows));
}

const SHOWN_FILES = 200;

export function filesBlock(manifest: Manifest): HTMLElement {
  const rows = manifest.files
    .slice(0, SHOWN_FILES)
    .map((file) =>
      h(
        "li",
        {},
        h(
          "a",
          { href: fileUrl(manifest.job_id, file.path), attrs: { download: "" } },
          icon("download"),
          h("code", {}, file.path),
        ),
        h(
          "span",
          { class: "faint" },
          file.rows === null || file.rows === undefined ? "" : `${formatCount(file.rows)} rows`,
        ),
        h("span", { class: "faint size" }, formatBytes(file.size_bytes)),
      ),
    );
  const more = manifest.files.length - SHOWN_FILES;
  return section(
    "Files",
    h("ul", { class: "files" }, ...rows),
    more > 0 ? h("p", { class: "faint" }, `and ${formatCount(more)} more, named in the manifest`) : null,
  );
}
