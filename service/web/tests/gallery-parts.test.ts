// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Compare } from "../src/galleries/compare";
import { Film } from "../src/galleries/film";
import { imageElement, sharpen } from "../src/galleries/image";
import { objectiveChart } from "../src/galleries/objective";
import { exampleFacts, factList, names, percentRange, segments } from "../src/galleries/parts";
import { at, press, shown, texts, type } from "./helpers/page";

const PNG = { url: "/v1/jobs/a/rows/k/0/image?at=image", media_type: "image/png" };

describe("a stored image", () => {
  it("is an image, or a word where there is none or where it cannot be read", () => {
    const image = imageElement(PNG, { alt: "a cat", class: "under", testid: "seen", lazy: true });
    expect(image.getAttribute("src")).toBe(PNG.url);
    expect(image.getAttribute("alt")).toBe("a cat");
    expect(image.getAttribute("loading")).toBe("lazy");
    expect(image.className).toBe("image under");
    expect(imageElement(null, { alt: "" }).textContent).toBe("none");
    const host = shown(document.createElement("div"));
    host.append(image);
    image.dispatchEvent(new Event("error"));
    expect(host.textContent).toBe("not readable");
    expect(host.querySelector("img")).toBeNull();
  });

  it("has sharp pixels where it is small", () => {
    const image = document.createElement("img");
    const of = (width: number, height: number) => {
      Object.defineProperties(image, {
        naturalWidth: { value: width, configurable: true },
        naturalHeight: { value: height, configurable: true },
      });
      sharpen(image);
      return image.classList.contains("pixelated");
    };
    expect(of(28, 95)).toBe(true);
    expect(of(28, 96)).toBe(false);
  });
});

describe("facts", () => {
  it("leave out what has no value, and show what is hostile as text", () => {
    const list = factList([
      ["Label", "<b>cat</b>"],
      ["Size", ""],
      ["Bias", null],
      ["Mean", undefined],
      ["Node", document.createElement("hr")],
    ]);
    expect(texts(list, "dt")).toEqual(["Label", "Node"]);
    expect(texts(list, "dd")[0]).toBe("<b>cat</b>");
    expect(list.querySelector("dd hr")).toBeTruthy();
  });

  it("of an example are its class, its size and what the dataset knows", () => {
    const values = {
      example_id: "x",
      label: 1,
      width: 1600,
      height: 900,
      attributes: '{"view_angle":12.345,"list":[1]}',
    };
    expect(exampleFacts(values, ["cat", "dog"])).toEqual([
      ["Label", "dog"],
      ["Size", "1,600 × 900 px"],
      ["view angle", "12.35"],
    ]);
    expect(exampleFacts({ ...values, label: null, width: 0, attributes: "not JSON" }, [])).toEqual([
      ["Label", ""],
      ["Size", ""],
    ]);
  });

  it("are lists of names where a manifest has them", () => {
    expect(names({ classes: ["a", 1] }, "classes")).toEqual(["a", "1"]);
    expect(names({ classes: "a" }, "classes")).toEqual([]);
  });
});

describe("controls", () => {
  it("give a fraction and show it in percent", () => {
    const heard = vi.fn();
    const range = percentRange("Opacity", 80, heard, "opacity");
    expect(range.querySelector("output")!.textContent).toBe("80 %");
    type(at(range, "opacity"), "25");
    expect(heard.mock.calls).toEqual([[0.25]]);
    expect(range.querySelector("output")!.textContent).toBe("25 %");
  });

  it("switch among words", () => {
    const heard = vi.fn();
    const group = segments(
      "Scale",
      [
        ["a", "First"],
        ["b", "Second"],
      ],
      heard,
      "scale",
    );
    at(group.element, "scale-b").click();
    expect(heard.mock.calls).toEqual([["b"]]);
    expect(texts(group.element, "button")).toEqual(["First", "Second"]);
  });
});

describe("before and after", () => {
  const made = () => {
    const compare = new Compare(1.5, ["before", "dream"]);
    shown(compare.element);
    return { compare, handle: at(compare.element, "compare-handle") };
  };
  const split = (compare: Compare) => compare.element.style.getPropertyValue("--split");

  it("begin half and half, and say so", () => {
    const { compare, handle } = made();
    expect(split(compare)).toBe("50%");
    expect(handle.getAttribute("aria-valuetext")).toBe("50 % before");
    expect(compare.element.style.getPropertyValue("--ratio")).toBe("1.5");
  });

  it("are moved by keys, to their ends and not beyond", () => {
    const { compare, handle } = made();
    press(handle, "ArrowRight");
    expect(split(compare)).toBe("55%");
    press(handle, "End");
    press(handle, "ArrowRight");
    expect(split(compare)).toBe("100%");
    press(handle, "Home");
    expect(handle.getAttribute("aria-valuenow")).toBe("0");
    expect(press(handle, "x")).toBe(false);
  });

  it("are switched whole", () => {
    const { compare } = made();
    compare.toggle();
    expect(split(compare)).toBe("0%");
    compare.toggle();
    expect(split(compare)).toBe("100%");
  });

  it("show another image under its own name", () => {
    const { compare } = made();
    compare.setBefore("/a.png");
    compare.setAfter("/b.png", "octave 2");
    expect(compare.element.querySelector(".before")!.getAttribute("src")).toBe("/a.png");
    expect(at(compare.element, "after").getAttribute("alt")).toBe("octave 2");
    expect(texts(compare.element, ".compare-word")).toEqual(["before", "octave 2"]);
  });
});

describe("a film", () => {
  let seen: number[];
  let film: Film;
  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("matchMedia", () => ({ matches: false }));
    seen = [];
    film = new Film(["one", "two", "three"], (index) => seen.push(index));
  });
  afterEach(() => {
    film.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
  const word = () => at(film.element, "film-word").textContent;

  it("begins at its end, which is what it is about", () => {
    expect(seen).toEqual([2]);
    expect(word()).toBe("three");
  });

  it("is played from the start, once", () => {
    film.toggle();
    expect(film.playing).toBe(true);
    expect(at(film.element, "film-play").title).toBe("Stop the film (Space)");
    vi.advanceTimersByTime(700 * 3);
    expect(seen).toEqual([2, 0, 1, 2]);
    expect(film.playing).toBe(false);
    expect(at(film.element, "film-play").title).toBe("Play the film (Space)");
  });

  it("goes on from where it was stopped", () => {
    film.show(1);
    film.toggle();
    vi.advanceTimersByTime(700);
    film.toggle();
    vi.advanceTimersByTime(7000);
    expect(seen).toEqual([2, 1, 1, 2]);
  });

  it("is moved through by hand, which stops it, and not beyond its ends", () => {
    film.toggle();
    type(at(film.element, "film-scrub"), "1");
    expect(film.playing).toBe(false);
    expect(word()).toBe("two");
    film.step(-5);
    expect(word()).toBe("one");
    film.step(9);
    expect(word()).toBe("three");
  });

  it("is half as fast for people who asked for less motion", () => {
    vi.stubGlobal("matchMedia", () => ({ matches: true }));
    film.toggle();
    vi.advanceTimersByTime(1399);
    expect(seen).toEqual([2, 0]);
    vi.advanceTimersByTime(1);
    expect(seen).toEqual([2, 0, 1]);
  });
});

describe("the objective of a dream", () => {
  it("is a line an octave, with the figures of full size in words", () => {
    const { element, mark } = objectiveChart([1, 2], [1, 1.5], [2, 4]);
    expect(element.querySelectorAll("g")).toHaveLength(2);
    expect(element.querySelector("figcaption")!.textContent).toBe("at full size from 2 to 4");
    expect(element.querySelector("svg")!.getAttribute("aria-label")).toContain("from 2 to 4");
    mark(1);
    expect([...element.querySelectorAll("g")].map((group) => group.getAttribute("class"))).toEqual(["", "shown"]);
  });

  it("has a gap where an octave was not measured, and no figures without an end", () => {
    const { element } = objectiveChart([null], [1, null], [2, null]);
    expect(element.querySelectorAll("g")).toHaveLength(1);
    expect(element.querySelector("figcaption")!.textContent).toBe("");
  });
});
