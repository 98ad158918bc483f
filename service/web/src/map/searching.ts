/** A map that is searched by words, an image or one of its examples: what is asked, and what is made of the answer. */

import { getSearchFacts, searchMap, uploadImage } from "../api/client";
import type { SearchFacts, SearchResult } from "../api/types";
import { h } from "../lib/dom";
import { takeImages } from "../lib/image-files";
import { FoundStrip } from "./found-strip";
import type { SearchBox } from "./search";
import type { SavedSearch } from "./url-state";

/** What a map is searched by; an image is not kept in the address. */
export type Query = SavedSearch | { by: "image"; file: Blob };

/** Marks on the map. */
interface Marks {
  /** Rings what was found; none: the rings go. */
  find(results: readonly SearchResult[]): void;
  hover(result: SearchResult | null): void;
}

export interface SearchingActions {
  /** Whether each point has a vector: those of an atlas are cells. */
  readonly possible: boolean;
  onOpen(row: number): void;
  /** For the address. */
  onSaved(search: SavedSearch | null): void;
}

/** A query in words, behind "nearest". */
export function spoken(query: Query): string {
  if (query.by === "image") return "to the image that you gave";
  return query.by === "text" ? `to “${query.value}”` : `to ${query.value}`;
}

export class Searching {
  readonly strip: FoundStrip;
  private query: Query | null = null;
  private pending: AbortController | null = null;
  private readonly ended = new AbortController();

  constructor(
    private readonly map: string,
    private readonly marks: Marks,
    private readonly actions: SearchingActions,
  ) {
    this.strip = new FoundStrip(map, {
      onActive: (result) => marks.hover(result),
      onOpen: (row) => actions.onOpen(row),
      onClear: () => this.clear(),
      onAgain: () => this.query && void this.ask(this.query),
    });
  }

  get open(): boolean {
    return this.strip.open;
  }

  /** Adds what the map can be searched by to the search box and the page, and asks again what the address asks. */
  async begin(box: SearchBox, page: HTMLElement, saved: SavedSearch | null): Promise<void> {
    if (!this.actions.possible) return;
    if (saved) void this.ask(saved);
    if (saved?.by === "text") box.text = saved.value;
    const facts = await getSearchFacts(this.map).catch((): SearchFacts | null => null);
    if (!facts || this.ended.signal.aborted) return;
    const onWords = (value: string): void => void this.ask({ by: "text", value });
    const onImage = (file: Blob): void => void this.ask({ by: "image", file });
    box.offer({
      ...(facts.text_problem === null ? { onWords } : {}),
      ...(facts.image_problem === null ? { onImage } : {}),
    });
    if (facts.image_problem === null) takeImages(page, onImage, this.ended.signal);
  }

  destroy(): void {
    this.ended.abort();
    this.pending?.abort();
  }

  /** The button of an example that is open; null where nothing can be searched. */
  button(example: { example_id: string }): HTMLElement | null {
    if (!this.actions.possible) return null;
    return h(
      "button",
      {
        type: "button",
        class: "button",
        testid: "more-like-this",
        on: { click: () => void this.ask({ by: "like", value: example.example_id }) },
      },
      "More like this",
    );
  }

  async ask(query: Query): Promise<void> {
    this.pending?.abort();
    this.pending = new AbortController();
    const { signal } = this.pending;
    this.query = query;
    this.strip.asking(spoken(query).replace(/^to /, "for "));
    this.actions.onSaved(query.by === "image" ? null : query);
    try {
      const found = await searchMap(this.map, await this.body(query, signal), signal);
      if (signal.aborted) return;
      this.marks.find(found.results);
      this.strip.show(spoken(query), found);
      this.strip.focus();
    } catch (error) {
      if (signal.aborted) return;
      this.unmark();
      this.strip.failed((error as Error).message);
    }
  }

  clear(): void {
    this.pending?.abort();
    this.query = null;
    this.strip.hide();
    this.unmark();
    this.actions.onSaved(null);
  }

  private unmark(): void {
    this.marks.find([]);
    this.marks.hover(null);
  }

  private async body(query: Query, signal: AbortSignal): Promise<Record<string, unknown>> {
    if (query.by === "image") return { image: await uploadImage(query.file, signal) };
    return { [query.by]: query.value };
  }
}
