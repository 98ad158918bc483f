// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loginPage } from "../src/app/login-page";
import { awayPage, messagePage } from "../src/app/message-page";
import { navigate, type Route, startRouter } from "../src/app/router";
import { h } from "../src/lib/dom";
import { at, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

const shownRoutes: Route[] = [];

/** Lets this browser follow no link by itself: nobody would answer it. */
function stay(): void {
  const { happyDOM } = window as unknown as {
    happyDOM: { settings: { navigation: { disableMainFrameNavigation: boolean } } };
  };
  happyDOM.settings.navigation.disableMainFrameNavigation = true;
}

beforeEach(() => {
  stay();
  history.replaceState(null, "", "/jobs");
  startRouter((route) => shownRoutes.push(route));
  shownRoutes.length = 0;
});
afterEach(() => vi.unstubAllGlobals());

describe("moving among pages", () => {
  it("shows the page of the address, also without another entry in the history", () => {
    const before = history.length;
    navigate("/maps/tiles-1?row=3");
    expect(location.pathname + location.search).toBe("/maps/tiles-1?row=3");
    navigate("/live", true);
    expect(shownRoutes).toEqual([{ page: "map", id: "tiles-1" }, { page: "live" }]);
    expect(history.length).toBeLessThanOrEqual(before + 1);
  });

  it("shows again what was before", () => {
    navigate("/live");
    history.replaceState(null, "", "/jobs/features-1");
    window.dispatchEvent(new PopStateEvent("popstate"));
    expect(shownRoutes.at(-1)).toEqual({ page: "job", id: "features-1" });
  });

  it("takes ids as they were, and does not fail at what is no address", () => {
    navigate("/jobs/a%2Fb");
    navigate("/jobs/%E0%A4%A");
    navigate("/nowhere/at/all");
    expect(shownRoutes).toEqual([
      { page: "job", id: "a/b" },
      { page: "job", id: "%E0%A4%A" },
      { page: "missing", path: "/nowhere/at/all" },
    ]);
  });
});

describe("a link", () => {
  function follow(attributes: Record<string, string>, how: MouseEventInit = {}, origin = location.origin): boolean {
    const link = h("a", { attrs: attributes }, h("span", {}, "there"));
    // This browser would be there before the router is asked.
    Object.defineProperty(link, "origin", { value: origin });
    shown(link);
    let taken = false;
    // After the router, and before the browser would follow the link.
    const last = (event: Event) => {
      taken = event.defaultPrevented;
      event.preventDefault();
    };
    window.addEventListener("click", last, { once: true });
    link.firstElementChild!.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, ...how }));
    return taken;
  }

  it("to a page of the viewer changes the page without a reload", () => {
    expect(follow({ href: "/jobs/features-1?x=1" })).toBe(true);
    expect(location.pathname + location.search).toBe("/jobs/features-1?x=1");
    expect(shownRoutes.at(-1)).toEqual({ page: "job", id: "features-1" });
  });

  it("is the browser's with a modifier, to elsewhere, into another tab, or to be saved", () => {
    for (const how of [{ ctrlKey: true }, { metaKey: true }, { shiftKey: true }, { altKey: true }, { button: 1 }])
      expect(follow({ href: "/jobs" }, how)).toBe(false);
    expect(follow({ href: "/jobs" }, {}, "https://example.org")).toBe(false);
    expect(follow({ href: "/jobs", target: "_blank" })).toBe(false);
    expect(follow({ href: "/jobs", download: "x" })).toBe(false);
    expect(follow({ href: "/v1/jobs/a/files/data/x.parquet" })).toBe(false);
    expect(follow({ href: `${location.pathname}#here` })).toBe(false);
    expect(shownRoutes).toEqual([]);
  });
});

describe("pages of one thing", () => {
  it("say it as text, with a way on", () => {
    const app = shown(h("div"));
    messagePage(app, "Not a <b>map</b>", "x is a <i>features</i> job.");
    expect(texts(app, "h1")).toEqual(["Not a <b>map</b>"]);
    expect(at(app, "message").textContent).toBe("x is a <i>features</i> job.");
    expect([...app.querySelectorAll("a")].map((way) => way.getAttribute("href"))).toEqual(["/", "/jobs"]);
    expect(document.title).toContain("Not a <b>map</b>");
    expect(document.body.dataset["ready"]).toBe("true");
  });

  it("open by themselves when a service that was away is back", async () => {
    vi.useFakeTimers();
    const service = new Service().on(/livez/, () => {
      throw new TypeError("Failed to fetch");
    });
    const app = shown(h("div"));
    const back = vi.fn();
    const page = awayPage(app, back);
    expect(texts(app, "h1")).toEqual(["The service does not answer"]);
    vi.advanceTimersByTime(3000);
    await settle();
    expect([service.paths.length, back.mock.calls.length]).toEqual([1, 0]);
    service.on(/livez/, {});
    vi.advanceTimersByTime(3000);
    await settle();
    expect(back).toHaveBeenCalledTimes(1);
    page.destroy();
    vi.advanceTimersByTime(30_000);
    await settle();
    expect(service.paths).toHaveLength(2);
    vi.useRealTimers();
  });

  it("ask for the token, and say that it is wrong", async () => {
    const service = new Service().on(/login/, new Refusal(401, "unauthorized", "this is not the token"));
    const app = shown(h("div"));
    const done = vi.fn();
    loginPage(app, done);
    const field = at(app, "token") as HTMLInputElement;
    expect(field.type).toBe("password");
    expect(document.activeElement).toBe(field);
    const send = async (token: string) => {
      field.value = token;
      app.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
      await settle();
    };
    await send("wrong");
    expect(texts(app, "[role=alert]")).toEqual(["this is not the token"]);
    expect(done).not.toHaveBeenCalled();
    service.on(/login/, {});
    await send("right");
    expect(done).toHaveBeenCalledTimes(1);
    expect(service.asked.map(({ body }) => body)).toEqual([{ token: "wrong" }, { token: "right" }]);
  });
});
