import { describe, expect, it } from "vitest";
import type { FindAttribute } from "../src/api/types";
import { askedOf, quotedWhereNeeded, suggestions } from "../src/map/expression";

const none = { about: "", unit: "", values: [], extent: null, missing: 0 };
const ATTRIBUTES: FindAttribute[] = [
  { ...none, name: "year", type: "number", extent: [1950, 2020], unit: "CE" },
  {
    ...none,
    name: "kind",
    type: "category",
    values: ["sports car", "cat", "it's"].map((value) => ({ value, count: 2 })),
  },
  { ...none, name: "home town", type: "text" },
  { ...none, name: "taken", type: "time", extent: ["2020-05-01T10:00:00", "2021-01-01"] },
];

describe("what the text of the box asks for", () => {
  it.each([
    ["red car", { words: "red car" }],
    ["  ", null],
    ["year > 1990", { where: "year > 1990" }],
    ["yaer>1990", { where: "yaer>1990" }],
    ["not (Year <= 3)", { where: "not (Year <= 3)" }],
    ["kind in (cat)", { where: "kind in (cat)" }],
    ["kind not contains a", { where: "kind not contains a" }],
    ["kind is missing", { where: "kind is missing" }],
    ['"home town" contains Rome', { where: '"home town" contains Rome' }],
    ['"red car" old', { words: '"red car" old' }],
    ["child in (a) car", { words: "child in (a) car" }],
    ["red car where year > 1990", { words: "red car", where: "year > 1990" }],
    ["where year > 1990", { where: "year > 1990" }],
    ["somewhere over where", { words: "somewhere over where" }],
    ["where is he", { words: "where is he" }],
    ["digits-0001", { words: "digits-0001" }],
  ])("%s", (text, expected) => expect(askedOf(text, ATTRIBUTES)).toEqual(expected));
});

describe("how it may go on", () => {
  const shown = (text: string) => suggestions(text, ATTRIBUTES).map((each) => [each.shown, each.detail, each.text]);

  it.each([
    ["ye", [["year", "number, 1950 – 2020 CE", "year "]]],
    ["red where TA", [["taken", "time, 2020-05-01 – 2021-01-01", "red where taken "]]],
    ["(ho", [["home town", "text", '("home town" ']]],
    ["kind = s", [["sports car", "2", 'kind = "sports car" ']]],
    ['kind != "sp', [["sports car", "2", 'kind != "sports car" ']]],
    ["kind=c", [["cat", "2", "kind=cat "]]],
    ["k", [["kind", "sports car, cat, it's", "kind "]]],
    ["year > 1", []],
    ["and", []],
    ["", []],
  ])("%s", (text, expected) => expect(shown(text)).toEqual(expected));

  it("puts into quotes what would be read as something else", () => {
    expect(["cat", "and", 'a"b', "x-1.5", "猫", "a b"].map(quotedWhereNeeded)).toEqual([
      ...["cat", '"and"', '"a\\"b"', "x-1.5", "猫", '"a b"'],
    ]);
  });
});
