/** The code that the README shows is code that loads, and the files that it names are there. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { temporaryProject } from "./support/sluice-command.ts";
import { ROOT, textOf } from "./support/tree.ts";

const readme = textOf("README.md");
const blocks = [...readme.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, text = ""]) => text);
const IMPORTS = `
import { Interval, SourceMode, asset, bigqueryTable, check, daily, eager, intervalGcsImportAsset } from "sluice";
import { partition, sql, sqlAsset } from "sluice";
import { z } from "zod";
`;
const project = temporaryProject({ "readme.ts": IMPORTS + blocks.join("\n") });
after(() => project.remove());

test("its assets are defined as it shows them, without a problem", async () => {
  assert.equal(blocks.length, 3);
  const listed = z.object({
    assets: z.array(z.object({ key: z.string(), deps: z.array(z.string()) })),
    problems: z.array(z.string()),
  });
  const { assets, problems } = listed.parse(await project.json("list"));
  assert.deepEqual(problems, []);
  assert.deepEqual(
    assets.map(({ key, deps }) => [key, ...deps]),
    [
      ["gitcoin/passport_scores"],
      ["gitcoin/day_summary", "gitcoin/passport_scores"],
      ["gitcoin/profiles", "gitcoin/passport_scores"],
    ],
  );
});

test("the import is ten lines", () => {
  assert.ok((blocks[0] ?? "").trim().split("\n").length <= 10);
});

test("every file that it links to is there", () => {
  const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = ""]) => path);
  assert.ok(links.length > 5);
  for (const path of links) assert.ok(existsSync(join(ROOT, path)), path);
});
