// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

/** What the system prefers, and who wants to know when that changes. */
class System {
  matches = false;
  private readonly listeners: (() => void)[] = [];
  constructor() {
    vi.stubGlobal("matchMedia", () => this);
  }
  addEventListener(_: string, listener: () => void): void {
    this.listeners.push(listener);
  }
  prefers(light: boolean): void {
    this.matches = light;
    for (const listener of this.listeners) listener();
  }
}

type Themes = typeof import("../src/app/theme");
let system: System;

/** The module as a page that has just been opened has it. */
async function opened(): Promise<Themes> {
  vi.resetModules();
  return import("../src/app/theme");
}

beforeEach(() => {
  localStorage.clear();
  system = new System();
});
afterEach(() => vi.unstubAllGlobals());

const page = () => document.documentElement.dataset["theme"];

describe("light and dark", () => {
  it("follow the system until somebody chooses", async () => {
    const themes = await opened();
    themes.startTheme();
    expect([themes.themeChoice(), page()]).toEqual(["system", "dark"]);
    system.prefers(true);
    expect(page()).toBe("light");
  });

  it("are kept in this browser once they are chosen", async () => {
    const first = await opened();
    first.setThemeChoice("light");
    expect(localStorage.getItem("featurescape.theme")).toBe("light");
    const next = await opened();
    next.startTheme();
    expect(page()).toBe("light");
    system.prefers(false);
    expect(page()).toBe("light");
  });

  it("go back to the system's where the switch meets it, and nothing is kept then", async () => {
    const themes = await opened();
    themes.toggleTheme();
    expect([themes.themeChoice(), themes.currentTheme()]).toEqual(["light", "light"]);
    themes.toggleTheme();
    expect([themes.themeChoice(), themes.currentTheme()]).toEqual(["system", "dark"]);
    expect(localStorage.getItem("featurescape.theme")).toBeNull();
  });

  it("take no other word for a choice", async () => {
    localStorage.setItem("featurescape.theme", "<b>");
    expect((await opened()).themeChoice()).toBe("system");
  });

  it("last as long as the page where a browser keeps nothing", async () => {
    const denied = () => {
      throw new DOMException("denied", "SecurityError");
    };
    vi.stubGlobal("localStorage", { getItem: denied, setItem: denied, removeItem: denied });
    const themes = await opened();
    expect(themes.themeChoice()).toBe("system");
    themes.setThemeChoice("light");
    expect(themes.currentTheme()).toBe("light");
  });

  it("tell who listens, until they no longer do", async () => {
    const themes = await opened();
    const heard: string[] = [];
    const end = themes.onTheme((theme) => heard.push(theme));
    themes.setThemeChoice("light");
    themes.setThemeChoice("dark");
    end();
    themes.setThemeChoice("light");
    expect(heard).toEqual(["light", "dark"]);
  });
});

describe("the button", () => {
  it("says what it would do, and does it", async () => {
    vi.resetModules();
    const { themeButton } = await import("../src/app/theme-button");
    const { element, destroy } = themeButton();
    expect(element.getAttribute("aria-label")).toBe("Switch to light");
    element.click();
    expect(page()).toBe("light");
    expect(element.getAttribute("aria-label")).toBe("Switch to dark");
    destroy();
    element.click();
    expect(page()).toBe("dark");
    expect(element.getAttribute("aria-label"), "nobody looks at it any more").toBe("Switch to dark");
  });
});
