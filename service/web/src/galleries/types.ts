/** What a gallery is: the wall of an artifact's images, and one of them opened. */

import type { Job, Manifest, Row, StoredImage } from "../api/types";
import type { Page, Route } from "../app/router";

/** The job whose artifact is shown. */
export interface About {
  job: Job;
  manifest: Manifest;
}

/** An image on the wall. */
export interface Tile {
  image: StoredImage | null;
  /** Shown in place of an image that there is none of; hostile text. */
  text?: string | null;
  /** Shown under the image; hostile text. */
  name: string;
  /** A second line: a figure. */
  caption: string;
  /** A word on the image, as "dead". */
  badge?: string;
}

export interface Order {
  /** Of the rows API; empty: as in the artifact. */
  value: string;
  label: string;
  /** Conditions of the rows API: only these rows. */
  where?: readonly string[];
}

/** Shows some rows on the wall only, and says which. */
export interface WallFilter {
  show(where: readonly string[], words: string): void;
}

/** What stands above the wall. */
export interface Above {
  element: HTMLElement;
  destroy(): void;
}

/** An opened image. */
export interface Opened {
  title: string;
  /** What is said under the title. */
  detail: string;
  element: HTMLElement;
  /** Takes a key that the page does not know; true: it was for this image. */
  onKey?(key: string): boolean;
  destroy(): void;
}

/** Keys of an opened image and what they do, for the line at its foot. */
export type KeyHint = readonly [keys: readonly string[], what: string];

export interface RowGallery<V> {
  /** Kind of the files that are shown. */
  kind: string;
  /** What one is called: "dream". */
  noun: string;
  /** Columns that the wall reads; the first finds a row by its name. */
  wallColumns: readonly string[];
  /** Columns that an opened image reads. */
  columns: readonly string[];
  /** Further ones, which not every artifact has. */
  moreColumns?(about: About): readonly string[];
  orders?: readonly Order[];
  /** Whether its images are drawn pixel by pixel on the wall. */
  pixelated?: boolean;
  hints?: readonly KeyHint[];
  tile(row: Row<V>, about: About): Tile;
  open(row: Row<V>, about: About): Opened;
  /** What stands above the wall; it may have the wall show some rows only. */
  above?(about: About, filter: WallFilter): Above;
  /** Address of a row where it has one of its own: of a unit. */
  path?(row: Row<V>, about: About): string | null;
}

/** A gallery that is no wall of rows: it draws its page itself. */
export interface PageGallery {
  show(app: HTMLElement, about: About, route: Route): Page | Promise<Page>;
}

/** Galleries of any kind of rows, as the registry has them. */
export type Gallery = RowGallery<never> | PageGallery;

/** Registers a gallery: the kind of its rows is known to itself alone. */
export function rowGallery<V>(gallery: RowGallery<V>): Gallery {
  return gallery as unknown as Gallery;
}
