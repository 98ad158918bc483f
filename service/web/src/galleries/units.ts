/** Units: what excites a channel most, what it sees there, and images made to excite it. */

import type { Row, StoredImage } from "../api/types";
import { fill, h, setText } from "../lib/dom";
import { formatFigure, humanize, joined } from "../lib/format";
import { unitPath } from "../lib/paths";
import { imageElement } from "./image";
import { className, factList, keyIndex, names, section } from "./parts";
import { percent } from "./percent";
import { type About, type Opened, rowGallery } from "./types";

interface TopImage {
  rank: number;
  example_id: string;
  label: number | null;
  activation: number | null;
  image: StoredImage | null;
  /** Top, left, bottom, right in pixels of `image`; may leave it. */
  box: [number, number, number, number];
  patch: StoredImage | null;
  deconvolution: StoredImage | null;
  guided: StoredImage | null;
}

interface Visualization {
  recipe: string;
  image: StoredImage | null;
  contrasted: StoredImage | null;
  activation: number | null;
  fraction: number | null;
}

interface Unit {
  /** Null of a combination of several. */
  channel: number | null;
  name: string | null;
  maximum: number | null;
  mean: number | null;
  excited_fraction: number | null;
  receptive_field: [number, number];
  top: TopImage[];
  preferred: Visualization[];
}

const TOP = ["rank", "example_id", "label", "activation", "image", "box", "patch", "deconvolution", "guided"].map(
  (field) => `top.${field}`,
);
const SEEN: readonly (readonly [key: "patch" | "deconvolution" | "guided", title: string])[] = [
  ["patch", "What it sees"],
  ["deconvolution", "Deconvolution"],
  ["guided", "Guided backprop"],
];

/** The image of a unit on the wall: made for it, or else the patch that excites it most. */
export function wallImage(unit: Pick<Unit, "preferred" | "top">): StoredImage | null {
  const made = unit.preferred.at(-1);
  return made?.contrasted ?? made?.image ?? unit.top[0]?.patch ?? null;
}

/** A box as parts of an image's size: left, top, width, height in percent. */
export function boxPercents(
  [top, left, bottom, right]: readonly number[],
  width: number,
  height: number,
): [number, number, number, number] {
  const at = (value: number, whole: number) => (100 * value) / whole;
  return [at(left!, width), at(top!, height), at(right! - left!, width), at(bottom! - top!, height)];
}

/** Lengths of bars, as fractions of the longest. */
export function bars(values: readonly (number | null)[]): number[] {
  const longest = Math.max(...values.map((value) => value ?? 0), 0);
  return values.map((value) => (longest > 0 ? Math.max(0, value ?? 0) / longest : 0));
}

/** An example with a line around what the unit sees of it. */
function boxed(image: TopImage): HTMLElement {
  const element = imageElement(image.image, { alt: "" });
  const frame = h("span", { class: "field-box" });
  if (element instanceof HTMLImageElement) {
    element.addEventListener("load", () => {
      const [left, top, width, height] = boxPercents(image.box, element.naturalWidth, element.naturalHeight);
      for (const [name, value] of Object.entries({ left, top, width, height }))
        frame.style.setProperty(name, `${value}%`);
    });
  }
  return h("span", { class: "boxed" }, element, frame);
}

class UnitView implements Opened {
  readonly title: string;
  readonly detail: string;
  readonly element: HTMLElement;
  private readonly unit: Unit;
  private readonly stage = h("div", { class: "unit-stage", testid: "unit-stage" });
  private readonly said = h("p", { class: "hover-line", testid: "unit-example" });
  private columns: HTMLElement[] = [];

  constructor(
    row: Row<Unit>,
    private readonly about: About,
  ) {
    const unit = row.values;
    this.unit = unit;
    const { details } = about.manifest;
    this.title = unit.name ?? `Unit ${unit.channel}`;
    this.detail = joined(
      String(details["model"] ?? ""),
      String(details["layer"] ?? ""),
      unit.name !== null && unit.channel !== null && `channel ${unit.channel}`,
    );
    const wide = h(
      "div",
      { class: "wide" },
      this.made(),
      section("The images that excite it most", this.stage, this.said, this.table()),
    );
    const side = h("div", { class: "side" }, section("Activation", this.reached()), section("Unit", this.facts()));
    this.element = h("div", { class: "opened unit" }, wide, side);
    this.choose(0);
  }

  onKey(key: string): boolean {
    const index = keyIndex(key, this.unit.top.length);
    if (index !== null) this.choose(index);
    return index !== null;
  }

  destroy(): void {
    this.columns = [];
  }

  private made(): HTMLElement | null {
    const { preferred } = this.unit;
    if (preferred.length === 0) return null;
    const figures = preferred.map((each) =>
      h(
        "figure",
        { testid: `preferred-${each.recipe}` },
        imageElement(each.contrasted ?? each.image, { alt: `Made to excite the unit: ${each.recipe}` }),
        h(
          "figcaption",
          {},
          h("span", {}, humanize(each.recipe)),
          h("span", { class: "faint" }, each.fraction === null ? "" : `${percent(each.fraction)} of the maximum`),
        ),
      ),
    );
    return section("Made to excite it", h("div", { class: "made" }, ...figures));
  }

  /** A column per example: what excites, what is seen of it, and why. */
  private table(): HTMLElement {
    this.columns = this.unit.top.map((image, i) =>
      h(
        "button",
        {
          type: "button",
          class: "top-image",
          testid: "top-image",
          title: joined(image.example_id, image.activation !== null && formatFigure(image.activation)),
          on: { click: () => this.choose(i) },
        },
        h("span", { class: "visually-hidden" }, `${i + 1}: ${image.example_id} `),
        boxed(image),
        ...SEEN.map(([key]) => image[key] && imageElement(image[key], { alt: "", lazy: true })),
        h("span", { class: "faint" }, image.activation === null ? "" : formatFigure(image.activation)),
      ),
    );
    return h("div", { class: "top-images", role: "group", label: "Examples, strongest first" }, ...this.columns);
  }

  private choose(index: number): void {
    const image = this.unit.top[index];
    if (!image) return setText(this.said, "No example excites this unit.");
    this.columns.forEach((column, i) => {
      column.setAttribute("aria-pressed", String(i === index));
    });
    const figure = (title: string, content: Node) =>
      h("figure", {}, content, h("figcaption", { class: "faint" }, title));
    const seen = SEEN.flatMap(([key, title]) =>
      image[key] ? [figure(title, imageElement(image[key], { alt: title }))] : [],
    );
    fill(this.stage, figure("Example", boxed(image)), ...seen);
    const label = className(names(this.about.manifest.details, "classes"), image.label);
    setText(
      this.said,
      joined(
        `${index + 1}`,
        image.example_id,
        label,
        image.activation !== null && `activation ${formatFigure(image.activation)}`,
      ),
    );
  }

  /** What the made images reach, beside what any example reaches. */
  private reached(): HTMLElement {
    const rows: [string, number | null][] = [
      ["Dataset", this.unit.maximum],
      ...this.unit.preferred.map((each): [string, number | null] => [humanize(each.recipe), each.activation]),
    ];
    const lengths = bars(rows.map(([, value]) => value));
    return h(
      "dl",
      { class: "reached", testid: "reached" },
      ...rows.map(([name, value], i) => {
        const bar = h("i", {});
        bar.style.setProperty("width", `${100 * lengths[i]!}%`);
        return h(
          "div",
          { class: i === 0 ? "dataset" : "" },
          h("dt", {}, name),
          h("dd", {}, h("span", { class: "track" }, bar), h("span", {}, value === null ? "–" : formatFigure(value))),
        );
      }),
    );
  }

  private facts(): HTMLElement {
    const {
      mean,
      excited_fraction: excited,
      receptive_field: [height, width],
    } = this.unit;
    return factList([
      ["Mean of the maxima", mean === null ? "" : formatFigure(mean)],
      [
        "Excited by",
        excited === 0 ? "no example: it is dead" : excited === null ? "" : `${percent(excited)} of the examples`,
      ],
      ["Sees", height > 0 && width > 0 ? `${height} × ${width} px` : ""],
    ]);
  }
}

export const gallery = rowGallery<Unit>({
  kind: "units",
  noun: "unit",
  wallColumns: [
    "channel",
    "name",
    "maximum",
    "excited_fraction",
    "top.patch",
    "preferred.image",
    "preferred.contrasted",
  ],
  columns: ["channel", "name", "maximum", "mean", "excited_fraction", "receptive_field", ...TOP, "preferred"],
  orders: [
    { value: "", label: "By number" },
    { value: "-maximum", label: "Largest activation first" },
    { value: "excited_fraction", label: "Rarest first" },
    { value: "-excited_fraction", label: "Most common first" },
  ],
  hints: [[["1", "…", "9"], "example"]],
  tile({ values }) {
    const dead = values.excited_fraction === 0;
    const caption = values.maximum === null ? "" : `maximum ${formatFigure(values.maximum)}`;
    return {
      image: wallImage(values),
      name: values.name ?? `Unit ${values.channel}`,
      caption,
      ...(dead ? { badge: "dead" } : {}),
    };
  },
  open: (row, about) => new UnitView(row, about),
  path: (row, about) => (row.values.channel === null ? null : unitPath(about.job.id, row.values.channel)),
});
