// @vitest-environment happy-dom
import type { FrameState } from "ol/Map";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Dimming } from "../src/map/dimming";
import { FindMarks } from "../src/map/find-marks";
import { Veil } from "../src/map/selection-veil";

const packed = (values: number[]) => btoa(String.fromCharCode(...new Uint8Array(new Float32Array(values).buffer)));
/** Two examples that are found, at (0.25, 0.5) and (0.75, 0.5) of the unit square. */
const FOUND = { count: 2, rows: "", x: packed([0.25, 0.75]), y: packed([0.5, 0.5]), grid_x: null, grid_y: null };
/** The first of them is selected. */
const SELECTED = { count: 1, x: Float32Array.of(0.25), y: Float32Array.of(0.5), row: Uint32Array.of(7) };
/** A map of 512 pixels that shows all of the plane. */
const FRAME = {
  size: [512, 512],
  pixelRatio: 1,
  viewState: { center: [256, 256], resolution: 1 },
  coordinateToPixelTransform: [1, 0, 0, -1, 0, 512],
} as unknown as FrameState;

/** What is done on a canvas, in order; a veil is a filled rectangle, or an image with a color. */
let done: string[] = [];

beforeEach(() => {
  done = [];
  const context = {
    set globalCompositeOperation(operation: string) {
      if (operation === "destination-out") done.push("open");
    },
    fillRect: () => done.push("veil"),
    putImageData: () => done.push("veil"),
    arc: (x: number, y: number) => done.push(`${x},${y}`),
    fill: () => done.push("fill"),
    stroke: () => done.push("ring"),
    scale: () => null,
    setTransform: () => null,
    beginPath: () => null,
    moveTo: () => null,
  };
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(context as never);
  vi.stubGlobal(
    "ImageData",
    class {
      readonly data: Uint8ClampedArray;
      constructor(width: number, height: number) {
        this.data = new Uint8ClampedArray(4 * width * height);
      }
    },
  );
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

/** A map's marks and veil, and what is done on the canvases that are seen, the lower first. */
function page() {
  const dimming = new Dimming();
  const marks = new FindMarks(0, dimming);
  const veil = new Veil("dark", dimming, () => ({ half: 2, images: [] }));
  const draw = () => {
    done = [];
    for (const { olLayer } of [veil, marks]) if (olLayer.getVisible()) olLayer.render(FRAME, document.body);
    return done.join(" ");
  };
  return { marks, veil, draw };
}

const HOLES = "open 128,256 384,256 fill";
const RINGS = "128,256 384,256 ring 128,256 384,256 ring";

describe("what is found and what is selected", () => {
  it("have a veil each while they are alone", () => {
    const { marks, veil, draw } = page();
    marks.show(FOUND, "dark");
    expect(draw()).toBe(`veil ${HOLES} ${RINGS}`);
    marks.show(null, "dark");
    veil.show(SELECTED);
    expect(draw()).toBe("veil");
  });

  it.each(["the selection first", "the search first"])("share one veil, with holes for both: %s", (order) => {
    const { marks, veil, draw } = page();
    const shows = [() => veil.show(SELECTED), () => marks.show(FOUND, "dark")];
    for (const show of order.startsWith("the selection") ? shows : shows.reverse()) show();
    expect(draw()).toBe(`veil ${HOLES} ${RINGS}`);
  });

  it("leave the veil to the other when one of them goes", () => {
    const { marks, veil, draw } = page();
    marks.show(FOUND, "dark");
    veil.show(SELECTED);
    veil.show(null);
    expect(draw()).toBe(`veil ${HOLES} ${RINGS}`);
    veil.show(SELECTED);
    marks.show(null, "dark");
    expect(draw()).toBe("veil");
  });

  it("are drawn anew when either changes", () => {
    const { marks, veil } = page();
    const [ofMarks, ofVeil] = [marks.olLayer.getRevision(), veil.olLayer.getRevision()];
    veil.show(SELECTED);
    expect(marks.olLayer.getRevision()).toBeGreaterThan(ofMarks);
    const before = veil.olLayer.getRevision();
    expect(before).toBeGreaterThan(ofVeil);
    marks.show(FOUND, "dark");
    expect(veil.olLayer.getRevision()).toBeGreaterThan(before);
  });
});
