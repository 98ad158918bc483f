// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Example } from "../src/api/types";
import { h } from "../src/lib/dom";
import { Examples } from "../src/map/examples";
import { HoverCard } from "../src/map/hover";
import { lookLive } from "../src/map/live-link";
import { DetailPanel } from "../src/map/panel";
import { layerCard, titleCard } from "../src/map/sidebar";
import { captionMark } from "../src/map/state-mark";
import { example, layer, map, neighbor } from "./helpers/builders";
import { at, press, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const NEAR = [
  neighbor(1),
  neighbor(2, { label: 1, class_name: "dog" }),
  neighbor(3, { label: null, class_name: null }),
];

afterEach(() => vi.unstubAllGlobals());

function made(unit: "row" | "view" | "word" | null = null) {
  const actions = {
    onClose: vi.fn(),
    onOpen: vi.fn(),
    onLocate: vi.fn(),
    about: vi.fn((_: Example) => [h("div", { testid: "tools" })]),
  };
  const panel = new DetailPanel("tiles-1", unit, (label) => (label === null ? "gray" : `color-${label}`), actions);
  shown(panel.element);
  return { panel, actions };
}

const facts = (panel: DetailPanel) =>
  Object.fromEntries(
    [...panel.element.querySelectorAll(".facts > div")].map((each) => [
      each.querySelector("dt")!.textContent,
      each.querySelector("dd")!.textContent,
    ]),
  );

describe("the opened example", () => {
  it("is named by its class and its id, and shown with what is known of it", () => {
    const { panel } = made();
    panel.show(example({ example_id: "<b>x</b>", attributes: { azimuth_degrees: 30.456, name: "a <i>chair</i>" } }));
    expect(panel.open).toBe(true);
    expect(at(panel.element, "detail-class").textContent).toBe("cat");
    expect(at(panel.element, "detail-id").textContent).toBe("<b>x</b>");
    expect(facts(panel)).toEqual({
      Size: "640 × 480",
      Position: "0.2500, 0.5000",
      Row: "7",
      "azimuth degrees": "30.46",
      name: "a <i>chair</i>",
    });
    const image = at(panel.element, "detail-image");
    expect(image.getAttribute("src")).toBe("/v1/maps/tiles-1/examples/7/image");
    expect(image.getAttribute("alt")).toBe("cat: <b>x</b>");
    expect(at(lookLive("tiles-1", { row: 7 }), "look-live").getAttribute("href")).toBe("/live?map=tiles-1&row=7");
  });

  it("has sharp pixels where it is small, and a frame of its shape within bounds", () => {
    const { panel } = made();
    const ratio = () => panel.element.querySelector<HTMLElement>(".frame")!.style.getPropertyValue("--ratio");
    panel.show(example({ width: 28, height: 28 }));
    expect(at(panel.element, "detail-image").classList.contains("pixelated")).toBe(true);
    expect(ratio()).toBe("1");
    panel.show(example({ width: 4000, height: 100 }));
    expect(at(panel.element, "detail-image").classList.contains("pixelated")).toBe(false);
    expect(ratio()).toBe("1.6");
    panel.show(example({ width: 100, height: 4000 }));
    expect(ratio()).toBe("0.75");
  });

  it("says that its image is gone where it cannot be read any more", () => {
    const { panel } = made();
    panel.show(example());
    at(panel.element, "detail-image").dispatchEvent(new Event("error"));
    expect(panel.element.querySelector(".frame")!.textContent).toContain("cannot be read from its dataset any more");
  });

  it("counts the neighbors that are alike, and opens them", () => {
    const { panel, actions } = made();
    panel.show(example({ neighbors: NEAR }));
    expect(texts(panel.element, ".near .legend-head span")).toEqual(["1 of 3 alike"]);
    const buttons = [...at(panel.element, "neighbours").querySelectorAll("button")];
    expect(buttons.map((button) => button.getAttribute("aria-label"))).toEqual([
      "cat, example-1, distance 0.1",
      "dog, example-2, distance 0.2",
      "no label, example-3, distance 0.3",
    ]);
    buttons[2]!.click();
    expect(actions.onOpen.mock.calls).toEqual([[3]]);
  });

  it("does not compare labels where the example has none", () => {
    const { panel } = made();
    panel.show(example({ label: null, class_name: null, neighbors: NEAR }));
    expect(at(panel.element, "detail-class").textContent).toBe("no label");
    expect(texts(panel.element, ".near .legend-head span")).toEqual([""]);
    panel.show(example({ neighbors: [] }));
    expect(panel.element.querySelector(".near")!.textContent).toContain("There are none");
  });

  it("has one tab stop among the neighbors, which arrow keys move", () => {
    const { panel } = made();
    panel.show(example({ neighbors: NEAR }));
    const list = at(panel.element, "neighbours");
    const buttons = [...list.querySelectorAll("button")];
    const stops = () => buttons.map((button) => button.tabIndex);
    expect(stops()).toEqual([0, -1, -1]);
    buttons[0]!.focus();
    expect(press(list, "End")).toBe(true);
    expect(document.activeElement).toBe(buttons[2]);
    expect(stops()).toEqual([-1, -1, 0]);
    expect(press(list, "x")).toBe(false);
  });

  it("is waited for, or not to be had, in the same place", () => {
    const { panel, actions } = made();
    panel.loading(1234);
    expect(panel.open).toBe(true);
    expect(panel.element.getAttribute("aria-busy")).toBe("true");
    expect(panel.element.querySelector("h2")!.textContent).toBe("Row 1,234");
    panel.failed("the dataset is gone");
    expect(panel.element.hasAttribute("aria-busy")).toBe(false);
    expect(panel.element.querySelector("[role=alert]")!.textContent).toBe("the dataset is gone");
    at(panel.element, "detail-close").click();
    expect(actions.onClose).toHaveBeenCalled();
    panel.hide();
    expect(panel.open).toBe(false);
  });

  it("shows what the parts of the page add", () => {
    const { panel, actions } = made();
    const opened = example();
    panel.show(opened);
    expect(at(panel.element, "tools")).toBeTruthy();
    expect(actions.about.mock.calls).toEqual([[opened]]);
  });
});

describe("a state", () => {
  it("of a row is marked on the image, and said", () => {
    const { panel } = made("row");
    panel.show(example({ width: 28, height: 28, attributes: { step: 13, steps: 28 } }));
    expect(at(panel.element, "state-mark").style.top).toBe("46.429%");
    expect(at(panel.element, "detail-step").textContent).toBe("After row 14 of 28");
  });

  it("of a word is marked in its caption, as text", () => {
    const { panel } = made("word");
    panel.show(example({ attributes: { step: 1, steps: 3, words: ["a", "<b>red</b>", "chair"], caption: "x" } }));
    expect(at(panel.element, "state-caption").textContent).toBe("a <b>red</b> chair");
    expect(at(panel.element, "state-word").textContent).toBe("<b>red</b>");
    expect(Object.keys(facts(panel))).not.toContain("caption");
    expect(captionMark(["one"], { step: 5 }).querySelector("mark")).toBeNull();
  });
});

describe("the card beside the pointer", () => {
  it("shows who is there, and does not load the same image twice", () => {
    const card = new HoverCard("tiles-1");
    expect(card.shown).toBe(false);
    card.show({ row: 5, className: "cat", color: "#123456" }, [100, 100], [800, 600]);
    const image = card.element.querySelector("img")!;
    expect(image.getAttribute("src")).toBe("/v1/maps/tiles-1/examples/5/thumbnail");
    expect(card.element.textContent).toBe("cat");
    expect(card.shown).toBe(true);
    image.setAttribute("src", "kept");
    card.show({ row: 5, className: "cat", color: "#123456" }, [300, 100], [800, 600]);
    expect(image.getAttribute("src")).toBe("kept");
    card.hide();
    expect(card.shown).toBe(false);
  });

  it("stays on the page: left of the pointer at its right edge, and within its height", () => {
    const card = new HoverCard("tiles-1");
    Object.defineProperties(card.element, { offsetWidth: { value: 120 }, offsetHeight: { value: 80 } });
    const place = (x: number, y: number) => {
      card.show({ row: 1, className: "", color: "" }, [x, y], [800, 600]);
      return card.element.style.transform;
    };
    expect(place(100, 300)).toBe("translate(118px, 260px)");
    expect(place(700, 300)).toBe("translate(562px, 260px)");
    expect(place(100, 5)).toBe("translate(118px, 8px)");
    expect(place(100, 599)).toBe("translate(118px, 512px)");
  });
});

describe("the cards at the left", () => {
  it("name the map by its id until its title is known, and count what it is of", () => {
    const card = titleCard("tiles-1", map({ examples: 1797 }));
    expect(card.element.querySelector("h1")!.textContent).toBe("tiles-1");
    expect(card.element.querySelector("p")!.textContent).toBe("1,797 images");
    card.set({ title: "<i>digits</i>", detail: "digits" });
    expect(card.element.querySelector("h1")!.textContent).toBe("<i>digits</i>");
    expect(card.element.querySelector("p")!.textContent).toMatch(/^digits.*1,797 images$/);
    const states = titleCard("tiles-2", map({ examples: 1, step_unit: "row" }));
    expect(states.element.querySelector("p")!.textContent).toBe("1 state");
  });

  it("switch the color layer, and fold the legend on a phone", () => {
    const heard = vi.fn();
    const legend = { element: h("div", {}) } as never;
    const card = layerCard([layer("density"), layer("category")], legend, heard);
    at(card.element, "layer-category").click();
    expect(heard.mock.calls).toEqual([["category"]]);
    expect(at(card.element, "layer-category").title).toBe("Category (2)");
    const fold = card.element.querySelector<HTMLElement>(".fold")!;
    for (const open of ["true", "false"]) {
      fold.click();
      expect(fold.getAttribute("aria-expanded")).toBe(open);
      expect(card.element.classList.contains("unfolded")).toBe(open === "true");
    }
  });
});

describe("examples", () => {
  let service: Service;
  beforeEach(() => {
    service = new Service().on(/examples\/7$/, example());
  });

  it("are fetched once", async () => {
    const examples = new Examples("tiles-1");
    const [first, second] = await Promise.all([examples.get(7), examples.get(7)]);
    expect(first).toBe(second);
    expect(service.paths).toEqual(["/v1/maps/tiles-1/examples/7"]);
  });

  it("are asked for again after a failure", async () => {
    const examples = new Examples("tiles-1");
    service.on(/examples\/7$/, new Refusal(503, "service_unavailable", "not now"));
    await expect(examples.get(7)).rejects.toThrow("not now");
    await settle();
    service.on(/examples\/7$/, example());
    expect((await examples.get(7)).row).toBe(7);
  });
});
