/** Where the service asks for its token: trades it for a cookie that scripts cannot read. */

import { login } from "../api/client";
import { fill, h, setText } from "../lib/dom";
import { mark } from "../lib/icons";
import type { Page } from "./router";

export function loginPage(app: HTMLElement, onDone: () => void): Page {
  document.title = "Sign in · featurescape";
  const input = h("input", {
    class: "field",
    type: "password",
    label: "Token",
    testid: "token",
    attrs: { autocomplete: "current-password", placeholder: "Token", required: "" },
  });
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h("form", { class: "login" }, input, h("button", { class: "button" }, "Sign in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    login(input.value).then(onDone, (error: Error) => setText(problem, error.message));
  });
  const about = "This service asks for the token that it was started with (FEATURESCAPE_TOKEN).";
  fill(app, h("main", { class: "message-page" }, mark(), h("h1", {}, "Sign in"), h("p", {}, about), form, problem));
  input.focus();
  document.body.dataset.ready = "true";
  return { destroy: () => undefined };
}
