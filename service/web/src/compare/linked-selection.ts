/** One selection for all maps of a comparison: each of its queries says of which map it is. */

import { labelClasses } from "../map/legend";
import type { SelectedMap, Selecting } from "../map/selecting";
import { SelectionPart } from "../map/selection";
import type { SelectionQuery } from "../map/selection-query";
import type { Pane } from "./pane";

export interface LinkedSelectionActions {
  selection(): SelectionQuery | null;
  onSelection(selection: SelectionQuery | null): void;
  /** Row of the open example in the first map. */
  row(): number | null;
  onOpen(row: number): void;
}

function selectedMap(pane: Pane): SelectedMap {
  const { id } = pane.map;
  return {
    ...{ id, stage: pane.stage, over: pane.over },
    layer: () => pane.layer,
    meant: (selection) => ({ of: id, selection }),
    counted: (text) => pane.counted(text),
  };
}

/** The part of the page that selects in all maps. */
export function linkedSelection(
  root: HTMLElement,
  panes: readonly [Pane, ...Pane[]],
  actions: LinkedSelectionActions,
): SelectionPart {
  const [first, ...others] = panes;
  const maps: [SelectedMap, ...SelectedMap[]] = [selectedMap(first), ...others.map(selectedMap)];
  let active = maps[0];
  panes.forEach((pane, i) => {
    const point = (): void => {
      active = maps[i]!;
    };
    pane.element.addEventListener("pointerdown", point, true);
    pane.element.addEventListener("focusin", point);
  });
  const selecting: Selecting = {
    ...{ maps, root, info: first.map.info, classes: labelClasses(first.map.info) },
    active: () => active,
    selection: () => actions.selection(),
    setSelection: (selection) => actions.onSelection(selection),
    row: () => actions.row(),
    open: (row) => actions.onOpen(row),
    complain: (error) => first.complain(error),
  };
  return new SelectionPart(selecting);
}
