/** The cards at the left: which map this is, the choice of color layer, the legend. */

import { source } from "../api/source";
import type { ColorLayer, MapInfo } from "../api/types";
import { h, setText } from "../lib/dom";
import { joined, plural } from "../lib/format";
import { icon, mark } from "../lib/icons";
import { type RadioGroup, radioGroup } from "../lib/radio";
import { type Legend, layerIcon } from "./legend";

export interface MapTitle {
  title: string;
  detail: string;
}

/** What a point of a map is. */
function nounOf({ step_unit, text }: MapInfo): string {
  if (step_unit) return "state";
  return text ? "example" : "image";
}

/** The way to all jobs and to that of the map; the name alone where there is no service to ask for them. */
function brand(id: string): HTMLElement[] {
  const name = [mark(), h("span", {}, "featurescape")];
  if (!source().service) return [h("span", { class: "home" }, ...name)];
  const all = "featurescape: all jobs and maps";
  const own = "The job of this map";
  const job = { class: "icon-button small", href: `/jobs/${encodeURIComponent(id)}`, title: own, label: own };
  return [h("a", { class: "home", href: "/jobs", title: all, label: all }, ...name), h("a", job, icon("grid"))];
}

/** The name of a map: its own title, or its dataset and model. */
export function titleCard(id: string, info: MapInfo): { element: HTMLElement; set(title: MapTitle): void } {
  const name = h("h1", {}, id);
  const detail = h("p", { class: "faint" }, plural(info.examples, nounOf(info)));
  const element = h(
    "header",
    { class: "title-card card" },
    h("div", { class: "title-row" }, ...brand(id)),
    name,
    detail,
  );
  return {
    element,
    set(title) {
      setText(name, title.title);
      name.title = title.title;
      setText(detail, joined(title.detail, plural(info.examples, nounOf(info))));
    },
  };
}

/** The switch between color layers and the legend of the chosen one. */
export function layerCard(
  layers: readonly ColorLayer[],
  legend: Legend,
  onLayer: (name: string) => void,
): {
  element: HTMLElement;
  group: RadioGroup;
} {
  const choices = layers.map((layer, i) => ({
    value: layer.name,
    label: layer.title,
    title: `${layer.title} (${i + 1})`,
    testid: `layer-${layer.name}`,
    content: [layerIcon(layer), h("span", {}, layer.title)],
  }));
  const group = radioGroup("Color layer", "segments", choices, onLayer);
  const fold = h(
    "button",
    { type: "button", class: "fold", attrs: { "aria-expanded": "false" } },
    "Legend",
    icon("chevron"),
  );
  const element = h("section", { class: "layer-card card" }, group.element, fold, legend.element);
  fold.addEventListener("click", () => {
    const open = element.classList.toggle("unfolded");
    fold.setAttribute("aria-expanded", String(open));
  });
  return { element, group };
}
