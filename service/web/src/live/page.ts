/** The live page: an image, a network, a layer, and its units one after the other. */

import { ApiError, getBlob, getManifest, listJobs, mapInfo } from "../api/client";
import type { Activations, Cell, Method, ModelChoice, NetworkInfo } from "../api/types";
import type { Page } from "../app/router";
import { pageHead } from "../job-parts/parts";
import { fill, h, setText } from "../lib/dom";
import {
  formatLiveState,
  type LiveState,
  METHODS,
  modelLabel,
  parseLiveState,
  type Source,
  sourceUrl,
} from "../lib/live-path";
import { unitLinks } from "../lib/unit-links";
import { GridView } from "./grid-view";
import { ImageCard, spread } from "./image-card";
import { bindLiveKeys } from "./keys";
import { NetworkBar, neighborLayer } from "./network-bar";
import { isGivenUp, Session } from "./session";
import { modelOf } from "./source-model";
import { UnitCard } from "./unit-card";

const SAMPLES = 8;
const HINT = "Arrow keys move through the channels, 1 to 3 choose the method, [ and ] the layer, O opens an image.";

class LivePage implements Page {
  private readonly state: LiveState = parseLiveState(location.search);
  private readonly head = pageHead([h("span", { class: "trail" }, "Live")]);
  private readonly message = h("div", { class: "live-message", role: "status", testid: "live-message" });
  private readonly bar = new NetworkBar({
    onModel: (model) => this.start(model),
    onLayer: (layer) => this.chooseLayer(layer),
  });
  private readonly image = new ImageCard({
    onFile: (file) => void this.useImage(file, null),
    onSource: (source) => void this.useSource(source),
  });
  private readonly grid = new GridView({ onSelect: (channel) => this.chooseChannel(channel) });
  private readonly unit = new UnitCard({
    onMethod: (method) => this.chooseMethod(method),
    onCell: (cell) => this.chooseCell(cell),
    onStep: (step) => this.step(step),
  });
  private readonly unbind: () => void;
  private readonly ended = new AbortController();
  private session: Session | null = null;
  private network: NetworkInfo | null = null;
  private shown: Activations | null = null;
  private timer = 0;

  constructor(app: HTMLElement) {
    document.title = "Live · featurescape";
    const middle = h(
      "section",
      { class: "live-middle", label: "Layer" },
      this.bar.element,
      this.message,
      this.grid.element,
      h("p", { class: "faint live-hint" }, HINT),
    );
    const main = h("main", { class: "page-main live" }, this.image.element, middle, this.unit.element);
    fill(app, h("div", { class: "page live-page" }, this.head.element, main));
    this.unit.selectMethod(this.state.method);
    this.unbind = bindLiveKeys(main, {
      move: (to) => {
        this.chooseChannel(to(this.state.channel ?? 0, this.grid.channels, this.grid.columns));
        this.grid.reveal();
      },
      method: (index) => this.chooseMethod(METHODS[index]!),
      layer: (step) => this.stepLayer(step),
      choose: () => this.image.choose(),
      file: (file) => void this.useImage(file, null),
    });
    void this.open();
  }

  destroy(): void {
    this.ended.abort();
    this.session?.close();
    this.unbind();
    this.head.destroy();
    window.clearInterval(this.timer);
  }

  // -- network ---------------------------------------------------------------------------------

  private async open(): Promise<void> {
    this.say("Looking which networks there are…");
    try {
      const model = await this.bar.offer(this.state.model ?? (await modelOf(this.state.source)));
      if (this.ended.signal.aborted) return;
      if (!model)
        return this.say("This service has no network that reads images and has weights: run a training job first.");
      this.start(model);
      void this.offerSamples();
      if (this.state.source) void this.useSource(this.state.source);
    } catch (error) {
      this.complain(error, () => void this.open());
    }
  }

  private start(model: ModelChoice): void {
    if (this.state.model && this.session) Object.assign(this.state, { layer: null, channel: null });
    this.state.model = model;
    if (this.session) this.session.change(model);
    else this.session = new Session(model);
    this.network = null;
    this.shown = null;
    this.bar.layersOf(null);
    this.grid.hide();
    this.unit.hide();
    this.image.mark(null, [1, 1, 1]);
    void this.startSession(this.session);
  }

  private async startSession(session: Session): Promise<void> {
    const started = performance.now();
    const seconds = h("span", { attrs: { "aria-hidden": "true" } });
    const tell = () => setText(seconds, ` ${Math.round((performance.now() - started) / 1000)} s`);
    window.clearInterval(this.timer);
    this.say("");
    fill(this.message, h("p", {}, `Starting ${modelLabel(session.model)}…`, seconds));
    this.message.hidden = false;
    tell();
    this.timer = window.setInterval(tell, 1000);
    try {
      const network = await session.start();
      this.network = network;
      this.bar.layersOf(network);
      const known = network.layers.some(({ layer }) => layer === this.state.layer);
      this.state.layer = known ? this.state.layer : network.default_layer;
      window.clearInterval(this.timer);
      this.say(session.hasImage ? "" : "Choose an image to begin.");
      if (this.state.layer) this.bar.selectLayer(this.state.layer);
      await this.look();
    } catch (error) {
      if (isGivenUp(error)) return;
      window.clearInterval(this.timer);
      this.complain(error, () => void this.startSession(session));
    }
  }

  private chooseLayer(layer: string): void {
    Object.assign(this.state, { layer, channel: null });
    this.bar.selectLayer(layer);
    void this.look();
  }

  private stepLayer(step: -1 | 1): void {
    const next = this.network && this.state.layer ? neighborLayer(this.network, this.state.layer, step) : null;
    if (next) this.chooseLayer(next);
  }

  // -- image ---------------------------------------------------------------------------------

  private async useSource(source: Source): Promise<void> {
    try {
      await this.useImage(await getBlob(sourceUrl(source), this.ended.signal), source);
    } catch (error) {
      if (!isGivenUp(error)) this.image.fail((error as Error).message);
    }
  }

  private async useImage(blob: Blob, source: Source | null): Promise<void> {
    if (!this.session) return this.image.fail("Choose a network first.");
    try {
      await this.session.use(blob);
      this.state.source = source;
      this.image.fail("");
      if (this.network) this.say("");
      await this.look();
    } catch (error) {
      if (!isGivenUp(error)) this.image.fail((error as Error).message);
    }
  }

  private async offerSamples(): Promise<void> {
    const { jobs } = await listJobs("job=tiles&status=SUCCEEDED&limit=1", this.ended.signal).catch(() => ({
      jobs: [],
    }));
    const map = jobs[0];
    if (!map) return;
    const manifest = await getManifest(map.id, this.ended.signal).catch(() => null);
    if (manifest)
      this.image.offer({
        map: map.id,
        title: map.title ?? "the newest map",
        rows: spread(mapInfo(manifest).examples, SAMPLES),
      });
  }

  // -- activations and units -------------------------------------------------------------------

  /** Asks for the layer's activations of the image, where there are all three. */
  private async look(): Promise<void> {
    const { session, network } = this;
    const { layer } = this.state;
    if (!session?.hasImage || !network || !layer) return this.settled();
    this.busy();
    try {
      const shown = await session.activations(layer);
      this.shown = shown;
      this.say("");
      this.grid.show(shown);
      this.image.show(shown);
      this.grid.busy(false);
      void this.linkUnits(layer);
      const channel = this.state.channel;
      this.chooseChannel(channel !== null && channel < shown.shape[0] ? channel : (shown.strongest[0]?.channel ?? 0));
    } catch (error) {
      if (isGivenUp(error)) return;
      this.grid.busy(false);
      if (error instanceof ApiError && error.code === "bad_image") {
        this.image.fail(error.message);
        this.settled();
      } else this.complain(error, () => void this.look());
    }
  }

  private chooseChannel(channel: number): void {
    if (!this.shown) return;
    this.state.channel = channel;
    this.grid.select(channel);
    void this.explain(null);
  }

  private step(by: -1 | 1): void {
    const next = (this.state.channel ?? 0) + by;
    if (next >= 0 && next < this.grid.channels) this.chooseChannel(next);
  }

  private chooseMethod(method: Method): void {
    this.state.method = method;
    this.unit.selectMethod(method);
    if (this.shown) void this.explain(null);
  }

  private chooseCell(cell: Cell): void {
    if (this.shown) void this.explain(cell);
  }

  private async explain(cell: Cell | null): Promise<void> {
    const { layer, channel, method } = this.state;
    const { session, network } = this;
    if (!session || !network || !layer || channel === null) return;
    this.remember();
    this.busy();
    this.unit.loading(channel);
    const asked = performance.now();
    try {
      const answer = await session.unit({ layer, channel, method, cell });
      this.unit.show(answer, performance.now() - asked);
      this.image.mark(answer.box, network.input);
      this.showLink();
      this.settled();
    } catch (error) {
      if (isGivenUp(error)) return;
      this.unit.failed((error as Error).message);
      this.settled();
    }
  }

  // -- pages of units --------------------------------------------------------------------------

  private links: { key: string; address: ((channel: number) => string) | null } = { key: "", address: null };

  private async linkUnits(layer: string): Promise<void> {
    const { model } = this.state;
    const key = JSON.stringify([model, layer]);
    if (this.links.key === key) return;
    this.links = { key, address: null };
    const address = await unitLinks(model, layer).catch(() => null);
    if (this.links.key !== key) return;
    this.links.address = address;
    this.showLink();
  }

  private showLink(): void {
    const { channel } = this.state;
    this.unit.link(channel === null ? null : (this.links.address?.(channel) ?? null));
  }

  // -- what the page says ----------------------------------------------------------------------

  private remember(): void {
    history.replaceState(null, "", `/live${formatLiveState(this.state)}`);
  }

  private busy(): void {
    document.body.dataset.ready = "false";
    if (this.shown && this.shown.layer !== this.state.layer) this.grid.busy(true);
  }

  private settled(): void {
    document.body.dataset.ready = "true";
  }

  private say(text: string): void {
    if (this.message.childElementCount > 0) fill(this.message);
    setText(this.message, text);
    this.message.hidden = text === "";
    this.message.classList.remove("problem");
  }

  private complain(error: unknown, again: () => void): void {
    const text = (error as Error).message;
    fill(
      this.message,
      h("p", { testid: "live-problem" }, text),
      h("button", { type: "button", class: "button", on: { click: again } }, "Try again"),
    );
    this.message.hidden = false;
    this.message.classList.add("problem");
    this.settled();
  }
}

export function livePage(app: HTMLElement): Page {
  return new LivePage(app);
}
