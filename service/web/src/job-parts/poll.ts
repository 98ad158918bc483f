/** Asking again and again: often while something is under way, seldom otherwise, never in a hidden tab. */

export const ACTIVE_MS = 1000;
export const IDLE_MS = 5000;

/**
 * Calls `ask` until the returned function is called. `ask` says whether anything is still active; when
 * it throws, the next try comes after the idle time. It must handle its own errors for display.
 */
export function poll(ask: (signal: AbortSignal) => Promise<boolean>): () => void {
  const ended = new AbortController();
  let timer = 0;
  const again = (wait: number): void => {
    if (ended.signal.aborted) return;
    timer = window.setTimeout(() => void turn(), wait);
  };
  const turn = async (): Promise<void> => {
    if (document.hidden) return again(IDLE_MS);
    const active = await ask(ended.signal).catch(() => false);
    again(active ? ACTIVE_MS : IDLE_MS);
  };
  const onVisible = (): void => {
    if (document.hidden) return;
    window.clearTimeout(timer);
    void turn();
  };
  document.addEventListener("visibilitychange", onVisible);
  void turn();
  return () => {
    ended.abort();
    window.clearTimeout(timer);
    document.removeEventListener("visibilitychange", onVisible);
  };
}
