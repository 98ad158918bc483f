/**
 * One search for all maps of a comparison. It is asked of the map that knows most attributes; the others are asked the same,
 * and one without an attribute that is named shows the examples that the first one found, by their ids.
 */

import { findOnMap } from "../api/client";
import { countSelected, getMarks } from "../api/selections";
import type { Asked } from "../map/expression";
import { marksOf } from "../map/find-marks";
import { foundTitle, MOST_MARKED } from "../map/finding";
import { SearchBox } from "../map/search";
import { type AllFound, type Marks, type PlacedExample, Searching } from "../map/searching";
import type { SelectionQuery } from "../map/selection-query";
import { countText } from "../map/selection-summary";
import { parseMarks } from "../map/selection-veil";
import type { SavedSearch } from "../map/url-state";
import type { Pane } from "./pane";

export interface LinkedSearchActions {
  onHover(pane: Pane, row: number | null): void;
  onOpen(pane: Pane, row: number): void;
  onSelect(query: SelectionQuery): void;
  onSaved(search: SavedSearch | null): void;
}

/** The map that is asked: the first of those that know most attributes. */
export function askedFirst<P extends { map: { info: { attributes: readonly unknown[] } } }>(panes: readonly P[]): P {
  return panes.reduce((most, pane) =>
    pane.map.info.attributes.length > most.map.info.attributes.length ? pane : most,
  );
}

/** Whether conditions name an attribute of the map that is asked first, which another map does not have. */
export function lacks(other: Pane, first: Pane, { where = "" }: Asked): boolean {
  const known = new Set(other.map.info.attributes.map(({ name }) => name));
  const said = where.toLowerCase();
  return first.map.info.attributes.some(({ name }) => !known.has(name) && said.includes(name.toLowerCase()));
}

export class LinkedSearch {
  readonly box: SearchBox;
  readonly searching: Searching;
  private readonly first: Pane;
  private readonly others: readonly Pane[];
  private pending = new AbortController();

  constructor(
    panes: readonly Pane[],
    private readonly actions: LinkedSearchActions,
  ) {
    const first = askedFirst(panes);
    this.first = first;
    this.others = panes.filter((pane) => pane !== first);
    const { id, info } = first.map;
    this.box = new SearchBox(id, (row) => actions.onOpen(first, row));
    const marks: Marks = {
      find: (results) => this.find(results),
      all: (found) => this.all(found),
      hover: (result) => this.hover(result),
    };
    this.searching = new Searching(id, marks, {
      possible: info.features !== id,
      onOpen: (row) => actions.onOpen(first, row),
      onSelect: (asked) => actions.onSelect({ of: id, selection: asked }),
      onSaved: (search) => actions.onSaved(search),
    });
  }

  begin(page: HTMLElement, saved: SavedSearch | null): void {
    void this.searching.begin(this.box, page, saved);
  }

  destroy(): void {
    this.pending.abort();
    this.searching.destroy();
  }

  private hover(result: PlacedExample | null): void {
    this.first.stage.highlight.hover(result);
    this.actions.onHover(this.first, result?.row ?? null);
  }

  /** Rings the nearest in all maps. */
  private find(results: readonly PlacedExample[]): void {
    this.first.stage.highlight.find(results);
    const { signal } = this.pending;
    const rows = results.map(({ row }) => row);
    const query: SelectionQuery = { of: this.first.map.id, selection: { rows } };
    for (const { map, stage } of this.others) {
      stage.highlight.find([]);
      if (rows.length === 0) continue;
      void getMarks(map.id, query, "exact", signal)
        .then((buffer) => {
          const { x, y } = parseMarks(buffer);
          if (!signal.aborted) stage.highlight.find([...x].map((each, i) => ({ x: each, y: y[i]! })));
        })
        .catch(() => undefined);
    }
  }

  private all(found: AllFound | null): void {
    this.pending.abort();
    this.pending = new AbortController();
    this.first.showFound(found && marksOf(found.answer), found ? foundTitle(found.answer) : "");
    for (const pane of this.others) {
      if (found) void this.findIn(pane, found.asked, this.pending.signal);
      else pane.showFound(null, "");
    }
  }

  private async findIn(pane: Pane, asked: Asked, signal: AbortSignal): Promise<void> {
    if (lacks(pane, this.first, asked)) return this.match(pane, asked, signal);
    try {
      const answer = await findOnMap(pane.map.id, { ...asked, limit: 0, marked: MOST_MARKED }, signal);
      if (!signal.aborted) pane.showFound(marksOf(answer), foundTitle(answer));
    } catch (error) {
      if (!signal.aborted) pane.showFound(null, (error as Error).message);
    }
  }

  /** Marks in a map that does not have what is asked for the examples that the first map found. */
  private async match(pane: Pane, asked: Asked, signal: AbortSignal): Promise<void> {
    const query: SelectionQuery = { of: this.first.map.id, selection: asked };
    try {
      const [counted, marks] = await Promise.all([
        countSelected(pane.map.id, query, signal),
        getMarks(pane.map.id, query, "exact", signal),
      ]);
      if (signal.aborted) return;
      const text = `${countText(counted)} found in ${this.first.map.title}`;
      pane.showFound(counted.count > 0 ? parseMarks(marks) : null, text);
    } catch (error) {
      if (!signal.aborted) pane.showFound(null, (error as Error).message);
    }
  }
}
