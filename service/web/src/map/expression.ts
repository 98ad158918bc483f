/** Text of the search box: words, conditions (`year > 1990`), or words before `where`; and what may come next in it. */

import type { FindAttribute } from "../api/types";

/** Words and conditions, at least one of them. */
export interface Asked {
  words?: string;
  where?: string;
}

export interface Suggestion {
  /** The whole text of the box with it. */
  text: string;
  shown: string;
  detail: string;
}

const MOST = 6;
const QUOTED = /^(?:"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`)\s*/;
const WORD = /^([^\s()<>=!≠≤≥"'`,]+)\s*/u;
const COMPARED = /^(?:[<>=≠≤≥]|!=)/;
const SAID = /^(?:(?:not\s+)?(?:in\s*\(|contains\b)|is\s+(?:not\s+)?missing\b)/i;
const BARE = /^[\p{L}\p{N}_.:-]+$/u;
const KEYWORDS: ReadonlySet<string> = new Set(["and", "or", "not", "in", "is", "contains", "missing", "where"]);

/** Whether the text begins as a condition does: a name, and what compares it; the name of words has to be known. */
function isCondition(text: string, names: ReadonlySet<string>): boolean {
  const rest = text.replace(/^(?:\(\s*|not\s+)+/i, "");
  const quoted = QUOTED.exec(rest);
  const name = quoted ?? WORD.exec(rest);
  if (!name) return false;
  const behind = rest.slice(name[0].length);
  if (COMPARED.test(behind)) return true;
  const said = quoted ? (quoted[1] ?? quoted[2] ?? quoted[3] ?? "") : name[1]!;
  return SAID.test(behind) && names.has(said.toLowerCase());
}

/** What the text of the box asks for; null: nothing. */
export function askedOf(text: string, attributes: readonly FindAttribute[]): Asked | null {
  const plain = text.trim();
  if (plain === "") return null;
  const both = /^(.*?)(?:^|\s+)where\s+(.+)$/isu.exec(plain);
  const names = new Set(attributes.map(({ name }) => name.toLowerCase()));
  if (both && isCondition(both[2]!, names)) return both[1] ? { words: both[1], where: both[2]! } : { where: both[2]! };
  return isCondition(plain, names) ? { where: plain } : { words: plain };
}

/** A name or value as conditions have it. */
export function quotedWhereNeeded(text: string): string {
  if (BARE.test(text) && !KEYWORDS.has(text.toLowerCase())) return text;
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

function detailOf({ type, unit, extent, values }: FindAttribute): string {
  const behind = unit && ` ${unit}`;
  if (extent) return `${type}, ${extent.map((each) => short(each)).join(" – ")}${behind}`;
  if (values.length > 0)
    return values
      .slice(0, 3)
      .map(({ value }) => value)
      .join(", ");
  return type;
}

function short(value: number | string): string {
  return typeof value === "string" ? value.slice(0, 10) : String(Number(value.toPrecision(6)));
}

/** How the text may go on: values of the category that it ends with, else names that begin as its last word. */
export function suggestions(text: string, attributes: readonly FindAttribute[]): Suggestion[] {
  const valued = /(?:^|[\s(])(?:"([^"]+)"|([^\s()<>=!"'`,]+))\s*(?:!?=)\s*"?([^"()<>=,]*)$/u.exec(text);
  if (valued) {
    const name = (valued[1] ?? valued[2] ?? "").toLowerCase();
    const known = attributes.find((each) => each.name.toLowerCase() === name);
    const part = valued[3]!;
    const start = text.slice(0, text.length - part.length).replace(/"$/, "");
    const begins = (value: string) => value.toLowerCase().startsWith(part.toLowerCase()) && value !== part;
    return (known?.values ?? [])
      .filter(({ value }) => begins(value))
      .slice(0, MOST)
      .map(({ value, count }) => ({
        text: `${start}${quotedWhereNeeded(value)} `,
        shown: value,
        detail: String(count),
      }));
  }
  const part = /(?:^|[\s(])([\p{L}\p{N}_.:-]+)$/u.exec(text)?.[1] ?? "";
  if (part === "" || KEYWORDS.has(part.toLowerCase())) return [];
  return attributes
    .filter(({ name }) => name.toLowerCase().startsWith(part.toLowerCase()))
    .slice(0, MOST)
    .map((each) => ({
      text: `${text.slice(0, text.length - part.length)}${quotedWhereNeeded(each.name)} `,
      shown: each.name,
      detail: detailOf(each),
    }));
}
