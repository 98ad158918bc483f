/** Selections that are saved: given a name, listed, taken as a table, used as a dataset, deleted. */

import { ApiError } from "../api/client";
import { deleteSelection, exportSelection, listSelections, saveSelection, selectionExportUrl } from "../api/selections";
import type { SavedSelection } from "../api/types";
import { fill, h } from "../lib/dom";
import { plural } from "../lib/format";
import { icon } from "../lib/icons";
import type { SelectionQuery } from "./selection-query";

type Format = "csv" | "parquet";
const FORMATS: readonly [Format, string][] = [
  ["csv", "CSV"],
  ["parquet", "Parquet"],
];

export interface SavedActions {
  /** What is selected now; null: nothing. */
  query(): SelectionQuery | null;
  onSelect(query: SelectionQuery): void;
}

/** The line of Python that makes a dataset of a saved selection. */
export function clientLine(map: string, name: string): string {
  return `client.open_map(${JSON.stringify(map)}).selection(${JSON.stringify(name)}).to_dataset()`;
}

export class SavedSelections {
  readonly element = h("section", { class: "selection-part selection-saved" });
  private readonly name = h("input", {
    type: "text",
    class: "text-field",
    label: "Name of the selection",
    testid: "selection-name",
    attrs: { placeholder: "Name", maxlength: "100", autocomplete: "off", spellcheck: "false" },
  });
  private readonly problem = h("p", { class: "problem", role: "alert", attrs: { hidden: "" } });
  private readonly list = h("ul", { class: "selection-names", testid: "selection-names" });
  private readonly exports = h("p", { class: "selection-exports" });

  constructor(
    private readonly map: string,
    private readonly actions: SavedActions,
  ) {
    const save = h("button", { type: "submit", class: "button", testid: "selection-save" }, "Save");
    const submit = (event: SubmitEvent): void => {
      event.preventDefault();
      void this.save(false);
    };
    const form = h("form", { class: "selection-form", on: { submit } }, this.name, save);
    this.exports.append("Take it away: ", ...FORMATS.map(([format, title]) => this.exportButton(format, title)));
    this.element.append(h("h3", {}, "Save"), form, this.problem, this.exports, this.list);
  }

  /** Fetches the list. */
  async load(): Promise<void> {
    await this.tried(async () => this.show(await listSelections(this.map)));
  }

  /** Whether there is something that could be saved. */
  offer(possible: boolean): void {
    this.name.disabled = !possible;
    for (const button of this.element.querySelectorAll<HTMLButtonElement>(
      ".selection-form button, .selection-exports button",
    ))
      button.disabled = !possible;
  }

  private async save(replace: boolean): Promise<void> {
    const query = this.actions.query();
    const name = this.name.value.trim();
    if (!query || name === "") return this.name.focus();
    await this.tried(async () => {
      try {
        const saved = await saveSelection(this.map, name, query, replace);
        this.name.value = "";
        this.actions.onSelect({ saved: saved.name });
        await this.load();
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 409)) throw error;
        this.complain(error.message, ["Replace it", () => void this.save(true)]);
      }
    });
  }

  private show(saved: readonly SavedSelection[]): void {
    fill(this.list, ...saved.map((each) => this.item(each)));
  }

  private item(saved: SavedSelection): HTMLElement {
    const { name, count } = saved;
    const select = h(
      "button",
      {
        type: "button",
        class: "selection-name",
        title: name,
        on: { click: () => this.actions.onSelect({ saved: name }) },
      },
      h("span", {}, name),
      h("span", { class: "faint" }, plural(count, "point")),
    );
    const more = this.more(saved);
    more.hidden = true;
    const unfold = h(
      "button",
      {
        type: "button",
        class: "icon-button small",
        label: `More of ${name}`,
        attrs: { "aria-expanded": "false" },
        on: {
          click: () => {
            more.hidden = !more.hidden;
            unfold.setAttribute("aria-expanded", String(!more.hidden));
          },
        },
      },
      icon("chevron"),
    );
    return h("li", {}, select, unfold, more);
  }

  private more({ name, dataset, dataset_problem }: SavedSelection): HTMLElement {
    const links = FORMATS.map(([format, title]) =>
      h("a", { href: selectionExportUrl(this.map, name, format), attrs: { download: "" } }, title),
    );
    const remove = h(
      "button",
      { type: "button", class: "text-button", on: { click: () => void this.remove(name, remove) } },
      "Delete",
    );
    return h(
      "div",
      { class: "selection-more" },
      h("p", {}, ...links, remove),
      dataset ? this.asDataset(name) : h("p", { class: "faint" }, dataset_problem),
    );
  }

  /** What a program writes to use it as the dataset of a job. */
  private asDataset(name: string): HTMLElement {
    const line = clientLine(this.map, name);
    const copy = h(
      "button",
      {
        type: "button",
        class: "icon-button small",
        label: "Copy the line",
        title: "Copy the line",
        on: {
          click: () =>
            void navigator.clipboard
              .writeText(line)
              .then(() => copy.replaceChildren(icon("check")))
              .catch(() => this.complain("The line cannot be copied from here: select it.")),
        },
      },
      icon("copy"),
    );
    return h("p", { class: "selection-line" }, h("span", {}, "As a dataset"), h("code", {}, line), copy);
  }

  private async remove(name: string, button: HTMLElement): Promise<void> {
    if (button.dataset["sure"] !== "true") {
      button.dataset["sure"] = "true";
      button.textContent = "Delete it?";
      return;
    }
    await this.tried(async () => {
      await deleteSelection(this.map, name);
      await this.load();
    });
  }

  private exportButton(format: Format, title: string): HTMLElement {
    const take = async (): Promise<void> => {
      const query = this.actions.query();
      if (query) await this.tried(async () => download(await exportSelection(this.map, query, format), format));
    };
    return h("button", { type: "button", class: "text-button", on: { click: () => void take() } }, title);
  }

  private async tried(work: () => Promise<void>): Promise<void> {
    this.problem.hidden = true;
    try {
      await work();
    } catch (error) {
      this.complain((error as Error).message);
    }
  }

  private complain(message: string, remedy?: readonly [string, () => void]): void {
    this.problem.hidden = false;
    const [label, run] = remedy ?? ["", () => {}];
    const button = h("button", { type: "button", class: "text-button", on: { click: run } }, label);
    fill(this.problem, message, remedy ? " " : null, remedy ? button : null);
  }
}

function download(table: Blob, format: Format): void {
  const url = URL.createObjectURL(table);
  h("a", { href: url, attrs: { download: `selection.${format}` } }).click();
  window.setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
