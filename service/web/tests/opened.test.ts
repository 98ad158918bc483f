// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { gallery as captions } from "../src/galleries/captions";
import { gallery as dreams } from "../src/galleries/dreams";
import type { About, Opened, RowGallery, Tile } from "../src/galleries/types";
import { gallery as units } from "../src/galleries/units";
import { job, manifest } from "./helpers/builders";
import { at, shown, stubPixels, texts } from "./helpers/page";

const PNG = (name: string) => ({ url: `/${name}.png`, media_type: "image/png" });
const about = (details: Record<string, unknown>): About => ({ job: job(), manifest: manifest({ details }) });

function open(gallery: unknown, values: unknown, of: About): Opened {
  const opened = (gallery as RowGallery<unknown>).open({ row: 0, values }, of);
  shown(opened.element);
  return opened;
}

const tile = (gallery: unknown, values: unknown, of: About): Tile =>
  (gallery as RowGallery<unknown>).tile({ row: 0, values }, of);

const EXAMPLE = { example_id: "photo-1", label: 0, width: 400, height: 200, attributes: null };

beforeEach(() => {
  stubPixels();
  vi.useFakeTimers();
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("an opened caption", () => {
  const values = {
    ...EXAMPLE,
    image: PNG("photo"),
    caption: "a <b>red</b> chair",
    log_probability: -1.5,
    truncated: true,
    words: ["a", "<b>red</b>", "chair"],
    word_log_probabilities: [Math.log(0.5), Math.log(0.25), null],
    gates: [0.125, 0.5, 1],
    attention: [
      [0.7, 0.1, 0.1, 0.1],
      [0.1, 0.7, 0.1, 0.1],
      [0.1, 0.1, 0.1, 0.7],
    ],
    grid: [2, 2],
    alternatives: [{ caption: "a <i>stool</i>", log_probability: -2.25 }],
    references: ["the chair"],
  };
  const of = about({ model: "captioner", classes: ["furniture"], beam: 5, vocabulary_words: 1234 });
  const pressed = (opened: Opened) =>
    [...at(opened.element, "words").querySelectorAll("button")].map((word) => word.getAttribute("aria-pressed"));
  const reading = (opened: Opened) => at(opened.element, "word-reading").textContent!;

  it("shows the image alone until a word is chosen", () => {
    const opened = open(captions, values, of);
    expect(pressed(opened)).toEqual(["false", "false", "false"]);
    expect(at(opened.element, "attention").hidden).toBe(true);
    expect(reading(opened)).toBe("Choose a word to see where it looked.");
    expect(opened.title).toBe("photo-1");
    expect(opened.detail.split(/\s*·\s*/)).toEqual(["furniture", "captioner"]);
    opened.destroy();
  });

  it("says of a word how probable it was, its gate, and where it looked", () => {
    const opened = open(captions, values, of);
    at(opened.element, "word-1").click();
    expect(pressed(opened)).toEqual(["false", "true", "false"]);
    expect(reading(opened).split(/\s*·\s*/)).toEqual(["word 2 of 3", "25 %", "−1.39 nats", "gate β 0.5"]);
    expect(at(opened.element, "attention").getAttribute("aria-label")).toBe(
      "Attention of “<b>red</b>”, largest in row 1 of 2, column 2 of 2",
    );
    opened.destroy();
  });

  it("shows the word under the mouse, and the chosen one again when it leaves", () => {
    const opened = open(captions, values, of);
    at(opened.element, "word-0").click();
    at(opened.element, "word-2").dispatchEvent(new Event("pointerenter"));
    expect(pressed(opened)).toEqual(["false", "false", "true"]);
    at(opened.element, "words").dispatchEvent(new Event("pointerleave"));
    expect(pressed(opened)).toEqual(["true", "false", "false"]);
    opened.destroy();
  });

  it("is stepped through and played by keys, and leaves others to the page", () => {
    const opened = open(captions, values, of);
    expect(opened.onKey!("]")).toBe(true);
    expect(pressed(opened)).toEqual(["true", "false", "false"]);
    opened.onKey!("[");
    expect(pressed(opened)).toEqual(["false", "false", "false"]);
    opened.onKey!(" ");
    expect(at(opened.element, "words-play").title).toBe("Stop the caption (Space)");
    vi.advanceTimersByTime(700 * 3);
    expect(pressed(opened)).toEqual(["false", "false", "true"]);
    expect(at(opened.element, "words-play").title).toBe("Play the caption (Space)");
    expect(opened.onKey!("ArrowLeft")).toBe(false);
    opened.destroy();
  });

  it("has two scales", () => {
    const opened = open(
      captions,
      {
        ...values,
        attention: [
          [0.5, 0, 0, 0],
          [0.25, 0, 0, 0],
          [0, 0, 0, 0],
        ],
      },
      of,
    );
    at(opened.element, "word-1").click();
    const full = () => texts(opened.element, ".heat-ends span").at(-1);
    expect(full()).toBe("50 %");
    opened.onKey!("s");
    expect(full()).toBe("25 %");
    expect(at(opened.element, "scale-word").getAttribute("aria-checked")).toBe("true");
    opened.destroy();
  });

  it("says what else there is to say, as text", () => {
    const opened = open(captions, values, of);
    expect(texts(at(opened.element, "alternatives"), "li")).toEqual(["a <i>stool</i>−2.25 nats"]);
    expect(texts(at(opened.element, "references"), "li")).toEqual(["the chair"]);
    expect(at(opened.element, "truncated").title).toBe("Truncated: it did not end within 3 words");
    expect(opened.element.textContent).toContain("1,234 words");
    opened.destroy();
    const plain = open(captions, { ...values, alternatives: [], references: null, truncated: false }, of);
    expect(plain.element.querySelector("[data-testid=references], [data-testid=alternatives]")).toBeNull();
    plain.destroy();
  });
});

describe("an opened unit", () => {
  const top = [0, 1].map((rank) => ({
    rank,
    example_id: `digits-${rank}`,
    label: rank,
    activation: 2 - rank,
    image: PNG(`p${rank}`),
    box: [0, 0, 4, 4],
    patch: PNG(`patch${rank}`),
    deconvolution: null,
    guided: PNG(`guided${rank}`),
  }));
  const values = {
    channel: 7,
    name: null,
    maximum: 2,
    mean: 0.5,
    excited_fraction: 0.25,
    receptive_field: [5, 5],
    top,
    preferred: [{ recipe: "lucid", image: PNG("made"), contrasted: null, activation: 1, fraction: 0.5 }],
  };
  const of = about({ model: "lenet", layer: "relu2", classes: ["zero", "one"] });

  it("shows the example that excites it most, and what it sees of it", () => {
    const opened = open(units, values, of);
    expect(opened.title).toBe("Unit 7");
    expect(texts(at(opened.element, "unit-stage"), "figcaption")).toEqual([
      "Example",
      "What it sees",
      "Guided backprop",
    ]);
    expect(at(opened.element, "unit-example").textContent!.split(/\s*·\s*/)).toEqual([
      "1",
      "digits-0",
      "zero",
      "activation 2",
    ]);
    opened.destroy();
  });

  it("shows another by its number, and none beyond the last", () => {
    const opened = open(units, values, of);
    expect(opened.onKey!("2")).toBe(true);
    expect(at(opened.element, "unit-example").textContent).toContain("digits-1");
    const pressed = [...opened.element.querySelectorAll("[data-testid=top-image]")].map((each) =>
      each.getAttribute("aria-pressed"),
    );
    expect(pressed).toEqual(["false", "true"]);
    expect(opened.onKey!("3")).toBe(false);
    opened.destroy();
  });

  it("compares what made images reach with what the dataset does", () => {
    const opened = open(units, values, of);
    const reached = at(opened.element, "reached");
    expect(texts(reached, "dt")).toEqual(["Dataset", "lucid"]);
    expect([...reached.querySelectorAll("i")].map((bar) => bar.style.width)).toEqual(["100%", "50%"]);
    expect(at(opened.element, "preferred-lucid").textContent).toContain("50 % of the maximum");
    opened.destroy();
  });

  it("that nothing excites is dead, and says so", () => {
    const dead = { ...values, top: [], preferred: [], maximum: null, excited_fraction: 0, receptive_field: [0, 0] };
    const opened = open(units, dead, of);
    expect(at(opened.element, "unit-example").textContent).toBe("No example excites this unit.");
    expect(opened.element.textContent).toContain("no example: it is dead");
    expect(opened.element.textContent).not.toContain("Made to excite it");
    opened.destroy();
  });

  it("of several channels has the name of the sum", () => {
    const opened = open(units, { ...values, channel: null, name: "channel 3 − channel 5" }, of);
    expect(opened.title).toBe("channel 3 − channel 5");
    expect(opened.detail.split(/\s*·\s*/)).toEqual(["lenet", "relu2"]);
    opened.destroy();
  });
});

describe("an opened dream", () => {
  const values = {
    ...EXAMPLE,
    dream: PNG("dream"),
    original: PNG("original"),
    octaves: [PNG("o1"), PNG("o2")],
    octave_sizes: [
      [200, 100],
      [400, 200],
    ],
    objective_originals: [1, 2],
    objective_starts: [1, 2],
    objective_ends: [3, 8],
    video: null,
  };
  const of = about({ model: "lenet", description: "channel 3 of conv2", objective: "channel", classes: ["cat"] });

  it("stands beside what it was made of, and says how much it grew", () => {
    const opened = open(dreams, values, of);
    expect(at(opened.element, "compare").querySelector(".before")!.getAttribute("src")).toBe("/original.png");
    expect(at(opened.element, "after").getAttribute("src")).toBe("/dream.png");
    expect(opened.element.textContent).toContain("grew 4 times");
    expect(tile(dreams, values, of)).toEqual({ image: values.dream, name: "photo-1", caption: "grew 4 times" });
    opened.destroy();
  });

  it("is a film of its octaves, worked by keys", () => {
    const opened = open(dreams, values, of);
    expect(at(opened.element, "film-word").textContent).toContain("dream");
    expect(opened.onKey!("[")).toBe(true);
    expect(at(opened.element, "after").getAttribute("src")).toBe("/o1.png");
    opened.onKey!("]");
    expect(at(opened.element, "after").getAttribute("src")).toBe("/dream.png");
    opened.onKey!("B");
    expect(at(opened.element, "compare").style.getPropertyValue("--split")).toBe("0%");
    expect(opened.onKey!("x")).toBe(false);
    opened.destroy();
  });

  it("shows its zoom, as a video or as an animation", () => {
    for (const [media, tag] of [
      ["video/mp4", "VIDEO"],
      ["image/webp", "DIV"],
    ]) {
      const opened = open(dreams, { ...values, video: { url: "/zoom", media_type: media } }, of);
      at(opened.element, "dream-zoom").click();
      expect(at(opened.element, "zoom").tagName).toBe(tag);
      at(opened.element, "dream-compare").click();
      expect(at(opened.element, "compare")).toBeTruthy();
      opened.destroy();
    }
  });
});
