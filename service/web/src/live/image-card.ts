/** The image as the network sees it, what the network says it is, and where another one comes from. */

import { dataUrl, thumbnailUrl } from "../api/client";
import type { Activations, Output, Shape, UnitAnswer } from "../api/types";
import { fill, h, setText } from "../lib/dom";
import { formatCount } from "../lib/format";
import { icon } from "../lib/icons";
import { imageField } from "../lib/image-files";
import type { Source } from "../lib/live-path";

export interface ImageActions {
  onFile(file: Blob): void;
  onSource(source: Source): void;
}

export interface Samples {
  map: string;
  title: string;
  rows: number[];
}

const SMALL_PX = 96;

/** Rows spread evenly over a map's examples. */
export function spread(examples: number, count: number): number[] {
  const n = Math.min(examples, count);
  return Array.from({ length: n }, (_, k) => Math.floor(((k + 0.5) * examples) / n));
}

/** Left, top, width and height in percent of the part of a box that lies in the image. */
export function boxShare(
  box: NonNullable<UnitAnswer["box"]>,
  [, height, width]: Shape,
): [number, number, number, number] {
  const [top, left, bottom, right] = box;
  const clamp = (value: number, size: number) => Math.min(size, Math.max(0, value));
  const [x0, x1, y0, y1] = [clamp(left, width), clamp(right, width), clamp(top, height), clamp(bottom, height)];
  return [(100 * x0) / width, (100 * y0) / height, (100 * (x1 - x0)) / width, (100 * (y1 - y0)) / height];
}

function outputRow(output: Output): HTMLElement {
  const share = output.probability ?? 0;
  const bar = h("i", {});
  bar.style.transform = `scaleX(${share})`;
  return h(
    "li",
    {},
    h("span", { class: "live-output-name" }, output.name ?? `output ${output.index}`),
    h("span", { class: "faint" }, `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`),
    h("span", { class: "live-output-bar" }, bar),
  );
}

export class ImageCard {
  private readonly file = imageField("live-file", (file) => this.actions.onFile(file));
  private readonly seen = h("div", { class: "live-seen", attrs: { hidden: "" } });
  private readonly field = h("span", { class: "live-field", attrs: { hidden: "" } });
  private readonly size = h("p", { class: "faint live-size" });
  private readonly outputs = h("ul", { class: "live-outputs", label: "Most probable outputs", testid: "live-outputs" });
  private readonly problem = h("p", {
    class: "problem",
    role: "alert",
    testid: "live-image-problem",
    attrs: { hidden: "" },
  });
  private readonly samples = h("div", { class: "live-samples", attrs: { hidden: "" } });
  readonly element: HTMLElement;

  constructor(private readonly actions: ImageActions) {
    const choose = h(
      "button",
      { type: "button", class: "button", testid: "live-choose", on: { click: () => this.choose() } },
      icon("images"),
      "Choose an image",
    );
    this.element = h(
      "section",
      { class: "card live-card live-image", label: "Image" },
      this.seen,
      this.size,
      this.problem,
      h("div", { class: "live-choosing" }, choose, h("span", { class: "faint" }, "or drop or paste one")),
      this.file,
      this.outputs,
      this.samples,
    );
  }

  /** Opens the browser's own dialog. */
  choose(): void {
    this.file.click();
  }

  show(shown: Activations): void {
    const { image } = shown;
    const sharp = Math.max(image.width, image.height) < SMALL_PX ? "pixelated" : "";
    const element = h("img", {
      class: sharp,
      testid: "live-seen",
      attrs: { alt: "The image as the network sees it", draggable: "false", src: dataUrl(image) },
    });
    fill(this.seen, element, this.field);
    this.seen.hidden = false;
    const [height, width] = image.size_px;
    setText(this.size, `${formatCount(width)} × ${formatCount(height)} px, seen as ${image.width} × ${image.height}`);
    fill(this.outputs, ...shown.outputs.map(outputRow));
    this.fail("");
  }

  /** Marks what a cell sees; null: nothing. */
  mark(box: UnitAnswer["box"], input: Shape): void {
    const share = box && boxShare(box, input);
    this.field.hidden = !share || (share[2] > 99 && share[3] > 99);
    if (share)
      Object.assign(this.field.style, {
        left: `${share[0]}%`,
        top: `${share[1]}%`,
        width: `${share[2]}%`,
        height: `${share[3]}%`,
      });
  }

  fail(message: string): void {
    setText(this.problem, message);
    this.problem.hidden = message === "";
  }

  /** Images of a map, to begin with. */
  offer({ map, title, rows }: Samples): void {
    const buttons = rows.map((row) => {
      const image = h("img", { class: "image", attrs: { alt: "", loading: "lazy", src: thumbnailUrl(map, row) } });
      image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
      return h(
        "button",
        {
          type: "button",
          label: `Example ${row} of ${title}`,
          testid: "live-sample",
          on: { click: () => this.actions.onSource({ map, row }) },
        },
        image,
      );
    });
    fill(this.samples, h("h3", {}, `From ${title}`), h("div", { class: "live-sample-grid" }, ...buttons));
    this.samples.hidden = rows.length === 0;
  }
}
