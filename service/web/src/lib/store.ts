/** One observable value; listeners get the new and the previous state. */
export class Store<T extends object> {
  private readonly listeners = new Set<(state: T, previous: T) => void>();

  constructor(private current: T) {}

  get state(): Readonly<T> {
    return this.current;
  }

  /** Merges `change`; listeners run only where a field really changed. */
  set(change: Partial<T>): void {
    const previous = this.current;
    const keys = Object.keys(change) as (keyof T)[];
    if (keys.every((key) => Object.is(change[key], previous[key]))) return;
    this.current = { ...previous, ...change };
    for (const listener of [...this.listeners]) listener(this.current, previous);
  }

  /** Returns the function that ends the subscription. */
  subscribe(listener: (state: T, previous: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
