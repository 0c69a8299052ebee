/** Application default credentials, and nothing else: no code of ours names a key, or where one lies. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { build } from "esbuild";
import { ROOT, filesBelow, textOf } from "../support/tree.ts";

const KEYS =
  /keyFile|GOOGLE_APPLICATION_CREDENTIALS|[{,]\s*credentials\s*:|private_key|privateKey|client_email|client_secret|fromJSON\s*\(/;

const FILES = ["lib/gcp", "lib/cloud"].flatMap((room) => filesBelow(room)).filter((file) => file.endsWith(".ts"));

test("no file of the adapters and the entry reads a key", () => {
  assert.ok(FILES.length > 40, "the files are found");
  const found = FILES.filter((file) => KEYS.test(textOf(file)));
  assert.deepEqual(found, []);
});

test("nor does anything of ours that goes into a function's bundle, the authors' API included", async () => {
  const { outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: ["lib/cloud/main.ts", "lib/index.ts"],
    outdir: "out",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    packages: "external",
    write: false,
    logLevel: "silent",
  });
  const text = outputFiles.map((file) => file.text).join("\n");
  assert.ok(text.length > 300_000, "all of it is there");
  assert.equal(KEYS.exec(text)?.[0], undefined);
});

for (const forbidden of [
  "new Storage({ keyFilename: path })",
  "new BigQuery({ credentials: JSON.parse(text) })",
  'process.env["GOOGLE_APPLICATION_CREDENTIALS"]',
]) {
  test(`the rule knows ${forbidden}`, () => assert.match(forbidden, KEYS));
}
