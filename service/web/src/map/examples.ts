/** Examples by row, fetched once. */

import { getExample } from "../api/client";
import type { Example } from "../api/types";
import { Lru } from "../lib/lru";

export class Examples {
  private readonly known = new Lru<number, Promise<Example>>(512);

  constructor(private readonly map: string) {}

  get(row: number): Promise<Example> {
    const known = this.known.get(row);
    if (known !== undefined) return known;
    const load = getExample(this.map, row);
    this.known.set(row, load);
    load.catch(() => this.known.delete(row));
    return load;
  }
}
