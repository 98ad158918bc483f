/** The switch between exact places and the filled grid: images move to their places, or one fades into the other. */

import { h, reducedMotion, setText } from "../lib/dom";
import { type RadioGroup, radioGroup } from "../lib/radio";
import { type Arranged, type ArrangementName, arrangedFor, placeIn } from "./arranged";
import { crossFade, moved, moveImages, Snapshot } from "./arrangement-motion";
import type { MapContext, MapPart } from "./part";
import { loadPlaces, type Places } from "./point-places";
import type { Seen } from "./stage";

const NAMES: Readonly<Record<ArrangementName, readonly [label: string, title: string]>> = {
  exact: ["Exact", "Exact places, as the network has them (G)"],
  grid: ["Grid", "Filled grid: every image in a cell of its own (G)"],
};
/** More images than this in sight fade. */
const MOST_MOVED = 2000;
/** How far around the center of the view an example is looked for, to stay with it. */
const REACH_PX = 120;

/** "Keeps 58 % of the 10 nearest neighbors." */
export function keptText(kept: number | null, k: number): string {
  return kept === null ? "" : `Keeps ${Math.round(100 * kept)} % of the ${k} nearest neighbors.`;
}

export function arrangement(context: MapContext): MapPart | null {
  if (context.stage.arrangements.length < 2) return null;
  const choice = new Choice(context);
  const switcher = new Switcher(context);
  return {
    choices: [choice.group.element, choice.note],
    shortcuts: [{ key: "g", about: "Exact places or filled grid", run: () => choice.other() }],
    start: () => switcher.start(),
    relook: () => choice.describe(),
    changed: () => void switcher.follow(),
    destroy: () => switcher.destroy(),
  };
}

/** The choice of the arrangement, and what the grid keeps. */
class Choice {
  readonly note = h("p", { class: "faint arrangement-note" });
  readonly group: RadioGroup;
  private readonly grid: HTMLButtonElement;

  constructor(private readonly context: MapContext) {
    const choices = context.stage.arrangements.map(({ name }) => ({
      value: name,
      label: NAMES[name][0],
      title: NAMES[name][1],
      testid: `arrangement-${name}`,
      content: [h("span", {}, NAMES[name][0])],
    }));
    this.group = radioGroup("Arrangement", "segments arrangements", choices, (name) => this.choose(name));
    this.grid = this.group.element.querySelector<HTMLButtonElement>('[data-value="grid"]')!;
  }

  /** Chooses the one that is not shown. */
  other(): void {
    if (!this.grid.disabled) this.choose(this.context.stage.arrangement.name === "grid" ? "exact" : "grid");
  }

  /** Says what is shown; a layer that the grid does not have leaves no choice. */
  describe(): void {
    const { stage, store, info } = this.context;
    const { name } = stage.arrangement;
    const { layer } = store.state;
    this.grid.disabled = arrangedFor(stage.arrangements, "grid", layer).name !== "grid";
    this.group.select(name);
    const said = info.arrangements.find((each) => each.name === "grid");
    let text = "";
    if (this.grid.disabled) text = `${stage.layerInfo(layer).title} has no grid: it is the same in every cell.`;
    else if (name === "grid" && said) text = keptText(said.neighbors_kept, said.neighbors_k);
    setText(this.note, text);
    this.note.hidden = text === "";
  }

  private choose(name: string): void {
    this.context.store.set({ arrangement: name === "grid" ? "grid" : "exact" });
  }
}

/** Brings view and picker to the arrangement that is shown, and shows how it came about. */
class Switcher {
  private shown: Arranged;
  private snapshot: Snapshot | null = null;

  constructor(private readonly context: MapContext) {
    this.shown = context.stage.arrangement;
  }

  start(): void {
    const { picker, stage } = this.context;
    if (this.shown.name !== "exact") picker.use(stage.pointsOf(this.shown), this.shown.pointsZoom);
  }

  destroy(): void {
    this.snapshot?.remove();
  }

  /** Follows the arrangement of the stage, if it is another one than before. */
  async follow(): Promise<void> {
    const { stage, picker, target } = this.context;
    const [before, now] = [this.shown, stage.arrangement];
    if (before.name === now.name) return;
    this.shown = now;
    this.snapshot?.remove();
    this.snapshot = reducedMotion() ? null : Snapshot.of(target);
    const images = stage.imagesOf(before);
    const few = images.length > 0 && images.length <= MOST_MOVED;
    const places = this.snapshot && few ? loadPlaces(stage.pointsOf(now), now.pointsZoom) : null;
    const { fitted } = stage;
    const nearest = fitted ? null : this.nearest();
    picker.use(stage.pointsOf(now), now.pointsZoom);
    if (fitted) this.context.fit(false);
    else await this.stay(now, await nearest);
    if (this.snapshot && this.shown === now) await this.play(this.snapshot, images, await places);
  }

  private async play(snapshot: Snapshot, images: readonly Seen[], places: Places | null): Promise<void> {
    const { stage } = this.context;
    stage.olMap.renderSync();
    const known = images.flatMap((image) => {
      const to = places?.get(image.row);
      const at = to && stage.pixelOf(to.x, to.y);
      return at ? [moved(image, at, stage.zoom)] : [];
    });
    if (known.length > 0) await moveImages(snapshot, known, stage.olMap);
    else await crossFade(snapshot, stage.olMap);
  }

  /** The row of the open example, or of that nearest to the center of the view. */
  private async nearest(): Promise<number | null> {
    const { stage, picker, store } = this.context;
    if (store.state.row !== null) return store.state.row;
    const [x, y] = stage.center;
    const query = { x, y, zoom: stage.zoom, reachPx: REACH_PX, ok: () => true, images: null };
    const near = await picker.pick(query).catch(() => null);
    return near?.row ?? null;
  }

  /** Moves the view to where an example is now; shows the whole map where there is none. */
  private async stay(now: Arranged, row: number | null): Promise<void> {
    const { stage, examples } = this.context;
    const example = row === null ? null : await examples.get(row).catch(() => null);
    if (this.shown !== now) return;
    if (!example) return this.context.fit(false);
    const { x, y } = placeIn(now, example);
    stage.moveTo(x, y, stage.zoom);
  }
}
