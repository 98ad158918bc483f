// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { jobActions } from "../src/jobs/actions";
import { askDeletion } from "../src/jobs/delete";
import { askTitle } from "../src/jobs/rename";
import { h } from "../src/lib/dom";
import { actionsMenu } from "../src/lib/menu";
import { share } from "../src/lib/share";
import { job } from "./helpers/builders";
import { at, press, settle, shown, texts } from "./helpers/page";
import { Refusal, Service } from "./helpers/service";

let service: Service;
const tiles = job({ id: "tiles-1", title: "Mine" });
const features = job({ id: "features-1", size_bytes: 3_000_000 });

beforeEach(() => {
  service = new Service();
  shown(h("div"));
});
afterEach(() => vi.unstubAllGlobals());

const changes = { renamed: () => undefined, deleted: () => undefined };

describe("what can be done with a job", () => {
  it("is to share, rename, run again, and delete it once it has ended", () => {
    const names = (status: "SUCCEEDED" | "RUNNING") =>
      jobActions({ ...tiles, status }, changes).map(({ testid }) => testid);
    expect(names("SUCCEEDED")).toEqual(["share", "rename", "run-again", "delete"]);
    expect(names("RUNNING")).toEqual(["share", "rename", "run-again"]);
  });

  it("keeps its entries while its menu is open, and has the newest when it is opened again", () => {
    const menu = actionsMenu("Actions");
    document.body.append(menu.element);
    const show = (name: string) => menu.show([{ name, icon: "arrow", testid: "go", run: () => undefined }]);
    const toggle = (open: boolean) => {
      menu.element.open = open;
      menu.element.dispatchEvent(new Event("toggle"));
    };
    show("First");
    toggle(true);
    const first = at(menu.element, "go");
    show("Second");
    expect(at(menu.element, "go")).toBe(first);
    toggle(false);
    expect(at(menu.element, "go").textContent).toBe("Second");
    menu.destroy();
  });

  it("is in a menu that Escape and a click beside it close", () => {
    const menu = actionsMenu("Actions");
    const ran = vi.fn();
    menu.show([{ name: "Go", icon: "arrow", testid: "go", run: ran }]);
    document.body.append(menu.element);
    menu.element.open = true;
    press(at(menu.element, "go"), "Escape");
    expect(menu.element.open).toBe(false);
    menu.element.open = true;
    document.body.dispatchEvent(new Event("pointerdown", { bubbles: true }));
    expect(menu.element.open).toBe(false);
    menu.element.open = true;
    at(menu.element, "go").click();
    expect([menu.element.open, ran.mock.calls.length]).toEqual([false, 1]);
    menu.destroy();
  });
});

describe("renaming", () => {
  it("sends the title, and says what is wrong with it", async () => {
    service.on(/PATCH/, new Refusal(422, "invalid_spec", "title: no control characters"));
    const done = vi.fn();
    askTitle(tiles, done);
    const field = at(document, "title-field") as HTMLInputElement;
    expect(field.value).toBe("Mine");
    field.value = "  Ours ";
    const send = async () => {
      document.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
      await settle();
    };
    await send();
    expect(texts(document, "[role=alert]")).toEqual(["title: no control characters"]);
    service.on(/PATCH/, { ...tiles, title: "Ours" });
    await send();
    expect(service.asked.at(-1)).toMatchObject({ path: "/v1/jobs/tiles-1", body: { title: "Ours" } });
    expect(done.mock.calls[0]![0].title).toBe("Ours");
    expect(document.querySelector("dialog")).toBeNull();
  });

  it("takes the title away where the field is empty", async () => {
    service.on(/PATCH/, tiles);
    askTitle(tiles, () => undefined);
    (at(document, "title-field") as HTMLInputElement).value = " ";
    document.querySelector("form")!.dispatchEvent(new Event("submit", { cancelable: true }));
    await settle();
    expect(service.asked.at(-1)!.body).toEqual({ title: null });
  });
});

describe("deleting", () => {
  it("says first what goes, and offers what only that was made from", async () => {
    service
      .on(/inputs=true/, { jobs: [tiles, features], size_bytes: 3_000_000 })
      .on(/inputs=false/, { jobs: [tiles], size_bytes: 1_000_000 });
    const done = vi.fn();
    askDeletion(tiles, done);
    await settle();
    expect(texts(document, ".dialog-form > p")[0]).toContain("this job\u2009 · \u20091.0 MB");
    expect(at(document, "confirm-delete").textContent).toBe("Delete");
    const box = at(document, "delete-inputs") as HTMLInputElement;
    box.checked = true;
    box.dispatchEvent(new Event("change"));
    await settle();
    expect(at(document, "confirm-delete").textContent).toBe("Delete 2 jobs");
    expect(service.asked.every(({ method }) => method === "GET")).toBe(true);
    at(document, "confirm-delete").click();
    await settle();
    expect(service.asked.at(-1)).toMatchObject({
      method: "DELETE",
      path: "/v1/jobs/tiles-1?dependents=false&inputs=true",
    });
    expect(done).toHaveBeenCalledWith(["tiles-1", "features-1"]);
    expect(document.querySelector("dialog")).toBeNull();
  });

  it("lists what was made from it, and deletes it only with that", async () => {
    const detail = { jobs: [{ id: "tiles-1", job: "tiles", title: "<b>x</b>" }] };
    service
      .on(/dependents=true/, { jobs: [tiles, features], size_bytes: 0 })
      .on(/dependents=false/, new Refusal(409, "conflict", "a job was made from it", detail));
    askDeletion(features, () => undefined);
    await settle();
    expect(texts(document, ".deleted-jobs li span")).toEqual(["tiles", "<b>x</b>"]);
    expect(document.querySelector("[data-testid=confirm-delete]")).toBeNull();
    const box = at(document, "delete-dependents") as HTMLInputElement;
    box.checked = true;
    box.dispatchEvent(new Event("change"));
    await settle();
    expect(at(document, "confirm-delete").textContent).toBe("Delete 2 jobs");
    document.querySelector<HTMLDialogElement>("dialog")!.close();
  });

  it("says why a job cannot be deleted", async () => {
    service.on(/deletion/, new Refusal(409, "conflict", "it is RUNNING: stop it first"));
    askDeletion(tiles, () => undefined);
    await settle();
    expect(texts(document, "dialog [role=alert]")).toEqual(["it is RUNNING: stop it first"]);
    document.querySelector<HTMLDialogElement>("dialog")!.close();
  });
});

describe("sharing", () => {
  it("copies the whole address, or shows it where there is no clipboard", async () => {
    const writeText = vi.fn(async () => undefined);
    vi.stubGlobal("navigator", { clipboard: { writeText } });
    await share("/maps/tiles-1?z=3");
    expect(writeText).toHaveBeenCalledWith(`${location.origin}/maps/tiles-1?z=3`);
    expect(at(document, "notice").textContent).toBe("The link is copied");
    vi.stubGlobal("navigator", {});
    await share("/maps/tiles-1");
    expect(document.querySelector<HTMLInputElement>("dialog input")!.value).toBe(`${location.origin}/maps/tiles-1`);
  });
});
