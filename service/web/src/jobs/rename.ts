/** The dialog that gives a job another title. */

import { renameJob } from "../api/client";
import type { Job } from "../api/types";
import { openDialog } from "../lib/dialog";
import { h, setText } from "../lib/dom";

const LONGEST = 200;

/** @param onDone gets the job with its new title */
export function askTitle(job: Job, onDone: (job: Job) => void): void {
  const field = h("input", {
    class: "field",
    testid: "title-field",
    label: "Title",
    attrs: { maxlength: String(LONGEST), placeholder: "No title", dir: "auto" },
  });
  field.value = job.title ?? "";
  const problem = h("p", { class: "problem", role: "alert" });
  const save = h("button", { class: "button primary", testid: "save-title" }, "Save");
  const form = h("form", { class: "dialog-form" }, field, problem, h("div", { class: "dialog-buttons" }, save));
  const { close } = openDialog("Rename", "rename-dialog", form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save.disabled = true;
    renameJob(job.id, field.value.trim() || null)
      .then((renamed) => {
        close();
        onDone(renamed);
      })
      .catch((error: Error) => {
        save.disabled = false;
        setText(problem, error.message);
      });
  });
  field.select();
}
