import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { unpackTar } from "modern-tar";
import { packPackage } from "../../lib/cli/tarball.ts";

const FILES = {
  "package.json": JSON.stringify({ version: "1.2.3", bin: { sluice: "lib/main.js" }, files: ["lib", "deploy.sh"] }),
  "README.md": "# Sluice",
  LICENSE: "free",
  "deploy.sh": "#!/bin/sh",
  "lib/main.js": "start();",
  "lib/deep/er.js": "",
  "lib/node_modules/zod/index.js": "not ours",
  "other/secret.txt": "not named",
};

function folderWith(t: TestContext, names: readonly string[], seconds: number): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tarball-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(FILES).sort(([a], [b]) => names.indexOf(a) - names.indexOf(b))) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: seconds % 2 === 0 ? 0o600 : 0o664 });
    utimesSync(join(folder, name), seconds, seconds);
  }
  return folder;
}

test("equal files are equal bytes, whenever and in whatever order they were written", async (t) => {
  const names = Object.keys(FILES);
  const one = await packPackage(folderWith(t, names, 1_700_000_000));
  const other = await packPackage(folderWith(t, names.toReversed(), 1_700_000_001));
  assert.equal(one.name, "sluice-1.2.3.tgz");
  assert.deepEqual(Buffer.from(one.bytes), Buffer.from(other.bytes));
});

test("a tarball has what the package names, and programs may be run", async (t) => {
  const { bytes } = await packPackage(folderWith(t, Object.keys(FILES), 1_700_000_000));
  const entries = await unpackTar(gunzipSync(bytes));
  assert.deepEqual(
    entries.map(({ header: { name, mode } }) => [name, mode]),
    [
      ["package/LICENSE", 0o644],
      ["package/README.md", 0o644],
      ["package/deploy.sh", 0o755],
      ["package/lib/deep/er.js", 0o644],
      ["package/lib/main.js", 0o755],
      ["package/package.json", 0o644],
    ],
  );
  assert.equal(Buffer.from(entries[4]?.data ?? []).toString(), "start();");
});

test("a file that the package names and does not have is an error", async (t) => {
  const folder = folderWith(t, Object.keys(FILES), 1_700_000_000);
  rmSync(join(folder, "deploy.sh"));
  await assert.rejects(packPackage(folder), /ENOENT.*deploy\.sh/);
});
