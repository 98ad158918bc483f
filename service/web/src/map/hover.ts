/** The small card beside the cursor. */

import { showImage, thumbnailUrl } from "../api/client";
import { h, setText } from "../lib/dom";
import type { Texts } from "./texts";

const GAP_PX = 18;

export interface HoverContent {
  row: number;
  className: string;
  color: string;
}

export class HoverCard {
  readonly element = h("div", {
    class: "hover-card",
    testid: "hover-card",
    attrs: { hidden: "", "aria-hidden": "true" },
  });
  private readonly image = h("img", { class: "image", attrs: { alt: "" } });
  private readonly dot = h("span", { class: "dot" });
  private readonly name = h("span", { class: "hover-name" });
  private readonly words = h("p", { class: "hover-words", testid: "hover-words", attrs: { dir: "auto", hidden: "" } });
  private row = -1;

  /**
   * @param texts what is shown of examples without an image
   */
  constructor(
    private readonly map: string,
    private readonly texts: Texts | null = null,
  ) {
    this.element.append(this.image, this.words, h("div", { class: "hover-text" }, this.dot, this.name));
    this.image.addEventListener("load", () => {
      this.image.hidden = false;
      this.words.hidden = true;
      this.image.classList.toggle("pixelated", this.image.naturalWidth < 48);
    });
    this.image.addEventListener("error", () => {
      this.image.hidden = true;
      void this.read(this.row);
    });
  }

  /** Shows the text of a row in place of its image. */
  private async read(row: number): Promise<void> {
    const text = await this.texts?.get(row).catch(() => null);
    if (row !== this.row) return;
    setText(this.words, text ?? "");
    this.words.hidden = !text;
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  show(content: HoverContent, at: [number, number], bounds: [number, number]): void {
    if (content.row !== this.row) {
      this.row = content.row;
      this.words.hidden = true;
      showImage(this.image, thumbnailUrl(this.map, content.row));
      setText(this.name, content.className);
      this.dot.style.setProperty("--dot", content.color);
    }
    this.element.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.element;
    const x = at[0] + GAP_PX + width > bounds[0] ? at[0] - GAP_PX - width : at[0] + GAP_PX;
    const y = Math.min(bounds[1] - height - 8, Math.max(8, at[1] - height / 2));
    this.element.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  hide(): void {
    this.element.hidden = true;
  }
}
