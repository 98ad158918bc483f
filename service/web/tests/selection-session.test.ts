// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";
import type { MapInfo, SelectionSummary } from "../src/api/types";
import { Store } from "../src/lib/store";
import { Dimming } from "../src/map/dimming";
import type { MapContext } from "../src/map/part";
import { selectingOn, selection } from "../src/map/selection";
import type { SelectionQuery } from "../src/map/selection-query";
import { SelectionSession } from "../src/map/selection-session";
import type { MapState } from "../src/map/url-state";
import { at, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const SUMMARY: SelectionSummary = {
  count: 3,
  of: 40,
  classes: [{ label: 0, class_name: "cat", count: 3 }],
  numbers: [],
  times: [],
  categories: [],
  centrality: "layout",
  central: [4, 5, 6],
  outermost: [6, 5, 4],
  box: [0, 0, 1, 1],
};

/** A stage whose screen is the unit square, 100 pixels wide. */
class FakeStage {
  readonly dimming = new Dimming();
  arrangement = { name: "exact" };
  readonly layers = new Set<unknown>();
  readonly activeImages = null;
  readonly fitted = true;
  readonly olMap = {
    addLayer: (layer: unknown) => this.layers.add(layer),
    removeLayer: (layer: unknown) => this.layers.delete(layer),
    on: () => {},
    un: () => {},
    getSize: () => [100, 100],
    getCoordinateFromPixel: ([x, y]: number[]) => [x! * 5.12, 512 - y! * 5.12],
    getViewport: () => document.body,
  };
  readonly box = [0, 0, 1, 1];
}

let service: Service;
let stage: FakeStage;
let store: Store<MapState>;
let root: HTMLElement;
let opened: number[];

function context(): MapContext {
  const info = { classes: ["cat"], features: "features-1", tile_px: 512 } as unknown as MapInfo;
  const classes = [{ index: 0, name: "cat", color: "#fff", count: 3 }];
  const open = async (row: number) => void opened.push(row);
  return { id: "tiles-1", info, classes, store, stage, root, open, complain: () => {} } as unknown as MapContext;
}

const asked = (path: string) => service.asked.filter((each) => each.path.endsWith(path)).map(({ body }) => body);

beforeEach(() => {
  service = new Service()
    .on(/^POST .*selections$/, SUMMARY)
    .on(/^POST .*marks/, "\0\0\0\0")
    .on(/^GET .*selections$/, { selections: [] });
  stage = new FakeStage();
  store = new Store({ selection: null, row: null } as MapState);
  root = shown(document.createElement("main"));
  opened = [];
});

describe("a page on which something is selected", () => {
  let session: SelectionSession;
  let opener: HTMLElement;

  beforeEach(async () => {
    opener = document.createElement("button");
    session = new SelectionSession(selectingOn(context()), root, opener);
    await settle();
    service.asked.length = 0;
  });

  const draw = (path: readonly (readonly [number, number])[], keys: PointerEventInit = {}): void => {
    const element = at(root, "selection-draw");
    const point = (kind: string, [x, y]: readonly [number, number]) =>
      element.dispatchEvent(new PointerEvent(kind, { clientX: x, clientY: y, pointerId: 1, button: 0, ...keys }));
    point("pointerdown", path[0]!);
    for (const each of path) point("pointermove", each);
    point("pointerup", path.at(-1)!);
  };

  it("asks for what was drawn, and shows its counts", async () => {
    session.use("box");
    draw([
      [10, 20],
      [30, 60],
    ]);
    await settle();
    expect(store.state.selection).toEqual({ box: [0.1, 0.2, 0.3, 0.6] });
    expect(asked("/selections")).toEqual([null, store.state.selection]);
    expect(at(root, "selection-count").textContent).toMatch(/^3 of 40/u);
    expect(texts(root, "[data-testid=selection-classes] li")).toEqual(["cat3"]);
    root.querySelector<HTMLElement>(".selection-sheet button")!.click();
    expect(opened).toEqual([4]);
  });

  it("adds with Shift, removes with Alt, and forgets a click", () => {
    session.select({ class: 0 }, "new");
    session.use("box");
    draw(
      [
        [0, 0],
        [50, 50],
      ],
      { shiftKey: true },
    );
    draw(
      [
        [0, 0],
        [25, 25],
      ],
      { altKey: true },
    );
    const added: SelectionQuery = { union: [{ class: 0 }, { box: [0, 0, 0.5, 0.5] }] };
    expect(store.state.selection).toEqual({ minus: [added, { box: [0, 0, 0.25, 0.25] }] });
    draw([
      [10, 10],
      [11, 11],
    ]);
    expect(store.state.selection).toEqual({ minus: [added, { box: [0, 0, 0.25, 0.25] }] });
    expect(at(root, "selection-draw").hidden).toBe(true);
  });

  it("means the arrangement that is shown", async () => {
    stage.arrangement = { name: "grid" };
    session.selectView();
    await settle();
    expect(store.state.selection).toEqual({ box: [0, 0, 1, 1], arrangement: "grid" });
    expect(service.paths).toContain("/v1/maps/tiles-1/selections/marks?arrangement=grid");
    stage.arrangement = { name: "exact" };
    session.follow();
    await settle();
    expect(service.paths).toContain("/v1/maps/tiles-1/selections/marks?arrangement=exact");
  });

  it("inverts, and ends step by step", () => {
    session.select({ class: 0 }, "new");
    session.invert();
    expect(store.state.selection).toEqual({ invert: { class: 0 } });
    session.use("lasso");
    expect(opener.getAttribute("aria-pressed")).toBe("true");
    expect([session.escape(), store.state.selection !== null]).toEqual([true, true]);
    expect([session.escape(), store.state.selection]).toEqual([true, null]);
    expect([session.escape(), session.escape()]).toEqual([true, false]);
  });

  it("says why nothing is selected", async () => {
    service.on(/^POST .*selections$/, new Refusal(422, "spec_error", "class: there is none"));
    session.select({ class: 9 }, "new");
    await settle();
    expect(at(root, "selection-problem").textContent).toBe("class: there is none");
  });

  it("leaves nothing behind", () => {
    expect(stage.layers.size).toBe(1);
    session.destroy();
    expect(stage.layers.size).toBe(0);
  });
});

describe("a page of two maps", () => {
  it("shows one selection in both, each query with the map that it is of", async () => {
    service.on(/^POST .*count$/, { count: 2, of: 60 });
    const other = new FakeStage();
    const counts: string[] = ["", ""];
    const one = selectingOn(context());
    const maps = [one.maps[0], { ...one.maps[0], id: "tiles-2", stage: other as never }].map((map, i) => ({
      ...map,
      meant: (selection: SelectionQuery): SelectionQuery => ({ of: map.id, selection }),
      counted: (text: string) => {
        counts[i] = text;
      },
    }));
    const page = { ...one, maps: [maps[0]!, maps[1]!] as const, active: () => maps[1]! };
    const session = new SelectionSession(page as never, root, document.createElement("button"));
    session.selectView();
    await settle();
    const query = { of: "tiles-2", selection: { box: [0, 0, 1, 1] } };
    expect(store.state.selection).toEqual(query);
    expect(asked("tiles-1/selections").at(-1)).toEqual(query);
    expect(asked("tiles-2/selections/count")).toEqual([query]);
    expect(asked("marks?arrangement=exact")).toEqual([query, query]);
    expect(counts.map((text) => text.split("\u2009")[0])).toEqual(["3 of 40", "2 of 60"]);
    expect(at(root, "selection").textContent).toContain("box");
    session.clear();
    expect(counts).toEqual(["", ""]);
    session.destroy();
    expect(other.layers.size).toBe(0);
  });
});

describe("the part of the page", () => {
  it("selects what another part asks for, and offers an open example's class", async () => {
    const part = selection(context());
    root.append(...(part.elements ?? []));
    part.start?.();
    root.dispatchEvent(new CustomEvent("featurescape:select", { detail: { cluster: "fish" } }));
    await expect.poll(() => store.state.selection).toEqual({ cluster: "fish" });
    const about = part.about?.({ row: 7, label: 0 } as never);
    expect(texts(about!, "button")).toEqual(["Select its neighbors", "Select its class"]);
    about!.querySelector("button")!.click();
    expect(store.state.selection).toEqual({ neighbors_of: 7 });
    part.destroy?.();
  });
});
