/** Light and dark: the system's choice unless the person made one, which is kept in this browser. */

import type { Theme } from "../tiles/colormaps";

export type ThemeChoice = "system" | Theme;

const KEY = "featurescape.theme";
let media: MediaQueryList | undefined;
const listeners = new Set<(theme: Theme) => void>();

/** What the system prefers; asked for when it is needed, so that tests without a window can import this. */
function system(): MediaQueryList {
  media ??= window.matchMedia("(prefers-color-scheme: light)");
  return media;
}

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "dark" || value === "light" ? value : "system";
  } catch {
    return "system"; // An embedding page may deny storage.
  }
}

let choice: ThemeChoice = stored();

export function themeChoice(): ThemeChoice {
  return choice;
}

/** The theme that is shown now. */
export function currentTheme(): Theme {
  if (choice !== "system") return choice;
  return system().matches ? "light" : "dark";
}

function apply(): void {
  const theme = currentTheme();
  document.documentElement.dataset.theme = theme;
  for (const listener of [...listeners]) listener(theme);
}

export function setThemeChoice(next: ThemeChoice): void {
  choice = next;
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // The choice then lasts as long as the page.
  }
  apply();
}

/** The other theme than the one shown. */
export function toggleTheme(): void {
  const other: Theme = currentTheme() === "dark" ? "light" : "dark";
  const followed: Theme = system().matches ? "light" : "dark";
  setThemeChoice(other === followed ? "system" : other);
}

export function onTheme(listener: (theme: Theme) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function startTheme(): void {
  system().addEventListener("change", apply);
  apply();
}
