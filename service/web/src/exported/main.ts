/** Start of an exported map: the map page alone, with the files beside it as its source. */

import "@fontsource-variable/geist-mono/wght.css";
import "@fontsource-variable/instrument-sans/wght.css";
import "../styles/base.css";
import "../styles/parts.css";
import "../styles/menus.css";
import "../styles/map.css";
import "../styles/panel.css";
import "../styles/narrow.css";
import { setSource } from "../api/source";
import { startTheme } from "../app/theme";
import { fill, h } from "../lib/dom";
import { mapPage } from "../map/page";
import { type Files, folderFiles, PieceFiles, rangeFiles } from "./files";
import { pagePieces, scriptPieces } from "./pieces";
import { type ExportedMap, ExportedSource } from "./source";

const FORMS: Record<string, () => Files> = {
  range: () => rangeFiles,
  xyz: () => folderFiles,
  files: () => new PieceFiles(scriptPieces()),
  page: () => new PieceFiles(pagePieces),
};

const app = document.getElementById("app")!;

/** Why the map cannot be shown, in place of the map. */
function complain(error: unknown): void {
  const opened = location.protocol === "file:";
  const remedy = opened ? "This form of the map needs a web server; one exported with --files opens as a file." : "";
  const message = h("p", { testid: "message" }, remedy || (error as Error).message);
  fill(app, h("main", { class: "message-page" }, h("h1", {}, "This map could not be opened"), message));
  document.body.dataset.ready = "true";
}

async function start(): Promise<void> {
  const files = FORMS[document.documentElement.dataset["form"] ?? "range"]!();
  const exported: ExportedMap = JSON.parse(new TextDecoder().decode(await files.whole("data/map.json")));
  setSource(new ExportedSource(exported, files));
  document.body.dataset["page"] = "map";
  await mapPage(app, exported.map);
}

startTheme();
start().catch(complain);
