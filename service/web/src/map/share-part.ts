/** Sharing the view: a link with place, zoom, arrangement, colors, classes, the open example, search and selection. */

import { source } from "../api/source";
import { h } from "../lib/dom";
import { icon } from "../lib/icons";
import { share } from "../lib/share";
import { factsOf } from "./facts";
import type { MapContext, MapPart } from "./part";
import { toAddress } from "./selection-query";
import { formatMapState, type MapFacts, type MapState } from "./url-state";

/** Path and query of what a map shows, and what they leave out. */
export function linkOf(path: string, state: MapState, facts: MapFacts): { link: string; lacks: string } {
  const tooLong = state.selection !== null && toAddress(state.selection) === "";
  return {
    link: path + formatMapState(state, facts),
    lacks: tooLong ? "without the selection, which is too long for a link: save it under a name first" : "",
  };
}

/** The part of the page; an exported map that was opened as a file has no address for others. */
export function sharePart({ info, store }: MapContext): MapPart | null {
  if (!source().service && !location.protocol.startsWith("http")) return null;
  const facts = factsOf(info);
  const run = () => {
    const { link, lacks } = linkOf(location.pathname, store.state, facts);
    void share(link, { what: "this view", lacks });
  };
  const label = "Copy a link to this view";
  return {
    more: [
      h(
        "button",
        { type: "button", class: "icon-button", label, title: `${label} (C)`, testid: "share", on: { click: run } },
        icon("link"),
      ),
    ],
    shortcuts: [{ key: "c", about: label, run }],
  };
}
