// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from "vitest";
import { fill, h, isTyping, reducedMotion, setText } from "../src/lib/dom";
import { icon, mark } from "../src/lib/icons";
import { type Choice, radioGroup } from "../src/lib/radio";
import { HelpDialog } from "../src/map/help";
import { press, shown, texts } from "./helpers/page";

beforeEach(() => document.body.replaceChildren());

describe("an element", () => {
  it("takes text from outside as text, whatever it looks like", () => {
    const element = h("p", { title: '"><b>' }, "<img src=x onerror=alert(1)>", h("b", {}, "bold"));
    expect(element.querySelector("img")).toBeNull();
    expect(element.textContent).toBe("<img src=x onerror=alert(1)>bold");
    expect(element.title).toBe('"><b>');
    expect(element.childElementCount).toBe(1);
  });

  it("leaves out children that are not there, but not an empty text", () => {
    const element = h("p", {}, null, false, undefined, "", "a");
    expect(element.childNodes).toHaveLength(2);
    expect(element.textContent).toBe("a");
  });

  it("has the properties that were given, and none that were not", () => {
    const bare = h("a");
    expect(bare.getAttributeNames()).toEqual([]);
    const link = h("a", {
      class: "button",
      href: "/jobs",
      role: "tab",
      tabIndex: 0,
      testid: "open",
      label: "Open",
      attrs: { "aria-pressed": "true" },
    });
    expect(link.className).toBe("button");
    expect(link.getAttribute("href")).toBe("/jobs");
    expect(link.getAttribute("role")).toBe("tab");
    expect(link.tabIndex).toBe(0);
    expect(link.dataset["testid"]).toBe("open");
    expect(link.getAttribute("aria-label")).toBe("Open");
    expect(link.getAttribute("aria-pressed")).toBe("true");
  });

  it("tells its listeners", () => {
    const heard = vi.fn();
    const button = h("button", { type: "button", on: { click: heard } }, "go");
    button.click();
    button.click();
    expect(heard).toHaveBeenCalledTimes(2);
  });

  it("is filled anew, without what was in it", () => {
    const list = h("ul", {}, h("li", {}, "old"));
    fill(list, h("li", {}, "one"), null, h("li", {}, "two"));
    expect(texts(list, "li")).toEqual(["one", "two"]);
  });

  it("keeps its text node where the text is the same", () => {
    const element = h("p", {}, "same");
    const node = element.firstChild;
    setText(element, "same");
    expect(element.firstChild).toBe(node);
    setText(element, "other");
    expect(element.textContent).toBe("other");
  });
});

describe("a text field", () => {
  it("is one in which people type: inputs, areas, selects", () => {
    for (const tag of ["input", "textarea", "select"] as const) expect(isTyping(h(tag))).toBe(true);
    expect(isTyping(h("button"))).toBe(false);
    expect(isTyping(null)).toBe(false);
    expect(isTyping(document)).toBe(false);
  });
});

describe("less motion", () => {
  it("is what the person asked the system for", () => {
    const asked: string[] = [];
    vi.stubGlobal("matchMedia", (query: string) => {
      asked.push(query);
      return { matches: true };
    });
    expect(reducedMotion()).toBe(true);
    expect(asked).toEqual(["(prefers-reduced-motion: reduce)"]);
    vi.unstubAllGlobals();
  });
});

describe("icons", () => {
  it("are for eyes only: the element around them has the name", () => {
    for (const drawing of [icon("close"), mark()]) {
      expect(drawing.getAttribute("aria-hidden")).toBe("true");
      expect(drawing.childElementCount).toBeGreaterThan(0);
    }
    expect(icon("help").querySelectorAll("path")).toHaveLength(2);
    expect(mark().querySelectorAll("circle")).toHaveLength(6);
  });
});

describe("a group of choices", () => {
  const choices: Choice[] = ["a", "b", "c"].map((value) => ({
    value,
    label: `Choice ${value}`,
    testid: `choice-${value}`,
    content: [document.createTextNode(value)],
  }));
  const checked = (element: HTMLElement) =>
    [...element.querySelectorAll("button")].map((button) => button.getAttribute("aria-checked"));

  it("has one tab stop: the choice", () => {
    const group = radioGroup("Letters", "letters", choices, () => undefined);
    group.select("b");
    const buttons = [...group.element.querySelectorAll("button")];
    expect(buttons.map((button) => button.tabIndex)).toEqual([-1, 0, -1]);
    expect(checked(group.element)).toEqual(["false", "true", "false"]);
    expect(group.element.getAttribute("role")).toBe("radiogroup");
    expect(group.element.getAttribute("aria-label")).toBe("Letters");
  });

  it("does not tell of a choice that the program made, and tells of one by hand", () => {
    const heard = vi.fn();
    const group = radioGroup("Letters", "letters", choices, heard);
    group.select("a");
    expect(heard).not.toHaveBeenCalled();
    group.element.querySelector<HTMLElement>('[data-value="c"]')!.click();
    expect(heard.mock.calls).toEqual([["c"]]);
  });

  it("is walked by arrow keys, from the last to the first", () => {
    const heard = vi.fn();
    const group = radioGroup("Letters", "letters", choices, heard);
    shown(group.element);
    group.select("b");
    for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]) press(group.element, key);
    expect(heard.mock.calls.flat()).toEqual(["c", "a", "c", "b"]);
    expect(document.activeElement).toBe(group.element.querySelector('[data-value="b"]'));
  });

  it("leaves other keys to the page, and its own to nobody else", () => {
    const outside = vi.fn();
    const group = radioGroup("Letters", "letters", choices, () => undefined);
    group.select("a");
    const host = h("div", { on: { keydown: outside } }, group.element);
    shown(host);
    expect(press(group.element, "Enter")).toBe(false);
    expect(outside).toHaveBeenCalledTimes(1);
    expect(press(group.element, "ArrowRight")).toBe(true);
    expect(outside).toHaveBeenCalledTimes(1);
  });
});

const SHORTCUTS = [
  { key: "f", about: "Show the whole map", run: () => undefined },
  { key: "/", about: "Search", run: () => undefined },
];

describe("the list of shortcuts", () => {
  it("opens and closes, by its own key and by its button", () => {
    const dialog = new HelpDialog(SHORTCUTS);
    shown(dialog.element);
    expect(dialog.element.open).toBe(false);
    dialog.toggle();
    expect(dialog.element.open).toBe(true);
    dialog.toggle();
    expect(dialog.element.open).toBe(false);
    dialog.toggle();
    dialog.element.querySelector("button")!.click();
    expect(dialog.element.open).toBe(false);
  });

  it("closes by a click beside it, not by one in it", () => {
    const dialog = new HelpDialog(SHORTCUTS);
    shown(dialog.element);
    dialog.toggle();
    dialog.element.querySelector("dl")!.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    expect(dialog.element.open).toBe(true);
    dialog.element.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    expect(dialog.element.open).toBe(false);
  });

  it("names every key that the page listens to", () => {
    const keys = texts(new HelpDialog(SHORTCUTS).element, "kbd");
    for (const key of ["F", "/", "Esc"]) expect(keys).toContain(key);
  });
});
