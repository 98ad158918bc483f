/** A service that answers with what the test says, and keeps what it was asked. */

import { vi } from "vitest";

export interface Asked {
  method: string;
  /** Path with query. */
  path: string;
  body: unknown;
  headers: Record<string, string>;
}

type Answer = unknown | ((asked: Asked) => unknown);

/** An answer that is no success. */
export class Refusal {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly message: string,
    readonly detail: Record<string, unknown> = {},
  ) {}
}

function response(status: number, body: unknown): unknown {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return {
    ok: status < 400,
    status,
    json: async () => JSON.parse(text),
    text: async () => text,
    blob: async () => new Blob([text]),
  };
}

export class Service {
  readonly asked: Asked[] = [];
  private readonly routes: [pattern: RegExp, answer: Answer][] = [];

  constructor() {
    vi.stubGlobal("fetch", (path: string, init: RequestInit = {}) => this.answer(path, init));
  }

  /** Answers `METHOD path` with a value, or what a function makes of the request; the latest route wins. */
  on(pattern: RegExp, answer: Answer): this {
    this.routes.unshift([pattern, answer]);
    return this;
  }

  /** Paths that were asked for. */
  get paths(): string[] {
    return this.asked.map(({ path }) => path);
  }

  private async answer(path: string, init: RequestInit): Promise<unknown> {
    const method = init.method ?? "GET";
    const body = typeof init.body === "string" ? JSON.parse(init.body) : (init.body ?? null);
    const asked = { method, path, body, headers: { ...(init.headers as Record<string, string> | undefined) } };
    this.asked.push(asked);
    const route = this.routes.find(([pattern]) => pattern.test(`${method} ${path}`));
    if (!route) throw new TypeError(`nobody answers ${method} ${path}`);
    const answer = typeof route[1] === "function" ? await (route[1] as (asked: Asked) => unknown)(asked) : route[1];
    if (answer instanceof Refusal)
      return response(answer.status, { error: { code: answer.code, message: answer.message, detail: answer.detail } });
    return response(200, answer);
  }
}
