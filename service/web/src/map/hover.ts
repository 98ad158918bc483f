/** The small card beside the cursor. */

import { thumbnailUrl } from "../api/client";
import { h, setText } from "../lib/dom";

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
  private row = -1;

  constructor(private readonly map: string) {
    this.element.append(this.image, h("div", { class: "hover-text" }, this.dot, this.name));
    this.image.addEventListener("load", () => {
      this.image.classList.toggle("pixelated", this.image.naturalWidth < 48);
    });
  }

  get shown(): boolean {
    return !this.element.hidden;
  }

  show(content: HoverContent, at: [number, number], bounds: [number, number]): void {
    if (content.row !== this.row) {
      this.row = content.row;
      this.image.src = thumbnailUrl(this.map, content.row);
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
