/** A stored picture as an element: sharp pixels where it is small, a word where there is none. */

import type { Picture } from "../api/types";
import { h } from "../lib/dom";

/** Pictures smaller than this are drawn pixel by pixel. */
const SMALL_PX = 96;

export interface Look {
  /** Empty where a name stands beside it. */
  alt: string;
  class?: string;
  testid?: string;
  lazy?: boolean;
}

/** An image; a picture that there is not is said to be missing. */
export function pictureElement(picture: Picture | null | undefined, look: Look): HTMLElement {
  const name = `picture ${look.class ?? ""}`.trim();
  if (!picture) return h("span", { class: `${name} missing` }, "none");
  const image = h("img", {
    class: name,
    ...(look.testid ? { testid: look.testid } : {}),
    attrs: {
      alt: look.alt,
      draggable: "false",
      decoding: "async",
      ...(look.lazy ? { loading: "lazy" } : {}),
      src: picture.url,
    },
  });
  image.addEventListener("load", () => sharpen(image));
  image.addEventListener("error", () => image.replaceWith(h("span", { class: `${name} missing` }, "not readable")));
  return image;
}

/** Marks an image that has loaded as pixel art where it is small. */
export function sharpen(image: HTMLImageElement): void {
  image.classList.toggle("pixelated", Math.max(image.naturalWidth, image.naturalHeight) < SMALL_PX);
}
