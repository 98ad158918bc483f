// @vitest-environment happy-dom

import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { h } from "../src/lib/dom";
import { share } from "../src/lib/share";
import { toolBar } from "../src/map/bar";
import { linkOf } from "../src/map/share-part";
import { type MapFacts, parseMapState } from "../src/map/url-state";
import { at } from "./helpers/page";

const FACTS: MapFacts = {
  layers: ["thumbnails", "category"],
  arrangements: ["exact", "grid"],
  first: "thumbnails",
  firstArrangement: "exact",
  classes: [0, 1],
  examples: 100,
  maxZoom: 6,
};

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
});

describe("the bar", () => {
  const tool = (label: string) => h("button", { type: "button", class: "icon-button", label });
  function opened() {
    const bar = toolBar([tool("Search")], [tool("Names"), tool("Keyboard shortcuts")]);
    document.body.append(bar.element);
    return { bar, more: at(document, "more") as HTMLButtonElement };
  }
  const open = (more: HTMLElement) => more.getAttribute("aria-expanded") === "true";

  it("has every tool once, and a menu that a tool, Escape or a press beside it closes", () => {
    const { bar, more } = opened();
    const names = [...bar.element.querySelectorAll("button")].map((each) => each.getAttribute("aria-label"));
    expect(names).toEqual(["Search", "More", "Names", "Keyboard shortcuts"]);
    expect(document.getElementById(more.getAttribute("aria-controls")!)!.children).toHaveLength(2);
    const closing: (() => void)[] = [
      () => more.click(),
      () => bar.element.querySelector<HTMLElement>("[aria-label=Names]")!.click(),
      () => more.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true })),
      () => document.body.dispatchEvent(new Event("pointerdown", { bubbles: true })),
    ];
    for (const close of closing) {
      more.click();
      expect(open(more)).toBe(true);
      close();
      expect(open(more)).toBe(false);
    }
    expect(document.activeElement).toBe(more);
    bar.destroy();
  });

  it("keeps Escape from the page only while its menu is open", () => {
    const { bar, more } = opened();
    const page = vi.fn();
    document.addEventListener("keydown", page);
    const pressEscape = () => more.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    more.click();
    pressEscape();
    expect(page).toHaveBeenCalledTimes(0);
    pressEscape();
    expect(page).toHaveBeenCalledTimes(1);
    document.removeEventListener("keydown", page);
    bar.destroy();
  });

  it("hides no tool of a narrow page but in its menu", () => {
    const style = readFileSync("src/styles/narrow.css", "utf8");
    const hidden = [...style.matchAll(/([^{}]+)\{[^{}]*display: none/g)].map(([, selector]) => selector!.trim());
    expect(hidden.filter((each) => /\.top|more-tools|icon-button/.test(each))).toEqual([
      ".title-row .home span,\n  .title-row .icon-button,\n  .title-card p",
      ".more-tools",
      ".search:not(:focus-within) .icon-button",
    ]);
  });
});

describe("the link to a view", () => {
  it("has place, arrangement, layer, classes, search and the name of a selection", () => {
    const query = '?c=0.25,0.5&z=2&layer=category&arr=grid&hide=1&row=7&find=cat&sel={"saved":"mine"}';
    const { link, lacks } = linkOf("/maps/tiles-1", parseMapState(query, FACTS), FACTS);
    expect(lacks).toBe("");
    expect(parseMapState(link.slice("/maps/tiles-1".length), FACTS)).toEqual(parseMapState(query, FACTS));
    expect(link).toContain("arr=grid");
    expect(decodeURIComponent(link)).toContain('{"saved":"mine"}');
  });

  it("says when a selection is too long for it", () => {
    const rows = Array.from({ length: 1000 }, (_, i) => i);
    const state = { ...parseMapState("", FACTS), selection: { rows } };
    expect(linkOf("/maps/tiles-1", state, FACTS)).toEqual({
      link: "/maps/tiles-1",
      lacks: "without the selection, which is too long for a link: save it under a name first",
    });
  });

  it("is copied and said, or shown selected where the browser refuses", async () => {
    const refused = vi.fn(async () => Promise.reject(new DOMException("no", "NotAllowedError")));
    vi.stubGlobal("navigator", { clipboard: { writeText: async () => undefined } });
    await share("/maps/tiles-1", { what: "this view", lacks: "without the selection" });
    expect(at(document, "notice").textContent).toBe("The link to this view is copied, without the selection");
    vi.stubGlobal("navigator", { clipboard: { writeText: refused } });
    await share("/maps/tiles-1?z=2", { what: "this view" });
    const field = at(document, "link") as HTMLInputElement;
    expect(document.activeElement).toBe(field);
    expect(field.value.slice(field.selectionStart!, field.selectionEnd!)).toBe(`${location.origin}/maps/tiles-1?z=2`);
  });
});
