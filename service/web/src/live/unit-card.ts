/** One channel: its map, large, and what its cell owes to the pixels of the image. */

import { dataUrl } from "../api/client";
import type { Cell, Encoded, Method, UnitAnswer } from "../api/types";
import { segments } from "../galleries/parts";
import { fill, h, setText } from "../lib/dom";
import { formatFigure, joined } from "../lib/format";
import { icon } from "../lib/icons";
import type { RadioGroup } from "../lib/radio";

export interface UnitActions {
  onMethod(method: Method): void;
  /** The cell whose pixels are to be explained. */
  onCell(cell: Cell): void;
  /** One channel back or on. */
  onStep(step: -1 | 1): void;
}

const WORDS: readonly (readonly [Method, string])[] = [
  ["saliency", "Gradient"],
  ["guided_backprop", "Guided"],
  ["deconvolution", "Deconvolution"],
];
const SMALL_PX = 96;

/** The facts under a channel's name. */
export function unitFacts(answer: UnitAnswer, milliseconds: number | null): string {
  const [row, column] = answer.cell;
  const silent = (answer.high ?? 0) === 0 && (answer.low ?? 0) === 0;
  if (silent) return "silent: zero everywhere in this image";
  const value = answer.activation === null ? "no number" : formatFigure(answer.activation);
  const at = answer.map.width * answer.map.height > 1 ? `at row ${row}, column ${column}` : "";
  return joined([value, at].filter(Boolean).join(" "), milliseconds !== null && `${Math.round(milliseconds)} ms`);
}

function drawn(image: Encoded, alt: string, testid: string): HTMLImageElement {
  const sharp = Math.max(image.width, image.height) < SMALL_PX ? " pixelated" : "";
  return h("img", { class: `image${sharp}`, testid, attrs: { alt, draggable: "false", src: dataUrl(image) } });
}

export class UnitCard {
  private readonly heading = h("h2", { testid: "live-unit", attrs: { "aria-live": "polite" } });
  private readonly facts = h("p", { class: "faint live-facts", testid: "live-facts" });
  private readonly map = h("div", { class: "live-map" });
  private readonly explanation = h("div", { class: "frame live-explanation" });
  private readonly page = h("p", { class: "live-unit-page" });
  private readonly methods: RadioGroup;
  readonly element: HTMLElement;

  constructor(private readonly actions: UnitActions) {
    this.methods = segments(
      "What is shown of the pixels",
      WORDS,
      (method) => actions.onMethod(method as Method),
      "live-method",
    );
    const step = (by: -1 | 1, name: string, label: string) =>
      h(
        "button",
        {
          type: "button",
          class: `icon-button small ${name}`,
          label,
          title: label,
          on: { click: () => actions.onStep(by) },
        },
        icon("chevron"),
      );
    this.element = h(
      "section",
      { class: "card live-card live-unit-card", label: "Unit", attrs: { hidden: "" } },
      h(
        "header",
        { class: "live-card-head" },
        this.heading,
        step(-1, "turn-left", "Previous channel (←)"),
        step(1, "turn-right", "Next channel (→)"),
      ),
      this.facts,
      this.map,
      this.methods.element,
      this.explanation,
      this.page,
    );
  }

  loading(channel: number): void {
    this.element.hidden = false;
    this.element.setAttribute("aria-busy", "true");
    setText(this.heading, `Channel ${channel}`);
  }

  selectMethod(method: Method): void {
    this.methods.select(method);
  }

  show(answer: UnitAnswer, milliseconds: number | null): void {
    this.element.hidden = false;
    this.element.removeAttribute("aria-busy");
    setText(this.heading, joined(`Channel ${answer.channel}`, answer.name));
    setText(this.facts, unitFacts(answer, milliseconds));
    this.showMap(answer);
    const word = WORDS.find(([method]) => method === answer.method)![1];
    fill(
      this.explanation,
      answer.explanation
        ? drawn(answer.explanation, `${word} of channel ${answer.channel}`, "live-explanation")
        : h("p", { class: "faint live-problem", testid: "live-explanation-problem" }, answer.problem ?? ""),
    );
  }

  failed(message: string): void {
    this.element.removeAttribute("aria-busy");
    setText(this.facts, "");
    fill(this.map);
    fill(this.explanation, h("p", { class: "problem live-problem", role: "alert" }, message));
  }

  hide(): void {
    this.element.hidden = true;
  }

  /** The channel's page in a `units` job, where there is one. */
  link(address: string | null): void {
    fill(
      this.page,
      address !== null &&
        h("a", { href: address, class: "text-button", testid: "live-unit-page" }, "What excites it most in a dataset"),
    );
  }

  private showMap(answer: UnitAnswer): void {
    const { map, cell } = answer;
    const image = h("img", {
      class: "pixelated",
      testid: "live-map",
      attrs: { alt: `Activation of channel ${answer.channel}`, draggable: "false", src: dataUrl(map) },
    });
    const mark = h("span", { class: "live-cell" });
    Object.assign(mark.style, {
      left: `${(100 * cell[1]) / map.width}%`,
      top: `${(100 * cell[0]) / map.height}%`,
      width: `${100 / map.width}%`,
      height: `${100 / map.height}%`,
    });
    this.map.style.setProperty("--ratio", String(map.width / map.height));
    fill(this.map, image, map.width * map.height > 1 && mark);
    this.map.onclick = (event) => {
      const box = image.getBoundingClientRect();
      const at = (value: number, size: number) => Math.min(size - 1, Math.max(0, Math.floor(value * size)));
      this.actions.onCell([
        at((event.clientY - box.top) / box.height, map.height),
        at((event.clientX - box.left) / box.width, map.width),
      ]);
    };
  }
}
