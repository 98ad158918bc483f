/** Parts of the map page: what a part works with, and what it adds to the page. `parts.ts` lists them. */

import type { Example, LegendClass, MapInfo } from "../api/types";
import type { Store } from "../lib/store";
import type { Examples } from "./examples";
import type { Place } from "./grid";
import type { Picker } from "./picker";
import type { Accepts } from "./points";
import type { Stage } from "./stage";
import type { Texts } from "./texts";
import type { MapState } from "./url-state";

/** What the job says of its map beside the map itself. */
export interface Shown {
  /** Side of an image's cell in the thumbnails layer. */
  thumbnailPx: number;
  /** Of an atlas: why its cells are attributed to no classes. */
  noAttribution: string | null;
}

/** How the map moves to an example that is opened: where it has to ("show"), close to it ("find"), or not ("stay"). */
export type Arrive = "show" | "find" | "stay";

export interface MapContext {
  /** Job that drew the map. */
  readonly id: string;
  readonly info: MapInfo;
  readonly shown: Shown;
  readonly store: Store<MapState>;
  readonly stage: Stage;
  readonly examples: Examples;
  readonly picker: Picker;
  /** Texts of examples that have no image; null: the map has none. */
  readonly texts: Texts | null;
  /** Classes of the labels. */
  readonly classes: readonly LegendClass[];
  /** Element that the map is drawn in; it takes the keys of the map. */
  readonly target: HTMLElement;
  /** Element of the page. */
  readonly root: HTMLElement;
  /** Whether a point of a label can be picked: its class is not hidden. */
  readonly accepts: Accepts;
  open(row: number, arrive: Arrive): Promise<void>;
  /** Flies to a place, into the middle of what cards leave free. */
  flyTo(place: Place, zoom: number): void;
  /** Shows the whole map. */
  fit(animate: boolean): void;
  complain(error: unknown): void;
}

export interface Shortcut {
  /** As `KeyboardEvent.key` has it, lower case. */
  key: string;
  /** For the dialog of shortcuts. */
  about: string;
  run(): void;
}

/** A part of the page; every element is placed once. */
export interface MapPart {
  /** For the bar at the top right. */
  readonly tools?: readonly HTMLElement[];
  /** For the bar, too; where the page is narrow, in its menu. */
  readonly more?: readonly HTMLElement[];
  /** For the card of color layers, below their choice. */
  readonly choices?: readonly HTMLElement[];
  /** For the column at the left. */
  readonly cards?: readonly HTMLElement[];
  /** For the corner at the bottom right. */
  readonly corner?: readonly HTMLElement[];
  /** Of the page itself: strips, dialogs, what lies over the map. */
  readonly elements?: readonly HTMLElement[];
  readonly shortcuts?: readonly Shortcut[];
  /** For the panel of an example that is open. */
  about?(example: Example): HTMLElement | null;
  /** The page is in the document. */
  start?(): void;
  changed?(state: MapState, previous: MapState): void;
  /** Colors, layer or theme have changed. */
  relook?(): void;
  /** The open example was closed. */
  closed?(): void;
  /** Ends what is going on; whether there was anything. */
  escape?(): boolean;
  destroy?(): void;
}

/** Makes a part for a map; null: the map has no use for it. */
export type MakePart = (context: MapContext) => MapPart | null;
