/**
 * A map that is searched: by words and conditions, or for what is nearest to words, an image or an example. What is
 * asked, and what is made of the answer.
 */

import { getFindFacts, getSearchFacts, searchMap, uploadImage } from "../api/client";
import type { FindAnswer, FindAttribute, SearchFacts } from "../api/types";
import { h } from "../lib/dom";
import { takeImages } from "../lib/image-files";
import { type Asked, askedOf } from "./expression";
import { findPart, selectAll } from "./finding";
import { type FoundPart, FoundStrip } from "./found-strip";
import type { Place } from "./grid";
import { nearestPart } from "./nearest";
import type { SearchBox } from "./search";
import type { SavedSearch } from "./url-state";

/** What a map is searched by; an image is not kept in the address. */
export type Query = SavedSearch | { by: "image"; file: Blob };

/** The place of an example, and its row. */
export type PlacedExample = Place & { row: number };

/** All that was found, and what was asked for it. */
export interface AllFound {
  asked: Asked;
  answer: FindAnswer;
}

/** Marks on the map. */
export interface Marks {
  /** Rings the nearest; none: the rings go. */
  find(results: readonly PlacedExample[]): void;
  /** Marks all that is found, and dims the rest; null: the map is as it was. */
  all(found: AllFound | null): void;
  hover(result: PlacedExample | null): void;
}

export interface SearchingActions {
  /** Whether each point has a vector: those of an atlas are cells. */
  readonly possible: boolean;
  onOpen(row: number): void;
  /** Makes a selection of all that is found. */
  onSelect(asked: Asked): void;
  /** For the address. */
  onSaved(search: SavedSearch | null): void;
}

/** A query in words, behind "nearest". */
export function spoken(query: Query): string {
  if (query.by === "image") return "to the image that you gave";
  if (query.by === "find") return `for ${query.value}`;
  return query.by === "text" ? `to “${query.value}”` : `to ${query.value}`;
}

export class Searching {
  readonly strip: FoundStrip;
  private query: Query | null = null;
  private attributes: readonly FindAttribute[] | null = null;
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
    box.offer({ onFind: (value) => void this.ask({ by: "find", value }), attributes: () => this.known() });
    if (saved && (saved.by === "find" || this.actions.possible)) void this.ask(saved);
    if (saved && saved.by !== "like") box.text = saved.value;
    if (!this.actions.possible) return;
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

  /** Attributes that conditions can name; none where the service does not say. */
  private async known(): Promise<readonly FindAttribute[]> {
    if (this.attributes) return this.attributes;
    const facts = await getFindFacts(this.map).catch(() => null);
    if (facts) this.attributes = facts.attributes;
    return facts?.attributes ?? [];
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
      const part = await this.found(query, signal);
      if (!part || signal.aborted) return;
      this.strip.show(part);
      this.strip.focus();
    } catch (error) {
      if (signal.aborted) return;
      this.unmark();
      this.strip.failed((error as Error).message);
    }
  }

  /** What a query finds, marked on the map; null: another was asked meanwhile. */
  private async found(query: Query, signal: AbortSignal): Promise<FoundPart | null> {
    if (query.by !== "find") {
      const answer = await searchMap(this.map, await this.body(query, signal), signal);
      if (signal.aborted) return null;
      this.marks.all(null);
      this.marks.find(answer.results);
      return nearestPart(spoken(query), answer);
    }
    const asked = askedOf(query.value, await this.known());
    if (!asked) return null;
    const { answer, part } = await findPart(this.map, asked, signal);
    if (signal.aborted) return null;
    this.marks.find([]);
    this.marks.all({ asked, answer });
    const tools = answer.total > 0 ? [selectAll(asked, this.actions.onSelect)] : [];
    return { ...part, tools };
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
    this.marks.all(null);
    this.marks.hover(null);
  }

  private async body(query: Exclude<Query, { by: "find" }>, signal: AbortSignal): Promise<Record<string, unknown>> {
    if (query.by === "image") return { image: await uploadImage(query.file, signal) };
    return { [query.by]: query.value };
  }
}
