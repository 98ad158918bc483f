// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Activations, NetworkInfo, UnitAnswer } from "../src/api/types";
import { channelText, GridView } from "../src/live/grid-view";
import { ImageCard } from "../src/live/image-card";
import { NetworkBar } from "../src/live/network-bar";
import { UnitCard } from "../src/live/unit-card";
import { job } from "./helpers/builders";
import { at, choose, shown, texts } from "./helpers/page";
import { Service } from "./helpers/service";

afterEach(() => vi.unstubAllGlobals());

const encoded = (width: number, height: number, data = "AA") => ({ media_type: "image/png", width, height, data });

function activations(change: Partial<Activations> = {}): Activations {
  return {
    layer: "conv1",
    shape: [4, 10, 10],
    low: 0,
    high: 5,
    grid: { ...encoded(23, 23), columns: 2, padding_px: 1, tile: [10, 10] },
    largest: [1.5, null, 5.314, 0],
    strongest: [{ channel: 2, largest: 5.314, mean: 1, y: 3, x: 4 }],
    outputs: [
      { index: 3, name: "<b>cat</b>", probability: 0.5 },
      { index: 7, name: null, probability: 0.034 },
    ],
    image: { ...encoded(28, 28), size_px: [1200, 1600] },
    ...change,
  };
}

function answer(change: Partial<UnitAnswer> = {}): UnitAnswer {
  return {
    layer: "conv1",
    channel: 2,
    method: "saliency",
    map: encoded(10, 5),
    low: 0,
    high: 5,
    cell: [3, 4],
    activation: 5.314,
    name: null,
    box: [0, 0, 14, 14],
    explanation: encoded(28, 28, "BB"),
    problem: null,
    ...change,
  };
}

/** What a browser would say of an element's place on the screen. */
function placed(element: Element, width: number, height: number): void {
  element.getBoundingClientRect = () => ({ left: 0, top: 0, width, height }) as DOMRect;
}

const click = (element: Element, clientX: number, clientY: number) =>
  element.dispatchEvent(new MouseEvent("click", { clientX, clientY, bubbles: true }));

describe("the grid of channels", () => {
  const made = () => {
    const chosen: number[] = [];
    const view = new GridView({ onSelect: (channel) => chosen.push(channel) });
    shown(view.element);
    const frame = at(view.element, "live-grid");
    placed(frame, 230, 230);
    return { view, frame, chosen };
  };

  it("is hidden until there is a layer, and again without one", () => {
    const { view } = made();
    expect([view.element.hidden, view.channels]).toEqual([true, 0]);
    view.show(activations());
    expect([view.element.hidden, view.channels, view.columns]).toEqual([false, 4, 2]);
    view.hide();
    expect([view.element.hidden, view.channels]).toEqual([true, 0]);
  });

  it("chooses the channel under a click, and none where no tile is", () => {
    const { view, frame, chosen } = made();
    view.show(activations({ shape: [3, 10, 10] }));
    for (const [x, y] of [
      [50, 50],
      [150, 50],
      [50, 150],
      [150, 150],
    ])
      click(frame, x!, y!);
    expect(chosen).toEqual([0, 1, 2]);
  });

  it("says which channel is chosen, and which the pointer is over", () => {
    const { view, frame } = made();
    view.show(activations());
    view.select(2);
    const words = at(view.element, "live-pointed");
    expect(words.textContent!.split(/\s*·\s*/)).toEqual(["channel 2", "largest 5.31"]);
    expect(frame.getAttribute("aria-valuenow")).toBe("2");
    expect(frame.getAttribute("aria-valuemax")).toBe("3");
    frame.dispatchEvent(new MouseEvent("pointermove", { clientX: 150, clientY: 50 }));
    expect(words.textContent!.split(/\s*·\s*/)).toEqual(["channel 1", "no number"]);
    frame.dispatchEvent(new Event("pointerleave"));
    expect(words.textContent).toContain("channel 2");
    expect(channelText(activations(), 0).split(/\s*·\s*/)).toEqual(["channel 0", "largest 1.5"]);
  });

  it("is marked while another layer is on its way", () => {
    const { view, frame } = made();
    view.busy(true);
    expect([view.element.classList.contains("stale"), frame.getAttribute("aria-busy")]).toEqual([true, "true"]);
    view.busy(false);
    expect(view.element.classList.contains("stale")).toBe(false);
  });
});

describe("the image", () => {
  const made = () => {
    const actions = { onFile: vi.fn(), onSource: vi.fn() };
    const card = new ImageCard(actions);
    shown(card.element);
    return { card, actions };
  };
  const field = (card: ImageCard) => card.element.querySelector<HTMLElement>(".live-field")!;

  it("is shown as the network sees it, with what the network says it is, as text", () => {
    const { card } = made();
    card.show(activations());
    expect(at(card.element, "live-seen").getAttribute("src")).toBe("data:image/png;base64,AA");
    expect(card.element.querySelector(".live-size")!.textContent).toBe("1,600 × 1,200 px, seen as 28 × 28");
    expect(texts(at(card.element, "live-outputs"), ".live-output-name")).toEqual(["<b>cat</b>", "output 7"]);
    expect(texts(at(card.element, "live-outputs"), ".faint")).toEqual(["50 %", "3.4 %"]);
  });

  it("has a mark around what a cell sees, but not around all of it", () => {
    const { card } = made();
    card.show(activations());
    card.mark([0, 7, 14, 21], [1, 28, 28]);
    const { left, top, width, height } = field(card).style;
    expect([left, top, width, height]).toEqual(["25%", "0%", "50%", "50%"]);
    expect(field(card).hidden).toBe(false);
    card.mark([-5, -5, 40, 40], [1, 28, 28]);
    expect(field(card).hidden).toBe(true);
    card.mark(null, [1, 28, 28]);
    expect(field(card).hidden).toBe(true);
  });

  it("says what is wrong with a file until the next one is right", () => {
    const { card } = made();
    const problem = at(card.element, "live-image-problem");
    card.fail("an SVG drawing: render it as PNG");
    expect([problem.hidden, problem.textContent]).toEqual([false, "an SVG drawing: render it as PNG"]);
    card.show(activations());
    expect(problem.hidden).toBe(true);
  });

  it("is offered from a map", () => {
    const { card, actions } = made();
    card.offer({ map: "tiles-1", title: "<i>digits</i>", rows: [3, 9] });
    expect(texts(card.element, "h3")).toEqual(["From <i>digits</i>"]);
    card.element.querySelectorAll<HTMLElement>("[data-testid=live-sample]")[1]!.click();
    expect(actions.onSource.mock.calls).toEqual([[{ map: "tiles-1", row: 9 }]]);
    card.offer({ map: "tiles-1", title: "", rows: [] });
    expect(card.element.querySelector<HTMLElement>(".live-samples")!.hidden).toBe(true);
  });
});

describe("a unit", () => {
  const made = () => {
    const actions = { onMethod: vi.fn(), onCell: vi.fn(), onStep: vi.fn() };
    const card = new UnitCard(actions);
    shown(card.element);
    return { card, actions };
  };

  it("is named while it is on its way, then shown", () => {
    const { card } = made();
    expect(card.element.hidden).toBe(true);
    card.loading(5);
    expect(at(card.element, "live-unit").textContent).toBe("Channel 5");
    expect(card.element.getAttribute("aria-busy")).toBe("true");
    card.show(answer({ name: "goldfish" }), 12.4);
    expect(card.element.hasAttribute("aria-busy")).toBe(false);
    expect(at(card.element, "live-unit").textContent!.split(/\s*·\s*/)).toEqual(["Channel 2", "goldfish"]);
    expect(at(card.element, "live-facts").textContent!.split(/\s*·\s*/)).toEqual(["5.31 at row 3, column 4", "12 ms"]);
    expect(at(card.element, "live-explanation").getAttribute("alt")).toBe("Gradient of channel 2");
  });

  it("marks its cell on its map, and lets another be chosen there", () => {
    const { card, actions } = made();
    card.show(answer(), null);
    const { left, top, width, height } = card.element.querySelector<HTMLElement>(".live-cell")!.style;
    expect([left, top, width, height]).toEqual(["40%", "60%", "10%", "20%"]);
    const map = at(card.element, "live-map");
    placed(map, 100, 50);
    click(map, 99, 49);
    click(map, 0, 0);
    click(map, 100, 50);
    expect(actions.onCell.mock.calls).toEqual([[[4, 9]], [[0, 0]], [[4, 9]]]);
  });

  it("of a vector has no cells to choose", () => {
    const { card } = made();
    card.show(answer({ map: encoded(1, 1), cell: [0, 0] }), null);
    expect(card.element.querySelector(".live-cell")).toBeNull();
    expect(at(card.element, "live-facts").textContent).toBe("5.31");
  });

  it("says why there is no explanation, and what failed", () => {
    const { card } = made();
    card.show(answer({ explanation: null, problem: "no ReLU before conv1" }), null);
    expect(at(card.element, "live-explanation-problem").textContent).toBe("no ReLU before conv1");
    card.failed("the network ended");
    expect(card.element.querySelector("[role=alert]")!.textContent).toBe("the network ended");
    expect(card.element.querySelector("[data-testid=live-map]")).toBeNull();
  });

  it("has a way to its page where a job has made one, to the channels beside it, and among methods", () => {
    const { card, actions } = made();
    card.link("/jobs/units-1/units/2");
    expect(at(card.element, "live-unit-page").getAttribute("href")).toBe("/jobs/units-1/units/2");
    card.link(null);
    expect(card.element.querySelector("[data-testid=live-unit-page]")).toBeNull();
    for (const name of ["turn-left", "turn-right"]) card.element.querySelector<HTMLElement>(`.${name}`)!.click();
    expect(actions.onStep.mock.calls).toEqual([[-1], [1]]);
    at(card.element, "live-method-deconvolution").click();
    expect(actions.onMethod.mock.calls).toEqual([["deconvolution"]]);
  });
});

describe("the choice of a network", () => {
  const card = (name: string, source: string) => ({
    name,
    reads: "images",
    gives: "classes",
    sequence: false,
    family: null,
    layers: [],
    default_layer: "",
    weights: { source },
  });
  let bar: NetworkBar;
  const actions = { onModel: vi.fn(), onLayer: vi.fn() };
  beforeEach(() => {
    vi.clearAllMocks();
    new Service()
      .on(/catalog/, { datasets: [], models: [card("vgg16", "download"), card("lite", "package")] })
      .on(/jobs\?/, {
        jobs: [job({ id: "training-1", title: "<b>mine</b>", spec: { model: { name: "lite" } } })],
        total: 1,
      });
    bar = new NetworkBar(actions);
    shown(bar.element);
  });

  it("offers what is here before what must be downloaded, and takes the first", async () => {
    expect(await bar.offer(null)).toEqual({ name: "lite", weights: "pretrained" });
    const offered = texts(at(bar.element, "live-model"), "option");
    expect(offered[0]).toBe("lite");
    expect(offered[1]).toContain("trained: <b>mine</b>");
    expect(offered[2]).toContain("downloaded when first used");
  });

  it("takes the one that was asked for, also where nobody offers it", async () => {
    const asked = { name: "lite", weights: "random" };
    expect(await bar.offer(asked)).toEqual(asked);
    expect(texts(at(bar.element, "live-model"), "option")).toHaveLength(4);
  });

  it("tells of a choice by hand", async () => {
    await bar.offer(null);
    choose(at(bar.element, "live-model"), JSON.stringify({ name: "vgg16", weights: "pretrained" }));
    expect(actions.onModel.mock.calls).toEqual([[{ name: "vgg16", weights: "pretrained" }]]);
  });

  it("has layers when the network has started: those that people ask for first", () => {
    const layers = at(bar.element, "live-layer") as HTMLSelectElement;
    expect(layers.disabled).toBe(true);
    const network = {
      layers: [
        { layer: "stem", shape: [8, 14, 14] },
        { layer: "head", shape: [10, 1, 1] },
      ],
      suggested: ["head"],
    } as unknown as NetworkInfo;
    bar.layersOf(network);
    expect(layers.disabled).toBe(false);
    expect(texts(layers, "option").map((text) => text.split(/\s*·\s*/))).toEqual([
      ["head", "10"],
      ["stem", "8 × 14 × 14"],
    ]);
    choose(layers, "stem");
    expect(actions.onLayer.mock.calls).toEqual([["stem"]]);
    bar.layersOf(null);
    expect([layers.disabled, layers.childElementCount]).toEqual([true, 0]);
  });
});
