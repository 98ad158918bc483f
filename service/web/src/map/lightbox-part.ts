/** Opens the lightbox: a click on the image of the open example, a button beside it, or a key. */

import type { Example } from "../api/types";
import { h } from "../lib/dom";
import type { Lightbox } from "./lightbox";
import type { MapContext, MapPart } from "./part";
import { walkFrom } from "./walk";

/** Rows of the strip that is open. */
export function stripRows(root: ParentNode): number[] {
  return [...root.querySelectorAll<HTMLElement>(".found:not([hidden]) [data-row]")].map((each) =>
    Number(each.dataset.row),
  );
}

export function lightboxPart(context: MapContext): MapPart | null {
  if (context.info.text) return null;
  const opener = new LightboxOpener(context);
  const openShown = () => void opener.show(context.store.state.row);
  return {
    shortcuts: [{ key: "o", about: "Open the image of the example at full size", run: openShown }],
    about: (example) => opener.button(example),
    start: () => opener.listen(),
    destroy: () => opener.destroy(),
  };
}

class LightboxOpener {
  private lightbox: Promise<Lightbox> | null = null;
  private readonly ended = new AbortController();

  constructor(private readonly context: MapContext) {}

  listen(): void {
    const { root } = this.context;
    const { signal } = this.ended;
    root.addEventListener("click", (event) => this.clicked(event), { signal });
    root.addEventListener("keydown", (event) => this.pressed(event), { signal, capture: true });
  }

  destroy(): void {
    this.ended.abort();
  }

  button(example: Example): HTMLElement | null {
    if (example.width === null) return null;
    const onClick = () => void this.show(example.row);
    const name = "Full size";
    return h("button", { type: "button", class: "button", testid: "open-lightbox", on: { click: onClick } }, name);
  }

  async show(row: number | null): Promise<void> {
    if (row === null) return;
    const { examples, root, complain } = this.context;
    try {
      const example = await examples.get(row);
      if (example.width === null || this.ended.signal.aborted) return;
      this.lightbox ??= this.load();
      const lightbox = await this.lightbox;
      await lightbox.open(walkFrom(row, stripRows(root), example.neighbors), row);
    } catch (error) {
      complain(error);
    }
  }

  private async load(): Promise<Lightbox> {
    const { id, info, examples, store, root, open } = this.context;
    const { Lightbox: Made } = await import("./lightbox");
    const made = new Made(id, info.step_unit, {
      get: (row) => examples.get(row),
      onRow: (row) => {
        if (store.state.row !== row) void open(row, "show");
      },
    });
    root.append(made.element);
    return made;
  }

  private clicked(event: Event): void {
    const image = (event.target as Element).closest('[data-testid="detail-image"]');
    if (image) void this.show(this.context.store.state.row);
  }

  /** The cross opens an example; Enter once more opens its image. */
  private pressed(event: KeyboardEvent): void {
    const { target, store } = this.context;
    if (event.key !== "Enter" || event.target !== target || store.state.row === null) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    void this.show(store.state.row);
  }
}
