/** Parts that opened images share: facts, a range with its value, a switch with keys. */

import { h, setText } from "../lib/dom";
import { attributeValue, formatCount, humanize } from "../lib/format";
import { type RadioGroup, radioGroup } from "../lib/radio";

export type Fact = readonly [term: string, value: string | Node | null | undefined];

/** Terms with their values; those without a value are left out. */
export function factList(facts: readonly Fact[]): HTMLElement {
  const rows = facts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "dl",
    { class: "table side-facts" },
    ...rows.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
  );
}

/** What every row of examples says of its image. */
export interface ExampleValues {
  example_id: string;
  label: number | null;
  width: number;
  height: number;
  /** JSON of what the dataset knows; hostile text. */
  attributes: string | null;
}

export const EXAMPLE_COLUMNS = ["example_id", "label", "width", "height", "attributes"] as const;

/** The facts of an example: label by name, size, attributes. */
export function exampleFacts(values: ExampleValues, classes: readonly string[]): Fact[] {
  return [
    ["Label", className(classes, values.label)],
    ["Size", values.width > 0 ? `${formatCount(values.width)} × ${formatCount(values.height)} px` : ""],
    ...attributesOf(values.attributes).map(([name, value]): Fact => [humanize(name), attributeValue(value)]),
  ];
}

/** The name of a class or output; its number where it has none. */
export function className(names: readonly string[] | null | undefined, index: number | null | undefined): string {
  if (index === null || index === undefined) return "";
  return names?.[index] ?? String(index);
}

/** The plain values of an attributes column. */
export function attributesOf(text: string | null): [string, string | number][] {
  try {
    const found: unknown = JSON.parse(text ?? "{}");
    if (typeof found !== "object" || found === null) return [];
    return Object.entries(found).filter((each): each is [string, string | number] =>
      ["string", "number"].includes(typeof each[1]),
    );
  } catch {
    return [];
  }
}

/** Texts of a manifest's details, as lists of names; empty where there are none. */
export function names(details: Record<string, unknown>, key: string): string[] {
  const value = details[key];
  return Array.isArray(value) ? value.map(String) : [];
}

export function section(title: string, ...content: (Node | null | false)[]): HTMLElement {
  return h("section", { class: "block" }, h("h2", {}, title), ...content);
}

/** A range from 0 to 100 % with its label and value. */
export function percentRange(
  label: string,
  start: number,
  onChange: (fraction: number) => void,
  testid: string,
): HTMLElement {
  const output = h("output", {}, `${start} %`);
  const input = h("input", {
    type: "range",
    class: "range",
    label,
    testid,
    attrs: { min: "0", max: "100", value: String(start) },
    on: {
      input: () => {
        setText(output, `${input.value} %`);
        onChange(Number(input.value) / 100);
      },
    },
  });
  return h("label", { class: "ranged" }, h("span", {}, label), input, output);
}

/** A switch of words, as segments. */
export function segments(
  label: string,
  choices: readonly (readonly [value: string, text: string])[],
  onChange: (value: string) => void,
  testid: string,
): RadioGroup {
  const group = radioGroup(
    label,
    "segments flat",
    choices.map(([value, text]) => ({
      value,
      label: text,
      testid: `${testid}-${value}`,
      content: [h("span", {}, text)],
    })),
    onChange,
  );
  return group;
}

/** The index that a number key chooses; null: another key, or beyond the end. */
export function keyIndex(key: string, count: number): number | null {
  const index = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
  return index >= 0 && index < count ? index : null;
}
