/** A stored image as an element: sharp pixels where it is small, a word where there is none. */

import type { StoredImage } from "../api/types";
import { h } from "../lib/dom";

/** Images smaller than this are drawn pixel by pixel. */
const SMALL_PX = 96;

export interface Look {
  /** Empty where a name stands beside it. */
  alt: string;
  class?: string;
  testid?: string;
  lazy?: boolean;
}

/** An element; an image that there is not is said to be missing. */
export function imageElement(image: StoredImage | null | undefined, look: Look): HTMLElement {
  const name = `image ${look.class ?? ""}`.trim();
  if (!image) return h("span", { class: `${name} missing` }, "none");
  const element = h("img", {
    class: name,
    ...(look.testid ? { testid: look.testid } : {}),
    attrs: {
      alt: look.alt,
      draggable: "false",
      decoding: "async",
      ...(look.lazy ? { loading: "lazy" } : {}),
      src: image.url,
    },
  });
  element.addEventListener("load", () => sharpen(element));
  element.addEventListener("error", () => element.replaceWith(h("span", { class: `${name} missing` }, "not readable")));
  return element;
}

/** Marks an image that has loaded as pixel art where it is small. */
export function sharpen(image: HTMLImageElement): void {
  image.classList.toggle("pixelated", Math.max(image.naturalWidth, image.naturalHeight) < SMALL_PX);
}
