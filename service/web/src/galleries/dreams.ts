/** Dreams: before and after, the octaves as a film, the objective, the zoom. */

import type { Row, StoredImage } from "../api/types";
import { fill, h } from "../lib/dom";
import { formatCount, formatFigure, joined } from "../lib/format";
import { Compare } from "./compare";
import { Film } from "./film";
import { imageElement } from "./image";
import { objectiveChart } from "./objective";
import { EXAMPLE_COLUMNS, type ExampleValues, exampleFacts, factList, names, section, segments } from "./parts";
import { type About, type Opened, rowGallery } from "./types";

interface Dream extends ExampleValues {
  dream: StoredImage | null;
  original: StoredImage | null;
  octaves: (StoredImage | null)[];
  octave_sizes: [number, number][];
  objective_originals: (number | null)[];
  objective_starts: (number | null)[];
  objective_ends: (number | null)[];
  video: StoredImage | null;
}

export interface Frame {
  url: string;
  name: string;
  /** Its name and size. */
  word: string;
  /** Which octave it is the end of; null: of none that is known. */
  octave: number;
}

/** The frames of the film: the end of every octave that was kept, and the dream. */
export function frames(dream: Pick<Dream, "dream" | "octaves" | "octave_sizes" | "width" | "height">): Frame[] {
  const sizes = dream.octave_sizes;
  const kept = dream.octaves.flatMap((image, i): Frame[] => {
    if (!image) return [];
    const [width, height] = sizes[i] ?? [0, 0];
    return [
      { url: image.url, name: `octave ${i + 1}`, word: joined(`octave ${i + 1}`, `${width} × ${height}`), octave: i },
    ];
  });
  const whole = joined("dream", `${dream.width} × ${dream.height}`);
  const last = sizes.at(-1);
  // The end of an octave of full size is the dream itself.
  if (kept.length === sizes.length && last && last[0] === dream.width && last[1] === dream.height) kept.pop();
  return dream.dream ? [...kept, { url: dream.dream.url, name: "dream", word: whole, octave: sizes.length - 1 }] : kept;
}

/** The objective of the dream over that of the image itself, both at full size: other sizes do not compare. */
export function gain(originals: readonly (number | null)[], ends: readonly (number | null)[]): number | null {
  const first = originals.at(-1) ?? null;
  const last = ends.at(-1) ?? null;
  return first === null || last === null || first <= 0 ? null : last / first;
}

/** What is said of a dream's growth: a ratio, or for a sum, which may cross zero, from where to where. */
export function growth(
  originals: readonly (number | null)[],
  ends: readonly (number | null)[],
  objective: unknown,
): string {
  const grown = gain(originals, ends);
  if (grown !== null && objective !== "sum") return `grew ${formatFigure(grown)} times`;
  const first = originals.at(-1) ?? null;
  const last = ends.at(-1) ?? null;
  return first === null || last === null ? "" : `from ${formatFigure(first)} to ${formatFigure(last)}`;
}

/** The objective as people read it; manifests of earlier versions have the number of its channel beside it. */
export function objectiveText(details: Readonly<Record<string, unknown>>): string {
  const { description, objective, channel } = details;
  if (typeof description === "string") return description;
  return joined(String(objective ?? ""), typeof channel === "number" && `channel ${formatCount(channel)}`);
}

function zoomElement(video: StoredImage): HTMLElement {
  if (!video.media_type.startsWith("video/"))
    return h("div", { class: "easel plain", testid: "zoom" }, imageElement(video, { alt: "The zoom into the dream" }));
  const element = h("video", {
    class: "image",
    testid: "zoom",
    label: "The zoom into the dream",
    attrs: { controls: "", loop: "", src: video.url },
  });
  element.muted = true;
  return h("div", { class: "easel plain" }, element);
}

class DreamView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly compare: Compare;
  private readonly film: Film;

  constructor(row: Row<Dream>, about: About) {
    const dream = row.values;
    const { details } = about.manifest;
    this.title = dream.example_id;
    this.detail = joined(String(details["model"] ?? ""), String(details["description"] ?? details["layer"] ?? ""));
    const shown = frames(dream);
    const chart = objectiveChart(dream.objective_originals, dream.objective_starts, dream.objective_ends);
    this.compare = new Compare(dream.width / dream.height || 1, ["before", "dream"]);
    if (dream.original) this.compare.setBefore(dream.original.url);
    this.film = new Film(
      shown.map((each) => each.word),
      (index) => {
        const frame = shown[index];
        if (!frame) return;
        this.compare.setAfter(frame.url, frame.name);
        chart.mark(frame.octave);
      },
    );
    const stage = h("div", { class: "staged" }, this.compare.element);
    const film = shown.length > 1 ? this.film.element : null;
    const side = h(
      "div",
      { class: "side" },
      section("Objective", chart.element),
      section("Example", this.facts(dream, about)),
    );
    this.element = h(
      "div",
      { class: "opened" },
      h("div", { class: "wide" }, this.modes(dream, stage), stage, film),
      side,
    );
  }

  onKey(key: string): boolean {
    if (key === " ") this.film.toggle();
    else if (key === "[") this.film.step(-1);
    else if (key === "]") this.film.step(1);
    else if (key.toLowerCase() === "b") this.compare.toggle();
    else return false;
    return true;
  }

  destroy(): void {
    this.film.stop();
  }

  /** The switch between the two images and the zoom, where there is one. */
  private modes(dream: Dream, stage: HTMLElement): HTMLElement | null {
    const { video } = dream;
    if (!video) return null;
    const group = segments(
      "What is shown",
      [
        ["compare", "Before and after"],
        ["zoom", "Zoom"],
      ],
      (value) => {
        this.film.stop();
        this.film.element.hidden = value === "zoom";
        fill(stage, value === "zoom" ? zoomElement(video) : this.compare.element);
      },
      "dream",
    );
    group.select("compare");
    return group.element;
  }

  private facts(dream: Dream, about: About): HTMLElement {
    const { details } = about.manifest;
    return factList([
      ["Objective", objectiveText(details)],
      ["Growth", growth(dream.objective_originals, dream.objective_ends, details["objective"])],
      ...exampleFacts(dream, names(details, "classes")),
    ]);
  }
}

export const gallery = rowGallery<Dream>({
  kind: "dreams",
  noun: "dream",
  wallColumns: ["example_id", "dream", "objective_originals", "objective_ends"],
  columns: [
    ...EXAMPLE_COLUMNS,
    "dream",
    "original",
    "octaves",
    "octave_sizes",
    "objective_originals",
    "objective_starts",
    "objective_ends",
    "video",
  ],
  hints: [
    [["Space"], "film"],
    [["[", "]"], "octave"],
    [["B"], "before or after"],
  ],
  tile({ values }, { manifest }) {
    const caption = growth(values.objective_originals, values.objective_ends, manifest.details["objective"]);
    return { image: values.dream, name: values.example_id, caption };
  },
  open: (row, about) => new DreamView(row, about),
});
