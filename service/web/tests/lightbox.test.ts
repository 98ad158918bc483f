// @vitest-environment happy-dom
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Store } from "../src/lib/store";
import { imageSizePart } from "../src/map/image-size";
import { Lightbox } from "../src/map/lightbox";
import { lightboxPart } from "../src/map/lightbox-part";
import type { MapContext } from "../src/map/part";
import type { MapState } from "../src/map/url-state";
import { example, map, neighbor } from "./helpers/builders";
import { at, press, settle, shown, texts } from "./helpers/page";

const WALK = { of: "of what was found", rows: [7, 3, 12] };

async function opened(row = 3) {
  const actions = {
    get: vi.fn(async (wanted: number) =>
      example({ row: wanted, example_id: `<b>${wanted}</b>`, attributes: { caption: "a cat", year: 1990 } }),
    ),
    onRow: vi.fn(),
  };
  const lightbox = new Lightbox("tiles-1", null, actions);
  shown(lightbox.element);
  await lightbox.open(WALK, row);
  await settle();
  const image = at(lightbox.element, "lightbox-image") as HTMLImageElement;
  const order = () => at(lightbox.element, "lightbox-order").textContent;
  return { lightbox, actions, image, order, element: lightbox.element };
}

describe("an image at full size", () => {
  it("says what it is, where it is in which order, and all that is known of it", async () => {
    const { element, image, order } = await opened();
    expect(element.open).toBe(true);
    expect(image.getAttribute("src")).toBe("/v1/maps/tiles-1/examples/3/image");
    expect(image.alt).toBe("cat: <b>3</b>. a cat");
    expect(order()).toBe("2 of 3, of what was found");
    expect(texts(element, "dt")).toEqual(["Id", "Size", "caption", "year"]);
    expect(texts(element, "dd").slice(0, 2)).toEqual(["<b>3</b>", "640 × 480"]);
  });

  it("goes to the next and the previous one, and stays at the ends", async () => {
    const { element, actions, order } = await opened();
    press(element, "ArrowRight");
    press(element, "ArrowRight");
    await settle();
    expect(order()).toBe("3 of 3, of what was found");
    expect(actions.onRow).toHaveBeenLastCalledWith(12);
    press(element, "PageUp");
    press(element, "ArrowLeft");
    await settle();
    expect(actions.onRow).toHaveBeenLastCalledWith(7);
    const disabled = [...element.querySelectorAll<HTMLButtonElement>(".lightbox-stage button")].map(
      (each) => each.disabled,
    );
    expect(disabled).toEqual([true, false]);
  });

  it("is enlarged and moved by keys, which do not reach the map", async () => {
    const { element, image, order } = await opened();
    const beneath = vi.fn();
    document.addEventListener("keydown", beneath);
    press(element, "+");
    expect(image.style.transform).toContain("scale(1.5)");
    // Enlarged, the arrows move it.
    press(element, "ArrowRight");
    expect(order()).toContain("2 of 3");
    press(element, "-");
    expect(image.style.transform).toBe("");
    press(element, "=");
    press(element, "0");
    expect(image.style.transform).toBe("");
    press(element, "x");
    expect(beneath).not.toHaveBeenCalled();
    document.removeEventListener("keydown", beneath);
  });

  it("says where it cannot be read, until the next one is shown", async () => {
    const { element, image } = await opened();
    image.dispatchEvent(new Event("error"));
    const problem = element.querySelector<HTMLElement>(".problem")!;
    expect(problem.hidden).toBe(false);
    expect(problem.textContent).toContain("cannot be read");
    press(element, "ArrowRight");
    expect(problem.hidden).toBe(true);
  });

  it("is kept under its row, from where it was taken", async () => {
    const { element, image } = await opened();
    image.dispatchEvent(new Event("load"));
    const link = at(element, "lightbox-download") as HTMLAnchorElement;
    expect(link.getAttribute("download")).toBe("row-3");
    expect(link.href).toContain("/examples/3/image");
  });
});

describe("how the lightbox is opened", () => {
  let root: HTMLElement;
  let target: HTMLElement;

  beforeEach(() => {
    root = shown(document.createElement("main"));
    target = document.createElement("div");
    root.append(target);
  });

  function part(row: number | null, width: number | null = 640) {
    const known = example({ row: 7, width, neighbors: [neighbor(9)] });
    const context = {
      ...{ id: "tiles-1", info: map(), root, target },
      store: { state: { row } },
      examples: { get: async () => known },
      open: vi.fn(),
      complain: vi.fn(),
    };
    const made = lightboxPart(context as unknown as MapContext)!;
    made.start!();
    return { made, known };
  }
  const dialog = () => root.querySelector<HTMLDialogElement>("dialog");

  it("by Enter on the map where an example is open, which opens no other", async () => {
    const { made } = part(7);
    expect(press(target, "Enter")).toBe(true);
    await vi.waitFor(() => expect(dialog()?.open).toBe(true));
    expect(at(root, "lightbox-order").textContent).toBe("1 of 2, of row 7 and its nearest neighbors");
    made.destroy!();
    dialog()!.close();
    press(target, "Enter");
    await settle();
    expect(dialog()!.open).toBe(false);
  });

  it("by a click on the image of the open example, and by its button", async () => {
    const { made, known } = part(7);
    const image = document.createElement("img");
    image.dataset.testid = "detail-image";
    root.append(image);
    image.click();
    await vi.waitFor(() => expect(dialog()?.open).toBe(true));
    dialog()!.close();
    made.about!(known)!.click();
    await vi.waitFor(() => expect(dialog()!.open).toBe(true));
  });

  it("not where none is open, nor of an example without an image", async () => {
    const { made, known } = part(null, null);
    expect(press(target, "Enter")).toBe(false);
    expect(made.about!(known)).toBeNull();
    expect(dialog()).toBeNull();
  });
});

describe("the size of images", () => {
  it("has four steps, and is there for layers of images only", () => {
    const store = new Store({ imageSize: 0, layer: "thumbnails" } as MapState);
    const part = imageSizePart(store, (layer) => layer === "thumbnails");
    store.subscribe((state, previous) => part.changed!(state, previous));
    const element = part.corner![0]!;
    const [smaller, larger] = ["images-smaller", "images-larger"].map((id) => at(element, id) as HTMLButtonElement);
    smaller!.click();
    expect([store.state.imageSize, smaller!.disabled]).toEqual([-1, true]);
    for (let i = 0; i < 5; i += 1) part.shortcuts![1]!.run();
    expect([store.state.imageSize, larger!.disabled]).toEqual([2, true]);
    store.set({ layer: "density" });
    expect(element.hidden).toBe(true);
    part.shortcuts![0]!.run();
    expect(store.state.imageSize).toBe(2);
  });
});
