/** A map that forgets the least recently used entries where all together weigh more than `capacity`. */
export class Lru<K, V> {
  private readonly entries = new Map<K, V>();
  private total = 0;

  /** `weigh`: of an entry, 1 where it is left out; `dropped`: told of each entry that goes. */
  constructor(
    private readonly capacity: number,
    private readonly weigh: (value: V) => number = () => 1,
    private readonly dropped: (value: V) => void = () => undefined,
  ) {}

  get(key: K): V | undefined {
    const value = this.entries.get(key);
    if (value !== undefined) {
      this.entries.delete(key);
      this.entries.set(key, value);
    }
    return value;
  }

  set(key: K, value: V): void {
    if (this.entries.get(key) !== value) this.delete(key);
    else this.take(key, value);
    this.entries.set(key, value);
    this.total += this.weigh(value);
    for (const oldest of this.entries.keys()) {
      if (this.total <= this.capacity || oldest === key) break;
      this.delete(oldest);
    }
  }

  delete(key: K): void {
    const value = this.entries.get(key);
    if (value === undefined) return;
    this.take(key, value);
    this.dropped(value);
  }

  clear(): void {
    for (const key of [...this.entries.keys()]) this.delete(key);
  }

  get size(): number {
    return this.entries.size;
  }

  /** What all entries weigh. */
  get weight(): number {
    return this.total;
  }

  private take(key: K, value: V): void {
    this.entries.delete(key);
    this.total -= this.weigh(value);
  }
}
