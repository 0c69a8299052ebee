/** The guard in front of real buckets and the real warehouse: what is not one's own is never even asked for. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ownObjects, ownWarehouse, STAGING } from "../../lib/cli/own-ports.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import type { JobSpec, Warehouse } from "../../lib/ports/warehouse.ts";

/** Notes every call by its name and arguments. */
function noting<T extends object>(): { readonly port: T; readonly calls: unknown[][] } {
  const calls: unknown[][] = [];
  const port = new Proxy({} as T, {
    get:
      (_target, name) =>
      (...args: unknown[]) => {
        calls.push([name, ...args]);
        return Promise.resolve({ bucket: args[0], name: args[1], generation: "1", size: 0, updated: 0 });
      },
  });
  return { port, calls };
}

const staging = { bucket: "mine", folder: "dev_ann/" };
const options = { datasets: new Set(["dev_ann_demo"]), project: "p", jobPrefix: "dev_ann-1-", staging };
const own = { dataset: "dev_ann_demo", table: "t" };

const load = (destination: object): JobSpec =>
  ({ kind: "load", uris: ["gs://drops/a", `gs://${STAGING}/k/part`], format: "PARQUET", destination }) as JobSpec;

describe("ownWarehouse", () => {
  for (const [what, table] of [
    ["another dataset", { dataset: "demo", table: "t" }],
    ["a dataset of the same prefix", { dataset: "dev_ann_demo_2", table: "t" }],
    ["another project", { ...own, project: "q" }],
  ] as const)
    test(`writes nothing in ${what}`, async () => {
      const { port, calls } = noting<Warehouse>();
      const warehouse = ownWarehouse(port, options);
      const attempts: readonly (() => Promise<unknown>)[] = [
        () => warehouse.submit("j", load(table), {}),
        () => warehouse.submit("j", { kind: "copy", source: own, destination: table }, {}),
        () =>
          warehouse.submit("j", { kind: "copy", source: own, destination: { ...table, partition: "20240501" } }, {}),
        () => warehouse.submit("j", { kind: "query", sql: "…", writes: [own, table] }, {}),
        () => warehouse.extend(table, [], "e"),
        () => warehouse.drop(table),
        () => warehouse.drop({ ...table, partition: "20240501" }),
      ];
      for (const attempt of attempts) await assert.rejects(attempt, { code: "accessDenied" });
      assert.deepEqual(calls, []);
    });

  test("reads anything, and names its jobs after its history, once", async () => {
    const { port, calls } = noting<Warehouse>();
    const warehouse = ownWarehouse(port, options);
    await warehouse.submit("j", { kind: "query", sql: "SELECT 1" }, { a: "b" });
    await warehouse.submit("j2", load(own), {});
    await warehouse.wait("dev_ann-1-j", { timeoutMs: 1 });
    await warehouse.describe({ project: "q", dataset: "demo", table: "t" });
    assert.deepEqual(calls.slice(0, 1), [["submit", "dev_ann-1-j", { kind: "query", sql: "SELECT 1" }, { a: "b" }]]);
    assert.deepEqual(calls[1]?.[2], { ...load(own), uris: ["gs://drops/a", "gs://mine/dev_ann/k/part"] });
    assert.deepEqual(calls[2], ["wait", "dev_ann-1-j", { timeoutMs: 1 }]);
  });
});

describe("ownObjects", () => {
  test("writes and deletes in its folder alone", async () => {
    const { port, calls } = noting<ObjectStore>();
    const objects = ownObjects(port, staging);
    for (const bucket of ["drops", "mine"]) {
      await assert.rejects(() => objects.write(bucket, "x", []), { code: "access-denied" });
      await assert.rejects(() => objects.delete(bucket, "x", "1"), { code: "access-denied" });
    }
    await assert.rejects(() => ownObjects(port, undefined).write(STAGING, "x", []), { code: "access-denied" });
    assert.equal(calls.length, 0);
    const written = await objects.write(STAGING, "k/part", []);
    assert.deepEqual([written.bucket, written.name], [STAGING, "k/part"]);
    await objects.delete(STAGING, "k/part", "1");
    await objects.stat("drops", "x");
    assert.deepEqual(
      calls.map((call) => call.slice(0, 3)),
      [
        ["write", "mine", "dev_ann/k/part"],
        ["delete", "mine", "dev_ann/k/part"],
        ["stat", "drops", "x"],
      ],
    );
  });
});
