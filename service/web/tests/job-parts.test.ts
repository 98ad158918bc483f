// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { describeJob } from "../src/job-parts/describe";
import {
  emptyState,
  ProgressBar,
  pageHead,
  progressText,
  reasonLine,
  reuseLine,
  StatusChip,
} from "../src/job-parts/parts";
import { ACTIVE_MS, IDLE_MS, type Poll, poll } from "../src/job-parts/poll";
import { h } from "../src/lib/dom";
import { job, progress } from "./helpers/builders";
import { at, settle, texts } from "./helpers/page";

const NOW = Date.parse("2026-11-22T12:10:00Z");

describe("a status", () => {
  it("is a word for people, with the API's own beside it", () => {
    const chip = new StatusChip();
    const words = (["PENDING", "RUNNING", "SUCCEEDED", "FAILED", "STOPPED"] as const).map((status) => {
      chip.update(status);
      return [chip.element.textContent, chip.element.title, chip.element.dataset["status"]];
    });
    expect(words.map(([word]) => word)).toEqual(["Waiting", "Running", "Done", "Failed", "Stopped"]);
    for (const [, title, data] of words) expect(title).toBe(data);
  });
});

describe("how far a job is", () => {
  const text = (change: Parameters<typeof job>[0], eta: number | null = null) => progressText(job(change), eta, NOW);

  it("is said by its stage, its count and the time left", () => {
    expect(text({ status: "PENDING" })).toBe("waits for its turn: other jobs run");
    expect(text({ status: "RUNNING" })).toBe("starting");
    const under = progress({ stage: "extract", done: 1500, total: 70_000, message: "2 workers" });
    expect(text({ status: "RUNNING", progress: under }, 42).split(/\s*·\s*/)).toEqual([
      "extract",
      "1,500 of 70,000",
      "2 workers",
      "about 40 s left",
    ]);
    expect(text({ status: "RUNNING", progress: progress({ stage: "read" }) })).toBe("read");
  });

  it("is said by what it made and how long it took, once it has ended", () => {
    const ran = { started_at: "2026-11-22T12:00:00Z", ended_at: "2026-11-22T12:01:05Z" };
    expect(text({ ...ran, rows: 1 }).split(/\s*·\s*/)).toEqual(["1 example", "1 min 5 s"]);
    expect(text({ ...ran, status: "FAILED" }).split(/\s*·\s*/)).toEqual(["failed", "1 min 5 s"]);
    expect(text({ status: "STOPPED" })).toBe("stopped");
  });

  it("is a bar from 0 to 1, without an end where the stage does not say how much there is", () => {
    const bar = new ProgressBar("Progress");
    const element = at(bar.element, "job-progress");
    const state = (change: Parameters<typeof job>[0]) => {
      bar.update(job(change), NOW);
      return [
        element.querySelector<HTMLElement>("i")!.style.transform,
        element.getAttribute("aria-valuenow"),
        element.classList.contains("unknown"),
      ];
    };
    expect(state({ status: "PENDING" })).toEqual(["scaleX(0)", null, false]);
    expect(state({ status: "RUNNING", progress: progress({ total: 0 }) })).toEqual(["scaleX(0)", null, true]);
    expect(state({ status: "RUNNING", progress: progress({ done: 1, total: 4 }) })).toEqual([
      "scaleX(0.25)",
      "25",
      false,
    ]);
    expect(state({ status: "SUCCEEDED" })).toEqual(["scaleX(1)", "100", false]);
  });

  it("is read out as it is shown", () => {
    const bar = new ProgressBar("Progress");
    bar.update(job({ status: "PENDING" }), NOW);
    const element = at(bar.element, "job-progress");
    expect(element.getAttribute("aria-valuetext")).toBe("waits for its turn: other jobs run");
    expect(element.getAttribute("aria-label")).toBe("Progress");
    expect(element.getAttribute("role")).toBe("progressbar");
  });
});

describe("what is said of a job", () => {
  it("is why it failed, with the stable code, as text", () => {
    expect(reasonLine(job())).toBeNull();
    const line = reasonLine(job({ reason: { code: "weights", message: "no <b>file</b>", detail: {} } }))!;
    expect(line.querySelector("code")!.textContent).toBe("weights");
    expect(line.textContent).toBe("weights no <b>file</b>");
  });

  it("is whose artifact it has", () => {
    expect(reuseLine(job())).toBeNull();
    const line = reuseLine(job({ reused_from: "features-aaaaaaaaaaaa" }))!;
    expect(line.textContent).toBe("The same as features-aaaaaaaaaaaa, not computed again");
    expect(line.querySelector("a")!.getAttribute("href")).toBe("/jobs/features-aaaaaaaaaaaa");
  });

  it("is what it is about", () => {
    const about = (dataset: string, model: string) => describeJob(job({ dataset, model }));
    expect(about("digits", "lenet").split(/\s*·\s*/)).toEqual(["digits", "lenet"]);
    expect(about("digits", "")).toBe("digits");
    expect(about("", "")).toBe("");
  });
});

describe("the frame of a page", () => {
  it("leads home and to the live page, by way of where one is", () => {
    const head = pageHead([h("a", { href: "/jobs" }, "Jobs")]);
    expect([...head.element.querySelectorAll("a")].map((link) => link.getAttribute("href"))).toEqual([
      "/",
      "/jobs",
      "/jobs",
      "/live",
      "/docs",
    ]);
    expect(at(head.element, "theme")).toBeTruthy();
    head.destroy();
  });

  it("says what to do where there is nothing yet, with this service's own address", () => {
    const code = emptyState().querySelector("code")!.textContent;
    expect(code).toContain(`client = Client("${location.origin}")`);
    expect(texts(emptyState(), "h2")).toEqual(["No jobs yet"]);
  });
});

describe("asking again and again", () => {
  let active: boolean;
  let asked: number;
  let polling: Poll;
  const hide = (hidden: boolean) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  };
  const pass = async (ms: number) => {
    vi.advanceTimersByTime(ms);
    await settle();
  };

  beforeEach(async () => {
    vi.useFakeTimers();
    active = true;
    asked = 0;
    polling = poll(async () => {
      asked += 1;
      return active;
    });
    await settle();
  });
  afterEach(() => {
    polling.end();
    hide(false);
    vi.useRealTimers();
  });

  it("begins at once, goes on often while something is under way, and seldom otherwise", async () => {
    expect(asked).toBe(1);
    await pass(ACTIVE_MS);
    expect(asked).toBe(2);
    active = false;
    await pass(ACTIVE_MS);
    expect(asked).toBe(3);
    await pass(IDLE_MS - 1);
    expect(asked).toBe(3);
    await pass(1);
    expect(asked).toBe(4);
  });

  it("asks at once when it is told to, and then goes on as before", async () => {
    polling.now();
    await settle();
    expect(asked).toBe(2);
    await pass(ACTIVE_MS - 1);
    expect(asked).toBe(2);
    await pass(1);
    expect(asked).toBe(3);
  });

  it("waits while nobody looks, and asks at once when somebody does again", async () => {
    hide(true);
    await pass(10 * IDLE_MS);
    expect(asked).toBe(1);
    hide(false);
    await settle();
    expect(asked).toBe(2);
  });

  it("goes on after an answer that failed", async () => {
    polling.end();
    let failed = 0;
    polling = poll(async () => {
      failed += 1;
      throw new Error("not now");
    });
    await settle();
    await pass(IDLE_MS);
    expect(failed).toBe(2);
  });

  it("ends, and tells the question that is under way", async () => {
    let given: AbortSignal | null = null;
    polling.end();
    polling = poll(async (signal) => {
      given = signal;
      return true;
    });
    await settle();
    polling.end();
    expect(given!.aborted).toBe(true);
    const before = asked;
    await pass(10 * IDLE_MS);
    expect(asked).toBe(before);
  });
});
