/**
 * Questions to the service, of each kind one at a time: the latest wins, an older one is given up. An
 * image that the service has forgotten is sent again.
 */

import { ApiError, postJson, uploadImage } from "../api/client";
import type { Activations, Cell, Method, ModelChoice, NetworkInfo, UnitAnswer } from "../api/types";

export interface UnitQuestion {
  layer: string;
  channel: number;
  method: Method;
  /** None: where the map is largest. */
  cell: Cell | null;
}

/** Whether a question was given up because a newer one took its place. */
export function isGivenUp(error: unknown): boolean {
  return (error as Error).name === "AbortError";
}

export class Session {
  private readonly pending = new Map<string, AbortController>();
  private blob: Blob | null = null;
  private image: string | null = null;

  constructor(private chosen: ModelChoice) {}

  get model(): ModelChoice {
    return this.chosen;
  }

  get hasImage(): boolean {
    return this.blob !== null;
  }

  /** Another network for the same image, which goes on being sent if it was. */
  change(model: ModelChoice): void {
    for (const what of ["network", "activations", "unit"]) this.giveUp(what);
    this.chosen = model;
  }

  /** Gives up whatever is under way. */
  close(): void {
    for (const each of this.pending.values()) each.abort();
    this.pending.clear();
  }

  start(): Promise<NetworkInfo> {
    return this.latest("network", (signal) =>
      postJson<NetworkInfo>("/v1/live/networks", { model: this.model }, signal),
    );
  }

  /** Sends an image; the questions that follow are about it. */
  async use(blob: Blob): Promise<void> {
    this.giveUp("activations");
    this.giveUp("unit");
    const image = await this.latest("image", (signal) => this.upload(blob, signal));
    this.blob = blob;
    this.image = image;
  }

  activations(layer: string): Promise<Activations> {
    this.giveUp("unit");
    return this.ask("activations", { layer });
  }

  unit(question: UnitQuestion): Promise<UnitAnswer> {
    return this.ask("unit", { ...question });
  }

  private async upload(blob: Blob, signal: AbortSignal): Promise<string> {
    return uploadImage(blob, signal);
  }

  private ask<T>(what: string, question: Record<string, unknown>): Promise<T> {
    return this.latest(what, async (signal) => {
      const send = () => postJson<T>(`/v1/live/${what}`, { model: this.model, image: this.image, ...question }, signal);
      try {
        return await send();
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== "not_found" || !this.blob) throw error;
        this.image = await this.upload(this.blob, signal);
        return send();
      }
    });
  }

  private giveUp(what: string): void {
    this.pending.get(what)?.abort();
    this.pending.delete(what);
  }

  private async latest<T>(what: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.giveUp(what);
    const controller = new AbortController();
    this.pending.set(what, controller);
    try {
      const answer = await ask(controller.signal);
      controller.signal.throwIfAborted();
      return answer;
    } finally {
      if (this.pending.get(what) === controller) this.pending.delete(what);
    }
  }
}
