// @vitest-environment happy-dom
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { h } from "../src/lib/dom";
import { bindLiveKeys } from "../src/live/keys";
import { bindKeys } from "../src/map/keys";
import { press, shown } from "./helpers/page";

function mapActions() {
  return { layer: vi.fn(), escape: vi.fn(), fit: vi.fn(), search: vi.fn() };
}

describe("keys of a map", () => {
  let actions: ReturnType<typeof mapActions>;
  let end: () => void;
  beforeEach(() => {
    document.body.replaceChildren();
    actions = mapActions();
    end = bindKeys(
      [
        { key: "f", about: "Show the whole map", run: actions.fit },
        { key: "/", about: "Search", run: actions.search },
      ],
      actions,
    );
  });
  afterEach(() => end());

  const calls = () =>
    Object.fromEntries(
      Object.entries(actions).flatMap(([name, { mock }]) => (mock.calls.length ? [[name, mock.calls]] : [])),
    );

  it("run the shortcuts, in either case", () => {
    for (const key of ["f", "F", "/"]) expect(press(document, key)).toBe(true);
    expect(calls()).toEqual({ fit: [[], []], search: [[]] });
  });

  it("choose a layer by its number from 1", () => {
    for (const key of ["1", "9"]) press(document, key);
    expect(calls()).toEqual({ layer: [[0], [8]] });
  });

  it("are refused where two parts want the same", () => {
    const shortcut = { key: "f", about: "", run: vi.fn() };
    expect(() => bindKeys([shortcut, shortcut], actions)).toThrow(/one key/);
  });

  it("are the browser's with Ctrl, Alt or Meta, and nobody's where they are no keys of ours", () => {
    for (const more of [{ ctrlKey: true }, { altKey: true }, { metaKey: true }]) press(document, "f", more);
    expect(press(document, "z")).toBe(false);
    expect(press(document, "0")).toBe(false);
    expect(calls()).toEqual({});
  });

  it("are letters in a text field, but Escape still closes", () => {
    const field = shown(h("input"));
    press(field, "f");
    press(field, "1");
    press(field, "Escape");
    expect(calls()).toEqual({ escape: [[]] });
  });

  it("leave Escape to an open dialog", () => {
    const dialog = shown(h("dialog"));
    dialog.showModal();
    press(document, "Escape");
    expect(calls()).toEqual({});
    dialog.close();
    press(document, "Escape");
    expect(calls()).toEqual({ escape: [[]] });
  });

  it("are heard no more when the page is left", () => {
    end();
    press(document, "f");
    expect(calls()).toEqual({});
  });
});

describe("keys of the live page", () => {
  const actions = { move: vi.fn(), method: vi.fn(), layer: vi.fn(), choose: vi.fn(), file: vi.fn() };
  let target: HTMLElement;
  let end: () => void;
  beforeEach(() => {
    vi.clearAllMocks();
    target = shown(h("main"));
    end = bindLiveKeys(target, actions);
  });
  afterEach(() => end());

  it("move among the channels as they lie in the grid", () => {
    const moved = (key: string, from: number) => {
      press(document, key);
      return (actions.move.mock.lastCall![0] as (...at: number[]) => number)(from, 10, 4);
    };
    expect(moved("ArrowRight", 3)).toBe(4);
    expect(moved("ArrowDown", 3)).toBe(7);
    expect(moved("ArrowUp", 3)).toBe(3);
    expect(moved("Home", 3)).toBe(0);
    expect(moved("End", 3)).toBe(9);
  });

  it("choose methods, layers and an image", () => {
    for (const key of ["1", "3", "[", "]", "o"]) expect(press(document, key)).toBe(true);
    expect(press(document, "4"), "there are three methods").toBe(false);
    expect(actions.method.mock.calls).toEqual([[0], [2]]);
    expect(actions.layer.mock.calls).toEqual([[-1], [1]]);
    expect(actions.choose).toHaveBeenCalledTimes(1);
  });

  const files = (...types: string[]) => types.map((type) => new File(["x"], "x", { type }));
  function carry(kind: "drop" | "paste", carried: File[]): boolean {
    const event = new Event(kind, { bubbles: true, cancelable: true });
    Object.assign(event, { [kind === "drop" ? "dataTransfer" : "clipboardData"]: { files: carried } });
    document.dispatchEvent(event);
    return event.defaultPrevented;
  }

  it("take the first image that is dropped or pasted", () => {
    const carried = files("text/plain", "image/png", "image/jpeg");
    expect(carry("drop", carried)).toBe(true);
    expect(carry("paste", carried)).toBe(true);
    expect(actions.file.mock.calls).toEqual([[carried[1]], [carried[1]]]);
  });

  it("keep the browser from leaving the page for another file, and from nothing else", () => {
    expect(carry("drop", files("text/plain"))).toBe(true);
    expect(carry("paste", files("text/plain"))).toBe(false);
    expect(actions.file).not.toHaveBeenCalled();
  });

  it("mark the page while an image is held over it", () => {
    document.dispatchEvent(new Event("dragover", { cancelable: true }));
    expect(target.classList.contains("dropping")).toBe(true);
    const inside = Object.assign(new Event("dragleave"), { relatedTarget: document.body });
    document.dispatchEvent(inside);
    expect(target.classList.contains("dropping")).toBe(true);
    document.dispatchEvent(Object.assign(new Event("dragleave"), { relatedTarget: null }));
    expect(target.classList.contains("dropping")).toBe(false);
  });

  it("are heard no more when the page is left", () => {
    end();
    press(document, "o");
    carry("drop", files("image/png"));
    expect(actions.choose).not.toHaveBeenCalled();
    expect(actions.file).not.toHaveBeenCalled();
  });
});

/** Keys of shortcuts that a source names. */
function keysIn(source: string): string[] {
  return [...source.matchAll(/\bkey: "([^"]+)", about:/g)].map((found) => found[1]!);
}

describe("the shortcuts of the map page", () => {
  it("have a key each, in all of its parts", () => {
    const files = readdirSync("src/map").map((name) => readFileSync(`src/map/${name}`, "utf8"));
    const keys = files.flatMap(keysIn);
    expect(keys.length).toBeGreaterThan(15);
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
    expect(keysIn('[{ key: "i", about: "a" }, { key: "i", about: "b" }]')).toEqual(["i", "i"]);
  });
});
