/** Asking again and again: often while something is under way, seldom otherwise, never in a hidden tab. */

export const ACTIVE_MS = 1000;
export const IDLE_MS = 5000;

/** A question that is asked again and again. */
export interface Poll {
  /** Asks at once. */
  now(): void;
  end(): void;
}

/**
 * Calls `ask` until it is ended. `ask` says whether anything is still active; when
 * it throws, the next try comes after the idle time. It must handle its own errors for display.
 */
export function poll(ask: (signal: AbortSignal) => Promise<boolean>): Poll {
  const ended = new AbortController();
  let timer = 0;
  const again = (wait: number): void => {
    if (ended.signal.aborted) return;
    timer = window.setTimeout(() => void turn(), wait);
  };
  let turns = 0;
  const turn = async (): Promise<void> => {
    const mine = ++turns;
    if (document.hidden) return again(IDLE_MS);
    const active = await ask(ended.signal).catch(() => false);
    if (mine === turns) again(active ? ACTIVE_MS : IDLE_MS);
  };
  const now = (): void => {
    if (ended.signal.aborted) return;
    window.clearTimeout(timer);
    void turn();
  };
  const onVisible = (): void => {
    if (!document.hidden) now();
  };
  document.addEventListener("visibilitychange", onVisible);
  void turn();
  return {
    now,
    end() {
      ended.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    },
  };
}
