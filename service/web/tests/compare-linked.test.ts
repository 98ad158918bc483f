// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { FindAnswer } from "../src/api/types";
import { askedFirst, LinkedSearch } from "../src/compare/linked-search";
import type { Pane } from "../src/compare/pane";
import type { Marked } from "../src/map/find-marks";
import { map } from "./helpers/builders";
import { settle } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const DRIFT = { name: "drift", type: "number", unit: "", about: "" } as const;
const FOUND: FindAnswer = {
  examples: 40,
  total: 3,
  offset: 0,
  exact: null,
  results: [],
  classes: [],
  marks: { count: 3, rows: "", x: "", y: "", grid_x: null, grid_y: null },
};

interface Said {
  marks: Marked | null;
  text: string;
  ringed: number;
}

/** A pane that keeps what it was told. */
function pane(id: string, attributes: readonly (typeof DRIFT)[]): { pane: Pane; said: Said } {
  const said: Said = { marks: null, text: "", ringed: 0 };
  const find = (places: readonly unknown[]): void => {
    said.ringed = places.length;
  };
  const fake = {
    map: { id, title: `Map ${id}`, info: map({ attributes: [...attributes], features: "features-1" }) },
    stage: { highlight: { find, hover: vi.fn() } },
    showFound: (marks: Marked | null, text: string) => Object.assign(said, { marks, text }),
  };
  return { pane: fake as unknown as Pane, said };
}

let service: Service;
const first = pane("tiles-1", []);
const second = pane("tiles-2", [DRIFT]);
const actions = { onHover: vi.fn(), onOpen: vi.fn(), onSelect: vi.fn(), onSaved: vi.fn() };
const bodies = (path: RegExp) => service.asked.filter((each) => path.test(each.path)).map(({ body }) => body);

beforeEach(() => {
  service = new Service()
    .on(/^GET .*find.facts$/, { examples: 40, attributes: [{ ...DRIFT, values: [], extent: [0, 1], missing: 0 }] })
    .on(/^POST .*tiles-2.find$/, FOUND)
    .on(/^POST .*tiles-1.find$/, { ...FOUND, examples: 30, total: 1 });
});
afterEach(() => vi.unstubAllGlobals());

describe("one search for all maps", () => {
  it("is asked first of the map that knows most attributes", () => {
    expect(askedFirst([first.pane, second.pane])).toBe(second.pane);
    expect(askedFirst([first.pane, pane("tiles-3", []).pane])).toBe(first.pane);
  });

  it("is asked of every map, and each says how many it has", async () => {
    const search = new LinkedSearch([first.pane, second.pane], actions);
    await search.searching.ask({ by: "find", value: "cat" });
    await settle();
    expect(bodies(/tiles-1.find$/)).toEqual([{ words: "cat", limit: 0, marked: 20_000 }]);
    expect([first.said.text, second.said.text]).toEqual(["1 of 30 found", "3 of 40 found"]);
    search.searching.clear();
    expect([first.said, second.said]).toEqual([
      { marks: null, text: "", ringed: 0 },
      { marks: null, text: "", ringed: 0 },
    ]);
  });

  it("shows in a map without the attribute what the first one found", async () => {
    service
      .on(/^POST .*tiles-1.selections.count$/, { count: 2, of: 30 })
      .on(/^POST .*tiles-1.selections.marks/, "\0\0\0\0");
    const search = new LinkedSearch([first.pane, second.pane], actions);
    await search.searching.ask({ by: "find", value: "drift > 0.5" });
    await settle();
    const query = { of: "tiles-2", selection: { where: "drift > 0.5" } };
    expect(bodies(/tiles-1.find$/)).toEqual([]);
    expect(bodies(/tiles-1.selections.count$/)).toEqual([query]);
    expect(bodies(/tiles-1.selections.marks/)).toEqual([query]);
    expect(first.said.text).toMatch(/^2 of 30.*found in Map tiles-2$/u);
    expect(first.said.marks).toMatchObject({ count: 0 });
  });

  it("says why a map found nothing", async () => {
    service.on(/^POST .*tiles-1.find$/, new Refusal(503, "service_unavailable", "The index is being made."));
    const search = new LinkedSearch([first.pane, second.pane], actions);
    await search.searching.ask({ by: "find", value: "cat" });
    await settle();
    expect(first.said).toMatchObject({ marks: null, text: "The index is being made." });
  });

  it("makes a selection that says of which map it is", async () => {
    const search = new LinkedSearch([first.pane, second.pane], actions);
    await search.searching.ask({ by: "find", value: "cat" });
    search.searching.strip.element.querySelector<HTMLElement>("[data-testid=found-select]")!.click();
    expect(actions.onSelect).toHaveBeenCalledWith({ of: "tiles-2", selection: { words: "cat" } });
  });
});
