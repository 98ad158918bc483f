/** The button that switches between light and dark. */

import { fill, h } from "../lib/dom";
import { icon } from "../lib/icons";
import { currentTheme, onTheme, toggleTheme } from "./theme";

export function themeButton(): { element: HTMLElement; destroy: () => void } {
  const element = h("button", { type: "button", class: "icon-button", testid: "theme", on: { click: toggleTheme } });
  const show = () => {
    const dark = currentTheme() === "dark";
    const label = dark ? "Switch to light" : "Switch to dark";
    fill(element, icon(dark ? "sun" : "moon"));
    element.setAttribute("aria-label", label);
    element.title = label;
  };
  show();
  return { element, destroy: onTheme(show) };
}
