import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const lines = (count: number, line: string) => line.repeat(count);
const FLAWED = {
  noFloatingPromises: "async function load(): Promise<void> {}\nload();\n",
  noExplicitAny: "export const x: any = 1;\n",
  noUnusedVariables: "const x = 1;\n",
  noUnusedImports: 'import { h } from "./lib/dom";\n',
  useImportType: 'import { Job } from "./api/types";\nexport const id = (job: Job) => job.id;\n',
  useMaxParams: "export const f = (a: 1, b: 2, c: 3, d: 4, e: 5, g: 6) => [a, b, c, d, e, g];\n",
  noExcessiveLinesPerFunction: `export function long(f: () => void) {\n${lines(39, "  f();\n")}}\n`,
  noExcessiveLinesPerFile: `export const text = [\n${lines(399, '  "line",\n')}];\n`,
};
const SOUND = {
  parameters: "export const f = (a: 1, b: 2, c: 3, d: 4, e: 5) => [a, b, c, d, e];\n",
  functionOf40: `export function long(f: () => void) {\n${lines(38, "  f();\n")}}\n`,
  fileOf400: `export const text = [\n${lines(398, '  "line",\n')}];\n`,
};

describe("the linter", () => {
  const folder = mkdtempSync(join(tmpdir(), "lint-"));
  const found = new Map<string, string[]>();

  beforeAll(() => {
    cpSync("biome.jsonc", join(folder, "biome.jsonc"));
    mkdirSync(join(folder, "src"));
    for (const [name, code] of Object.entries({ ...FLAWED, ...SOUND })) {
      writeFileSync(join(folder, "src", `${name}.ts`), code);
    }
    const biome = resolve("node_modules/.bin/biome");
    const { stdout } = spawnSync(biome, ["lint", "--reporter=github", "."], { cwd: folder, encoding: "utf8" });
    for (const [, rule, file] of stdout.matchAll(/^::error title=lint\/\w+\/(\w+),file=.*?(\w+)\.ts,/gm)) {
      found.set(file ?? "", [...(found.get(file ?? "") ?? []), rule ?? ""]);
    }
  }, 60_000);
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(Object.keys(FLAWED))("finds %s", (rule) => expect(found.get(rule)).toContain(rule));
  it.each(Object.keys(SOUND))("has nothing against %s", (name) => expect(found.get(name)).toBeUndefined());
});
