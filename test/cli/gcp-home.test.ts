/** The folder of runs against Google Cloud: for one project, location and person, and one process at a time. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { checkGcpHome, lockHome, readGcpHome, useGcpHome } from "../../lib/cli/gcp-home.ts";

const wanted = { project: "p", location: "EU", prefix: "dev_ann_" };

function folder(t: TestContext): string {
  const home = mkdtempSync(join(tmpdir(), "gcp-home-"));
  t.after(() => rmSync(home, { recursive: true }));
  return home;
}

test("is made once, with an id of its own, and found again", async (t) => {
  const home = join(folder(t), "below");
  assert.equal(await checkGcpHome(home, wanted), undefined);
  assert.equal(existsSync(home), false);
  const made = await useGcpHome(home, wanted);
  assert.match(made.id, /^[0-9a-f]{16}$/);
  assert.deepEqual(await useGcpHome(home, wanted), made);
  assert.deepEqual(await readGcpHome(home), made);
});

test("is of one project, one location, one person", async (t) => {
  const home = folder(t);
  await useGcpHome(home, wanted);
  for (const other of [{ project: "q" }, { location: "US" }, { prefix: "dev_bea_" }]) {
    const [[name, value] = []] = Object.entries(other);
    const message = new RegExp(`is the history of ${name} .*, and this is ${value}: choose another --home`);
    await assert.rejects(() => useGcpHome(home, { ...wanted, ...other }), message);
  }
});

test("is no folder of local runs, and no folder of somebody else", async (t) => {
  const local = folder(t);
  writeFileSync(join(local, "warehouse.duckdb"), "");
  await assert.rejects(() => useGcpHome(local, wanted), /holds local runs/);
  assert.equal(existsSync(join(local, "gcp.json")), false);
  const damaged = folder(t);
  for (const text of ["", "{}", '{"v":2}']) {
    writeFileSync(join(damaged, "gcp.json"), text);
    await assert.rejects(() => readGcpHome(damaged), /is not what Sluice has written there/);
  }
});

test("is used by one process at a time", (t) => {
  const home = folder(t);
  const unlock = lockHome(home);
  assert.throws(() => lockHome(home), { code: "locked", message: /another sluice process uses / });
  unlock();
  lockHome(home)();
});
