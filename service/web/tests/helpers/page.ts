/** Finding, pressing and reading what a test has put into a page; and what a browser has that this one lacks. */

import { vi } from "vitest";

/** The element with a test id. */
export function at(root: ParentNode, testid: string): HTMLElement {
  const found = root.querySelector<HTMLElement>(`[data-testid="${testid}"]`);
  if (!found) throw new Error(`there is no ${testid}`);
  return found;
}

/** Texts of all elements of a selector, in order. */
export function texts(root: ParentNode, selector: string): string[] {
  return [...root.querySelectorAll(selector)].map((each) => each.textContent ?? "");
}

/** Presses a key; whether somebody took it. */
export function press(target: EventTarget, key: string, more: KeyboardEventInit = {}): boolean {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  target.dispatchEvent(event);
  return event.defaultPrevented;
}

/** Types a text into a field. */
export function type(field: Element, text: string): void {
  (field as HTMLInputElement).value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Chooses an option of a select. */
export function choose(field: Element, value: string): void {
  (field as HTMLSelectElement).value = value;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Lets everything go on that waits for an answer, not for a clock. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

/** Puts an element into an empty page. */
export function shown<E extends Element>(element: E): E {
  document.body.replaceChildren(element);
  return element;
}

type Seen = (entries: { isIntersecting: boolean }[]) => void;

/** Elements that wait to come into sight, in place of a browser that scrolls. */
export class Sights {
  readonly watched = new Map<Element, Seen>();

  constructor() {
    const { watched } = this;
    class Observer {
      private readonly own = new Set<Element>();
      constructor(private readonly seen: Seen) {}
      observe(element: Element): void {
        this.own.add(element);
        watched.set(element, this.seen);
      }
      unobserve(element: Element): void {
        this.own.delete(element);
        watched.delete(element);
      }
      disconnect(): void {
        for (const element of this.own) watched.delete(element);
      }
    }
    vi.stubGlobal("IntersectionObserver", Observer);
  }

  /** Brings an element into sight. */
  async show(element: Element): Promise<void> {
    this.watched.get(element)?.([{ isIntersecting: true }]);
    await settle();
  }
}

/** Pixels without a canvas to draw them on. */
export function stubPixels(): void {
  vi.stubGlobal(
    "ImageData",
    class {
      constructor(
        readonly data: Uint8ClampedArray,
        readonly width: number,
        readonly height: number,
      ) {}
    },
  );
}
