/** Gradients: which pixels an output depends on, by every method, over the image. */

import type { Row, StoredImage } from "../api/types";
import { fill, h, setText } from "../lib/dom";
import { formatFigure, humanize, joined } from "../lib/format";
import { type RadioGroup, radioGroup } from "../lib/radio";
import { imageElement, sharpen } from "./image";
import {
  className,
  EXAMPLE_COLUMNS,
  type ExampleValues,
  exampleFacts,
  factList,
  keyIndex,
  names,
  percentRange,
  section,
  segments,
} from "./parts";
import { percent } from "./percent";
import { SanityPart, sanityOf } from "./sanity";
import { type About, type Opened, rowGallery } from "./types";

interface AttributionMap {
  method: string;
  scale: number | null;
  overlay: StoredImage | null;
  relief: StoredImage | null;
  completeness_error: number | null;
}

interface Gradients extends ExampleValues {
  image: StoredImage | null;
  target: number;
  prediction: number;
  probability: number | null;
  maps: AttributionMap[];
}

const TITLES: Readonly<Record<string, string>> = {
  input_x_gradient: "Input × gradient",
  smoothgrad: "SmoothGrad",
  gradcam: "Grad-CAM",
  guided_gradcam: "Guided Grad-CAM",
  rollout: "Attention rollout",
};

/** "guided_backprop" → "Guided backprop". */
export function methodTitle(method: string): string {
  const said = humanize(method);
  return TITLES[method] ?? said[0]!.toUpperCase() + said.slice(1);
}

/** Names of the outputs: the network's own, or the classes of the dataset where it was trained on it. */
export function outputNames(about: About): readonly string[] {
  const { details, spec } = about.manifest;
  const outputs = names(details, "outputs");
  if (outputs.length > 0) return outputs;
  return spec["target"] === "label" ? names(details, "classes") : [];
}

type View = "over" | "map" | "relief";

class GradientsView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly stage = h("div", { class: "easel layers", testid: "explained" });
  private readonly overlay = h("img", { class: "overlay", testid: "overlay", attrs: { draggable: "false" } });
  private readonly legend = h("div", { class: "heat-legend" });
  private readonly facts = h("div", {});
  private readonly methods: RadioGroup;
  private readonly views: RadioGroup;
  private readonly values: Gradients;
  private readonly sanity: SanityPart | null;
  private view: View = "over";
  private shown = -1;

  constructor(
    row: Row<Gradients>,
    private readonly about: About,
  ) {
    const { values } = row;
    this.values = values;
    const outputs = outputNames(about);
    this.title = values.example_id;
    this.detail = joined(`explains ${className(outputs, values.target)}`, percent(values.probability));
    const check = sanityOf(about);
    this.sanity = check && new SanityPart(check, about, values.example_id);
    this.overlay.addEventListener("load", () => sharpen(this.overlay));
    this.methods = this.methodSwitch();
    this.views = segments(
      "What is shown",
      [
        ["over", "Over the image"],
        ["map", "Alone"],
        ["relief", "Relief"],
      ],
      (view) => this.show(this.shown, view as View),
      "view",
    );
    this.element = h(
      "div",
      { class: "opened" },
      h(
        "div",
        { class: "wide" },
        this.controls(),
        this.stage,
        this.legend,
        this.methods.element,
        this.sanity?.element ?? null,
      ),
      this.side(outputs),
    );
    this.stage.style.setProperty("--opacity", "0.8");
    this.show(0, "over");
  }

  private side(outputs: ReturnType<typeof outputNames>): HTMLElement {
    const classes = names(this.about.manifest.details, "classes");
    return h(
      "div",
      { class: "side" },
      section("What is explained", this.explained(outputs)),
      section("Method", this.facts),
      section("Example", factList(exampleFacts(this.values, classes))),
    );
  }

  private controls(): HTMLElement {
    const opacity = percentRange(
      "Opacity",
      80,
      (fraction) => this.stage.style.setProperty("--opacity", String(fraction)),
      "opacity",
    );
    return h("div", { class: "easel-controls" }, this.views.element, opacity);
  }

  onKey(key: string): boolean {
    const index = keyIndex(key, this.values.maps.length);
    if (index !== null) this.show(index, this.view);
    else if (key.toLowerCase() === "o") this.show(this.shown, this.view === "over" ? "map" : "over");
    else if (key.toLowerCase() === "r" && this.current.relief) this.show(this.shown, "relief");
    else return false;
    return true;
  }

  destroy(): void {
    this.sanity?.destroy();
    this.stage.replaceChildren();
  }

  private get current(): AttributionMap {
    return this.values.maps[this.shown]!;
  }

  /** Every method as a small image of its own; the number keys choose too. */
  private methodSwitch(): RadioGroup {
    const choices = this.values.maps.map((map, i) => ({
      value: String(i),
      label: methodTitle(map.method),
      title: i < 9 ? `${methodTitle(map.method)} (${i + 1})` : methodTitle(map.method),
      testid: `method-${map.method}`,
      content: [
        h(
          "span",
          { class: "layers small" },
          imageElement(this.values.image, { alt: "", class: "under" }),
          imageElement(map.overlay, { alt: "", class: "overlay" }),
        ),
        h("span", { class: "method-name" }, i < 9 ? h("kbd", {}, String(i + 1)) : null, methodTitle(map.method)),
      ],
    }));
    return radioGroup("Method", "methods", choices, (value) => this.show(Number(value), this.view));
  }

  private show(index: number, view: View): void {
    const map = this.values.maps[index]!;
    if (index !== this.shown) this.sanity?.show(map.method);
    this.shown = index;
    // A method without a relief is shown over the image; the choice holds for the next one that has it.
    this.view = view;
    const seen = view === "relief" && !map.relief ? "over" : view;
    this.methods.select(String(index));
    this.views.select(seen);
    this.views.element.querySelector<HTMLButtonElement>('[data-value="relief"]')!.disabled = !map.relief;
    this.stage.dataset.view = seen;
    const title = methodTitle(map.method);
    if (seen === "relief")
      fill(this.stage, imageElement(map.relief, { alt: `${title}: the gradient in color`, testid: "relief" }));
    else {
      this.overlay.src = map.overlay?.url ?? "";
      this.overlay.alt = `${title} of ${this.values.example_id}`;
      fill(this.stage, imageElement(this.values.image, { alt: this.values.example_id, class: "under" }), this.overlay);
    }
    this.describe(map, seen);
  }

  private describe(map: AttributionMap, view: View): void {
    const described = this.about.manifest.details["methods"];
    const known = (Array.isArray(described) ? described : []).find(
      (each: { method?: string }) => each.method === map.method,
    ) as { signed?: boolean } | undefined;
    const scale = map.scale === null ? "" : formatFigure(map.scale);
    const signed = known?.signed ?? false;
    const ends = signed ? [`−${scale}`, "against · for", scale] : ["0", "", scale];
    const bar = h("span", { class: `heat ${signed ? "signed" : ""}` });
    this.legend.hidden = view === "relief";
    fill(this.legend, bar, h("span", { class: "heat-ends" }, ...ends.map((end) => h("span", {}, end))));
    setText(this.facts, "");
    this.facts.append(
      factList([
        ["Name", methodTitle(map.method)],
        ["Full strength at", scale],
        ["Sum is off by", map.completeness_error === null ? "" : percent(map.completeness_error)],
      ]),
    );
  }

  private explained(outputs: readonly string[]): HTMLElement {
    const { target, prediction, probability } = this.values;
    return factList([
      ["Output", className(outputs, target)],
      ["Probability", percent(probability)],
      ["Largest output", prediction === target ? "this one" : className(outputs, prediction)],
    ]);
  }
}

export const gallery = rowGallery<Gradients>({
  kind: "gradients",
  noun: "image",
  wallColumns: ["example_id", "image", "target", "probability"],
  columns: [
    ...EXAMPLE_COLUMNS,
    "image",
    "target",
    "prediction",
    "probability",
    "maps.method",
    "maps.scale",
    "maps.overlay",
    "maps.relief",
    "maps.completeness_error",
  ],
  orders: [
    { value: "", label: "As in the dataset" },
    { value: "-probability", label: "Surest first" },
    { value: "probability", label: "Least sure first" },
  ],
  hints: [
    [["1", "…", "9"], "method"],
    [["O"], "over the image or alone"],
    [["R"], "relief"],
  ],
  tile({ values }, about) {
    return {
      image: values.image,
      name: values.example_id,
      caption: joined(className(outputNames(about), values.target), percent(values.probability)),
    };
  },
  open: (row, about) => new GradientsView(row, about),
});
