import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { unzipSync } from "fflate";
import { packFolder } from "../../../infra/deploy/archive.ts";
import { isHolderGone, openWorkplace } from "../../../infra/deploy/workplace.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-workplace-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("a workplace", () => {
  test("writes files under paths that follow from their text, and goes whole", async () => {
    const place = await openWorkplace("token", "/project", folder);
    const path = await place.file("a.json", "one");
    assert.equal(readFileSync(path, "utf8"), "one");
    assert.equal(await place.file("a.json", "one"), path);
    assert.notEqual(await place.file("a.json", "two"), path);
    assert.equal(statSync(place.folder).mode & 0o077, 0);
    await place.remove();
    assert.ok(!existsSync(dirname(path)));
  });

  test("writes a text once, however many ask for it: a tool may be reading it", async () => {
    const place = await openWorkplace("once", "/project", folder);
    const paths = await Promise.all([place.file("a.json", "one"), place.file("a.json", "one")]);
    const path = paths[0];
    assert.deepEqual(paths, [path, path]);
    utimesSync(path, 1, 1);
    await place.file("a.json", "one");
    assert.equal(statSync(path).mtimeMs, 1_000);
    await place.remove();
  });

  test("tells a holder that was killed here from one that lives, or is somewhere else", async () => {
    await openWorkplace("mine", "/project", folder);
    assert.equal(await isHolderGone({ token: "mine" }, folder), false);
    assert.equal(await isHolderGone({ token: "elsewhere" }, folder), false);
    assert.equal(await isHolderGone({ token: "../mine" }, folder), false);
    const child = spawn(process.execPath, ["--eval", ""]);
    await once(child, "exit");
    const dead = await openWorkplace("dead", "/project", folder);
    writeFileSync(join(dead.folder, "pid"), String(child.pid));
    assert.equal(await isHolderGone({ token: "dead" }, folder), true);
    writeFileSync(join(dead.folder, "pid"), "");
    assert.equal(await isHolderGone({ token: "dead" }, folder), false);
  });
});

describe("what deployments have left", () => {
  const parent = mkdtempSync(join(tmpdir(), "sluice-workplaces-"));
  after(() => rmSync(parent, { recursive: true, force: true }));
  const leave = async (token: string, project: string, process: number | undefined): Promise<string> => {
    const place = await openWorkplace(token, project, parent);
    await place.file("source.zip", "much");
    if (process !== undefined) writeFileSync(join(place.folder, "pid"), String(process));
    return place.folder;
  };

  test("goes when the same project is deployed again, but for who it was; what runs, or is another's, stays", async () => {
    const child = spawn(process.execPath, ["--eval", ""]);
    await once(child, "exit");
    const running = await leave("running", "/project", undefined);
    const other = await leave("other", "/elsewhere", child.pid);
    const begun = join(parent, "sluice-deploy-begun");
    mkdirSync(begun);
    const dead = await leave("dead", "/project", child.pid);
    const old = await leave("old", "/project", child.pid);
    utimesSync(join(old, "pid"), 1, 1);
    const place = await openWorkplace("next", "/project", parent);
    assert.deepEqual(readdirSync(dead).sort(), ["pid", "project"]);
    // Its lock is still known to be one of the dead.
    assert.equal(await isHolderGone({ token: "dead" }, parent), true);
    assert.equal(existsSync(old), false);
    for (const folder of [running, other]) assert.equal(readdirSync(folder).length, 3);
    assert.ok(existsSync(begun) && existsSync(place.folder));
  });
});

describe("an archive", () => {
  const write = (root: string, files: Readonly<Record<string, string>>): string => {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    return root;
  };
  const files = { "index.mjs": "a", "units/b.mjs": "bb", "modules/c.mjs": "ccc".repeat(1_000), "package.json": "{}" };

  test("holds every file, and equal files give equal bytes whenever and in whatever order they were written", async () => {
    const one = write(join(folder, "one"), files);
    const other = write(join(folder, "other"), Object.fromEntries(Object.entries(files).reverse()));
    utimesSync(join(other, "index.mjs"), 1, 1);
    const [first, second] = [await packFolder(one), await packFolder(other)];
    assert.equal(first.sha256, second.sha256);
    assert.deepEqual(Buffer.from(first.bytes), Buffer.from(second.bytes));
    const texts = Object.entries(unzipSync(first.bytes)).map(([name, bytes]) => [name, Buffer.from(bytes).toString()]);
    assert.deepEqual(Object.fromEntries(texts), files);
    write(one, { "index.mjs": "changed" });
    assert.notEqual((await packFolder(one)).sha256, first.sha256);
  });

  test("has the same bytes in every time zone", async () => {
    const root = write(join(folder, "zones"), files);
    const source = `
      const { packFolder } = await import(${JSON.stringify(import.meta.resolve("../../../infra/deploy/archive.ts"))});
      process.stdout.write((await packFolder(${JSON.stringify(root)})).sha256);
    `;
    const inZone = async (zone: string): Promise<string> => {
      const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
        env: { ...process.env, TZ: zone },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let text = "";
      child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
      await once(child, "close");
      return text;
    };
    const hashes = await Promise.all(["UTC", "Asia/Tokyo", "America/Los_Angeles"].map(inZone));
    assert.equal(new Set(hashes).size, 1);
    assert.match(hashes[0] ?? "", /^[0-9a-f]{64}$/);
  });
});
