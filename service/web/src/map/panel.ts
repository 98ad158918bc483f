/** The opened example: its image, label, id, place, and nearest neighbors. */

import { imageUrl, showImage, thumbnailUrl } from "../api/client";
import type { Example, MapInfo, Neighbor } from "../api/types";
import { fill, h } from "../lib/dom";
import { attributeValue, formatCount, formatFigure, humanize } from "../lib/format";
import { gridStep } from "../lib/grid-step";
import { icon } from "../lib/icons";
import { captionMark, plainAttributes, rowBox, rowMark, stepLine, stepOf, wordsOf } from "./state-mark";
import { type Texts, textOf } from "./texts";

export interface PanelActions {
  onClose(): void;
  /** A neighbor was chosen. */
  onOpen(row: number): void;
  onLocate(): void;
  /** What the parts of the page say of an example, and do with it. */
  about(example: Example): HTMLElement[];
  /** Texts of examples that have no image; null: the map has none. */
  texts?: Texts | null;
}

type ColorOf = (label: number | null) => string;

export class DetailPanel {
  readonly element = h("aside", {
    class: "panel card",
    testid: "detail-panel",
    label: "Example",
    attrs: { hidden: "" },
  });
  private readonly body = h("div", { class: "panel-body" });
  private readonly heading = h("h2", { tabIndex: -1 });

  constructor(
    private readonly map: string,
    private readonly stepUnit: MapInfo["step_unit"],
    private readonly colorOf: ColorOf,
    private readonly actions: PanelActions,
  ) {
    const close = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        label: "Close",
        title: "Close (Esc)",
        testid: "detail-close",
        on: { click: () => actions.onClose() },
      },
      icon("close"),
    );
    const locate = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        label: "Show on the map",
        title: "Show on the map",
        on: { click: () => actions.onLocate() },
      },
      icon("fit"),
    );
    this.element.append(h("header", { class: "panel-head" }, this.heading, locate, close), this.body);
  }

  get open(): boolean {
    return !this.element.hidden;
  }

  loading(row: number): void {
    this.element.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    if (this.body.childElementCount === 0) {
      fill(this.heading, `Row ${formatCount(row)}`);
      fill(this.body, h("div", { class: "frame loading" }));
    }
  }

  failed(message: string): void {
    this.element.removeAttribute("aria-busy");
    fill(this.heading, "Not available");
    fill(this.body, h("p", { class: "problem", role: "alert" }, message));
  }

  show(example: Example): void {
    this.element.hidden = false;
    this.element.removeAttribute("aria-busy");
    this.body.scrollTop = 0;
    const name = example.class_name ?? "no label";
    fill(this.heading, this.dot(example.label), h("span", { testid: "detail-class" }, name));
    fill(
      this.body,
      this.image(example, name) ?? this.text(example),
      this.caption(example),
      this.identity(example),
      this.facts(example),
      ...this.actions.about(example),
      this.neighbors(example),
    );
  }

  hide(): void {
    this.element.hidden = true;
    this.body.replaceChildren();
  }

  focus(): void {
    this.heading.focus({ preventScroll: true });
  }

  private dot(label: number | null): HTMLElement {
    const dot = h("span", { class: "dot" });
    dot.style.setProperty("--dot", this.colorOf(label));
    return dot;
  }

  private image(example: Example, name: string): HTMLElement | null {
    const { width, height } = example;
    if (width === null || height === null) return null;
    const image = h("img", {
      testid: "detail-image",
      attrs: { alt: `${name}: ${example.example_id}` },
    });
    showImage(image, imageUrl(this.map, example.row));
    if (Math.max(width, height) < 128) image.classList.add("pixelated");
    const frame = h("div", { class: "frame" }, image);
    const ratio = Math.min(1.6, Math.max(0.75, width / height || 1));
    frame.style.setProperty("--ratio", String(ratio));
    const state = stepOf(example, this.stepUnit);
    if (state && this.stepUnit === "row") frame.append(rowMark(rowBox({ width, height }, ratio, state)));
    image.addEventListener("error", () => {
      fill(frame, h("p", { class: "problem" }, "The image cannot be read from its dataset any more."));
    });
    return frame;
  }

  private text(example: Example): HTMLElement | null {
    const { texts } = this.actions;
    const text = texts ? textOf(example.attributes, texts.name) : null;
    return text === null
      ? null
      : h("p", { class: "example-text", testid: "detail-text", attrs: { dir: "auto" } }, text);
  }

  private caption(example: Example): HTMLElement | null {
    const state = stepOf(example, this.stepUnit);
    const words = wordsOf(example, this.stepUnit);
    return state && words && captionMark(words, state);
  }

  private identity(example: Example): HTMLElement {
    const copy = h(
      "button",
      { type: "button", class: "icon-button small", label: "Copy the id", title: "Copy the id" },
      icon("copy"),
    );
    copy.addEventListener("click", () => {
      void navigator.clipboard
        ?.writeText(example.example_id)
        .then(() => {
          fill(copy, icon("check"));
          window.setTimeout(() => fill(copy, icon("copy")), 1400);
        })
        .catch(() => undefined);
    });
    const state = stepOf(example, this.stepUnit);
    const step =
      state && this.stepUnit && h("span", { class: "faint", testid: "detail-step" }, stepLine(state, this.stepUnit));
    return h("div", { class: "identity" }, h("code", { testid: "detail-id" }, example.example_id), step, copy);
  }

  private facts(example: Example): HTMLElement {
    const fact = (term: string, value: string) => h("div", {}, h("dt", {}, term), h("dd", {}, value));
    return h(
      "dl",
      { class: "facts" },
      example.width !== null &&
        example.height !== null &&
        fact("Size", `${formatCount(example.width)} × ${formatCount(example.height)}`),
      fact("Position", `${example.x.toFixed(4)}, ${example.y.toFixed(4)}`),
      fact("Row", formatCount(example.row)),
      ...plainAttributes(example, this.stepUnit)
        .filter(([name]) => example.width !== null || name !== this.actions.texts?.name)
        .map(([name, value]) => fact(humanize(name), attributeValue(value))),
    );
  }

  private neighbors(example: Example): HTMLElement {
    const buttons = example.neighbors.map((neighbor, i) => this.neighbor(neighbor, i));
    const same = example.neighbors.filter((each) => each.label === example.label && each.label !== null).length;
    const agree =
      example.label === null || example.neighbors.length === 0 ? "" : `${same} of ${example.neighbors.length} alike`;
    const list = h(
      "div",
      { class: "neighbors", testid: "neighbours", role: "group", label: "Nearest neighbors" },
      ...buttons,
    );
    list.addEventListener("keydown", (event) => {
      const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
      const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
      const next = at < 0 ? null : gridStep(event.key, at, buttons.length, columns);
      if (next === null) return;
      event.preventDefault();
      event.stopPropagation();
      buttons[at]!.tabIndex = -1;
      buttons[next]!.tabIndex = 0;
      buttons[next]!.focus();
    });
    return h(
      "section",
      { class: "near" },
      h("div", { class: "legend-head" }, h("h3", {}, "Nearest neighbors"), h("span", { class: "faint" }, agree)),
      buttons.length > 0 ? list : h("p", { class: "faint" }, "There are none, or none are stored for this map."),
    );
  }

  /** Puts the text of a row in the place of an image that is not there. */
  private async read(image: HTMLElement, row: number): Promise<void> {
    const text = await this.actions.texts?.get(row).catch(() => null);
    image.replaceWith(h("span", { class: "image words", attrs: { dir: "auto" } }, text ?? ""));
  }

  private neighbor(neighbor: Neighbor, i: number): HTMLButtonElement {
    const name = neighbor.class_name ?? "no label";
    const image = h("img", { class: "image", attrs: { alt: "", loading: "lazy" } });
    showImage(image, thumbnailUrl(this.map, neighbor.row));
    image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
    image.addEventListener("error", () => void this.read(image, neighbor.row));
    return h(
      "button",
      {
        type: "button",
        tabIndex: i === 0 ? 0 : -1,
        title: `${name} · ${neighbor.example_id}`,
        label: `${name}, ${neighbor.example_id}, distance ${formatFigure(neighbor.distance)}`,
        on: { click: () => this.actions.onOpen(neighbor.row) },
      },
      image,
      h("span", { class: "distance" }, this.dot(neighbor.label), formatFigure(neighbor.distance)),
    );
  }
}
