/** One image at full size, in a dialog: zoom, the next and the previous one, what is known of it, and to keep it. */

import { imageUrl, showImage } from "../api/client";
import { source } from "../api/source";
import type { Example, MapInfo } from "../api/types";
import { fill, h, setText } from "../lib/dom";
import { attributeValue, formatCount, humanize } from "../lib/format";
import { type IconName, icon } from "../lib/icons";
import { ImageView } from "./image-view";
import { plainAttributes } from "./state-mark";
import { stepped, type Walk } from "./walk";

const SHARP_PX = 128;
const PAN_PX = 80;
const ZOOM = 1.5;

export interface LightboxActions {
  get(row: number): Promise<Example>;
  /** Another image is shown than the one that was open. */
  onRow(row: number): void;
}

export class Lightbox {
  readonly element: HTMLDialogElement;
  private readonly image = h("img", { testid: "lightbox-image", attrs: { draggable: "false" } });
  private readonly frame = h("div", { class: "lightbox-frame", tabIndex: -1 }, this.image);
  private readonly heading = h("h2", {});
  private readonly order = h("p", { class: "faint", role: "status", testid: "lightbox-order" });
  private readonly facts = h("dl", { class: "facts", testid: "lightbox-facts" });
  private readonly problem = h("p", { class: "problem", role: "alert", attrs: { hidden: "" } });
  private readonly download = h(
    "a",
    { class: "icon-button", label: "Download the image", title: "Download the image", testid: "lightbox-download" },
    icon("download"),
  );
  private readonly back = this.button("back", "Previous (←)", () => this.step(-1));
  private readonly next = this.button("arrow", "Next (→)", () => this.step(1));
  private readonly view: ImageView;
  private walk: Walk = { of: "", rows: [] };
  private at = 0;

  constructor(
    private readonly map: string,
    private readonly stepUnit: MapInfo["step_unit"],
    private readonly actions: LightboxActions,
  ) {
    this.view = new ImageView(this.frame, this.image, (by) => this.step(by));
    const head = h(
      "header",
      { class: "lightbox-head" },
      h("div", {}, this.heading, this.order),
      this.button("minus", "Smaller (−)", () => this.view.zoomBy(1 / ZOOM)),
      this.button("plus", "Larger (+)", () => this.view.zoomBy(ZOOM)),
      this.button("fit", "The whole image (0)", () => this.view.reset()),
      this.download,
      this.button("close", "Close (Esc)", () => this.element.close()),
    );
    const stage = h("div", { class: "lightbox-stage" }, this.back, this.frame, this.next, this.problem);
    this.element = h(
      "dialog",
      { class: "lightbox", testid: "lightbox", label: "Image at full size" },
      head,
      stage,
      this.facts,
    );
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.image.addEventListener("error", () => {
      if (!this.element.open) return;
      setText(this.problem, "The image cannot be read from its dataset any more.");
      this.problem.hidden = false;
    });
    this.image.addEventListener("load", () => {
      const { naturalWidth, naturalHeight, src } = this.image;
      this.download.href = src;
      this.image.classList.toggle("pixelated", Math.max(naturalWidth, naturalHeight) < SHARP_PX);
    });
  }

  /** Shows the image at a place of the walk. */
  async open(walk: Walk, row: number): Promise<void> {
    this.walk = walk;
    this.at = Math.max(0, walk.rows.indexOf(row));
    if (!this.element.open) {
      this.element.showModal();
      // The arrows are at work, and no button looks as if it were chosen.
      this.frame.focus();
    }
    await this.show();
  }

  private step(by: number): void {
    const at = stepped(this.walk, this.at, by);
    if (at === this.at) return;
    this.at = at;
    void this.show();
  }

  private async show(): Promise<void> {
    const row = this.walk.rows[this.at]!;
    const { length } = this.walk.rows;
    this.view.reset();
    const { noImages } = source();
    setText(this.problem, noImages ?? "");
    this.problem.hidden = noImages === null;
    this.back.disabled = this.at === 0;
    this.next.disabled = this.at === length - 1;
    setText(this.order, `${formatCount(this.at + 1)} of ${formatCount(length)}, ${this.walk.of}`);
    showImage(this.image, imageUrl(this.map, row));
    this.download.setAttribute("download", `row-${row}`);
    try {
      const example = await this.actions.get(row);
      if (this.walk.rows[this.at] === row) this.say(example);
      this.actions.onRow(row);
    } catch (error) {
      setText(this.problem, (error as Error).message);
      this.problem.hidden = false;
    }
  }

  private say(example: Example): void {
    const { example_id: id, width, height, class_name: name, attributes } = example;
    const fact = (term: string, value: string) => h("div", {}, h("dt", {}, term), h("dd", {}, value));
    const caption = typeof attributes["caption"] === "string" ? `. ${attributes["caption"]}` : "";
    this.image.alt = `${name ?? "no label"}: ${id}${caption}`;
    setText(this.heading, name ?? "no label");
    fill(
      this.facts,
      fact("Id", id),
      width !== null && height !== null && fact("Size", `${formatCount(width)} × ${formatCount(height)}`),
      ...plainAttributes(example, this.stepUnit).map(([key, value]) => fact(humanize(key), attributeValue(value))),
    );
  }

  private button(name: IconName, label: string, run: () => void): HTMLButtonElement {
    return h("button", { type: "button", class: "icon-button", label, title: label, on: { click: run } }, icon(name));
  }

  private onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const across = (by: number) => (view.enlarged ? view.moveBy(-by * PAN_PX, 0) : this.step(by));
    const keys: Record<string, () => void> = {
      ArrowLeft: () => across(-1),
      ArrowRight: () => across(1),
      ArrowUp: () => view.moveBy(0, PAN_PX),
      ArrowDown: () => view.moveBy(0, -PAN_PX),
      PageUp: () => this.step(-1),
      PageDown: () => this.step(1),
      "+": () => view.zoomBy(ZOOM),
      "=": () => view.zoomBy(ZOOM),
      "-": () => view.zoomBy(1 / ZOOM),
      "0": () => view.reset(),
    };
    // The map beneath has the same keys.
    if (event.key !== "Escape" && event.key !== "Tab") event.stopPropagation();
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  }
}
