/** The parts of the map page, in the order in which they stand in its bar, columns and panel. */

import { source } from "../api/source";
import { currentTheme } from "../app/theme";
import { Asking } from "../job-parts/asking";
import { h } from "../lib/dom";
import { icon } from "../lib/icons";
import { added } from "./added-layer";
import { arrangement } from "./arrangement";
import { AtlasCells } from "./atlas-cell";
import { FindMarks, marksOf } from "./find-marks";
import { imageSizePart } from "./image-size";
import { lightboxPart } from "./lightbox-part";
import { lookLive } from "./live-link";
import { names } from "./names";
import { Overview } from "./overview";
import type { MakePart, MapContext, MapPart } from "./part";
import { SearchBox } from "./search";
import { type Marks, Searching } from "./searching";
import { selection } from "./selection";
import { sharePart } from "./share-part";
import { exampleOf } from "./state-mark";
import { labelsOver } from "./text-labels";

export const PARTS: readonly MakePart[] = [
  arrangement,
  atlas,
  search,
  selection,
  asking,
  texts,
  overview,
  added,
  size,
  lightboxPart,
  names,
  compare,
  sharePart,
  live,
];

/** Those that need no more than the files of a map: an exported map has no service to ask. */
const EXPORTED: ReadonlySet<MakePart> = new Set([arrangement, texts, overview, size, lightboxPart, names, sharePart]);

/** The parts that a map has use for. */
export function partsOf(context: MapContext): MapPart[] {
  const makers = source().service ? PARTS : PARTS.filter((make) => EXPORTED.has(make));
  return makers.map((make) => make(context)).filter((part) => part !== null);
}

function atlas({ id, info, shown, stage }: MapContext): MapPart {
  const cells = new AtlasCells(id, info, shown.noAttribution);
  return { about: (example) => cells.show(example, stage.zoom) };
}

function search({ id, info, stage, store, root, open }: MapContext): MapPart {
  const box = new SearchBox(id, (row) => void open(row, "find"));
  const all = new FindMarks(info.max_zoom, stage.dimming);
  stage.olMap.addLayer(all.olLayer);
  const marks: Marks = {
    find: (places) => stage.highlight.find(places),
    all: (found) => {
      all.arrange(stage.arrangement.name);
      all.show(found && marksOf(found.answer), currentTheme());
    },
    hover: (place) => stage.highlight.hover(place),
  };
  const searching = new Searching(id, marks, {
    possible: info.features !== id,
    onOpen: (row) => void open(row, "show"),
    onSelect: (asked) => root.dispatchEvent(new CustomEvent("featurescape:select", { detail: asked })),
    onSaved: (saved) => store.set({ search: saved }),
  });
  return {
    tools: [box.element],
    elements: [searching.strip.element],
    shortcuts: [{ key: "/", about: "Search", run: () => box.focus() }],
    about: (example) => (example.width === null ? null : searching.button(example)),
    start: () => void searching.begin(box, root, store.state.search),
    relook: () => {
      all.arrange(stage.arrangement.name);
      all.setTheme(currentTheme());
    },
    escape: () => {
      if (store.state.row !== null || !searching.open) return false;
      searching.clear();
      return true;
    },
    destroy: () => searching.destroy(),
  };
}

function asking({ info }: MapContext): MapPart {
  const asks = new Asking(info.features);
  return {
    shortcuts: [
      { key: "d", about: "Dream the open example", run: () => void asks.ask("dream") },
      { key: "e", about: "Explain it", run: () => void asks.ask("explain") },
      { key: "u", about: "Which units see it", run: () => void asks.ask("units") },
    ],
    about: (example) => (example.width === null ? null : asks.show(exampleOf(example, info.step_unit))),
    closed: () => asks.stop(),
    destroy: () => asks.stop(),
  };
}

function texts({ texts, stage, picker, accepts, target }: MapContext): MapPart | null {
  if (!texts) return null;
  const labels = labelsOver(target, { ...stage.labelParts(), picker, accepts, texts });
  return {
    changed: (state, previous) => {
      if (state.hidden !== previous.hidden) void labels.update();
    },
    destroy: () => labels.destroy(),
  };
}

function size({ info, store, stage }: MapContext): MapPart | null {
  const isImages = (layer: string) => stage.layerInfo(layer).legend.kind === "images";
  return info.layers.some((each) => isImages(each.name)) ? imageSizePart(store, isImages) : null;
}

function overview({ stage }: MapContext): MapPart {
  const map = new Overview(stage);
  return {
    corner: [map.element],
    start: () => map.start(),
    relook: () => void map.repaint(),
    destroy: () => map.destroy(),
  };
}

function compare({ id }: MapContext): MapPart {
  const label = "Compare with other maps";
  const href = `/compare?maps=${encodeURIComponent(id)}`;
  return {
    more: [h("a", { class: "icon-button", href, label, title: label, testid: "compare" }, icon("compare"))],
  };
}

function live({ id }: MapContext): MapPart {
  return { about: (example) => (example.width === null ? null : lookLive(id, example)) };
}
