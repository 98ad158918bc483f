/** Two buttons that draw images smaller, so that more are seen, or larger. */

import { h } from "../lib/dom";
import type { Store } from "../lib/store";
import { SIZES } from "./image-levels";
import type { MapPart } from "./part";
import type { MapState } from "./url-state";

/** `isImages`: whether a color layer shows images. */
export function imageSizePart(store: Store<MapState>, isImages: (layer: string) => boolean): MapPart {
  const step = (by: number) => {
    const size = SIZES.find((each) => each === store.state.imageSize + by);
    if (size !== undefined && isImages(store.state.layer)) store.set({ imageSize: size });
  };
  const button = (label: string, by: number, testid: string) =>
    h(
      "button",
      {
        type: "button",
        class: `icon-button size-${by > 0 ? "larger" : "smaller"}`,
        label,
        title: label,
        testid,
        on: { click: () => step(by) },
      },
      h("i", { attrs: { "aria-hidden": "true" } }),
    );
  const smaller = button("Smaller images, more of them", -1, "images-smaller");
  const larger = button("Larger images", 1, "images-larger");
  const element = h("div", { class: "image-size card", role: "group", label: "Size of images" }, smaller, larger);
  const show = ({ imageSize, layer }: MapState) => {
    element.hidden = !isImages(layer);
    smaller.disabled = imageSize <= SIZES[0];
    larger.disabled = imageSize >= SIZES.at(-1)!;
  };
  show(store.state);
  return {
    corner: [element],
    shortcuts: [
      { key: "[", about: "Smaller images, more of them", run: () => step(-1) },
      { key: "]", about: "Larger images", run: () => step(1) },
    ],
    changed: (state) => show(state),
  };
}
