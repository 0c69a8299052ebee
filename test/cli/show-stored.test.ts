/** `sluice show` says where the rows are that are in no table. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { z } from "zod";
import { temporaryProject } from "../support/sluice-command.ts";

const project = temporaryProject({
  "kept.ts": `import { asset, parquetFiles, staticPartitions } from "sluice";
import { z } from "zod";
export const kept = asset({
  key: "demo/kept",
  partitions: staticPartitions(["north"]),
  schema: z.object({ n: z.int() }),
  ioManager: parquetFiles({ location: "gs://team-files/rows" }),
  materialize: () => [{ n: 1 }],
});
`,
});
after(() => project.remove());

test("show names the place of an asset's files, and that of its newest ones", async () => {
  const before = await project.sluice("show", "demo/kept");
  assert.match(before.stdout, /^rows in +gs:\/\/team-files\/rows\/demo\/kept\/$/m, before.stderr);
  assert.doesNotMatch(before.stdout, /latest rows in/);
  const { code, stdout, stderr } = await project.sluice("materialize", "demo/kept", "--partition", "north");
  assert.equal(code, 0, stdout + stderr);
  const { latestRows } = z
    .looseObject({ latestRows: z.looseObject({ manager: z.string(), version: z.string() }) })
    .parse(await project.json("show", "demo/kept"));
  assert.equal(latestRows.manager, "parquet-files");
  const after = await project.sluice("show", "demo/kept");
  const folder = `gs://team-files/rows/demo/kept/north/${latestRows.version}/`;
  assert.ok(after.stdout.includes(folder), after.stdout);
});
