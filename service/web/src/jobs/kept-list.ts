/** Elements of a list that is asked for again and again: what is still there keeps its own. */

import { fill } from "../lib/dom";

export interface Kept {
  readonly element: HTMLElement;
  destroy(): void;
}

export class KeptList<T, E extends Kept> {
  private readonly kept = new Map<string, E>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: T) => string,
    private readonly make: (item: T) => E,
  ) {}

  /** Shows the items; `update` brings an element up to date. */
  show(items: readonly T[], update: (element: E, item: T) => void): void {
    const keys = new Set(items.map(this.key));
    for (const [key, element] of this.kept) {
      if (keys.has(key)) continue;
      element.destroy();
      this.kept.delete(key);
    }
    const wanted = items.map((item) => {
      const element = this.kept.get(this.key(item)) ?? this.make(item);
      this.kept.set(this.key(item), element);
      update(element, item);
      return element.element;
    });
    const { children } = this.parent;
    if (wanted.length !== children.length || wanted.some((each, i) => children[i] !== each))
      fill(this.parent, ...wanted);
  }

  destroy(): void {
    for (const element of this.kept.values()) element.destroy();
    this.kept.clear();
  }
}
