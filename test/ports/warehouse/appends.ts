/** Copies that add to what the destination holds. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../../lib/ports/warehouse.ts";
import { column, minute, n, ref, type Scenario } from "./world.ts";

function append(source: string, destination: string, partition?: string): Extract<JobSpec, { kind: "copy" }> {
  const to = partition === undefined ? ref(destination) : { ...ref(destination), partition };
  return { kind: "copy", source: ref(source), destination: to, append: true };
}

const dated = [column("day", "DATE"), column("n", "INT64")];
const byDay = { type: "DAY", column: "day" } as const;

export const appendScenarios: Readonly<Record<string, Scenario>> = {
  "an append makes its destination, and then adds to it": async ({ warehouse, fill, succeed, values }) => {
    await fill("more", n, [{ n: 1 }, { n: 2 }]);
    assert.equal((await succeed(append("more", "t"))).rows, 2);
    assert.deepEqual(await values("t"), [1, 2]);
    const before = await warehouse.describe(ref("t"));
    await fill("more", n, [{ n: 2 }, { n: 3 }, { n: 4 }]);
    assert.equal((await succeed(append("more", "t"))).rows, 3, "the rows that were added");
    assert.deepEqual(await values("t"), [1, 2, 2, 3, 4]);
    const after = await warehouse.describe(ref("t"));
    assert.deepEqual([after?.rows, after?.schema], [5, n]);
    assert.notEqual(after?.etag, before?.etag);
    assert.deepEqual(await values("more"), [2, 3, 4], "the source stays");
  },

  "an append shows in no copy of its source or destination": async ({ warehouse, fill, succeed, values }) => {
    await fill("original", n, [{ n: 1 }]);
    await fill("more", n, [{ n: 2 }]);
    await succeed({ kind: "copy", source: ref("original"), destination: ref("t") });
    await succeed(append("more", "t"));
    await succeed(append("more", "original"));
    await succeed(append("more", "original"));
    assert.deepEqual([await values("t"), await values("original"), await values("more")], [[1, 2], [1, 2, 2], [2]]);
    await warehouse.drop(ref("more"));
    await warehouse.drop(ref("original"));
    assert.deepEqual(await values("t"), [1, 2]);
  },

  "an append goes by the names of the columns": async ({ fill, succeed, select }) => {
    await fill(
      "t",
      [column("a", "INT64"), column("b", "STRING"), column("list", "INT64", "REPEATED")],
      [{ a: 1, b: "x", list: [1] }],
    );
    await fill("more", [column("B", "STRING"), column("a", "INT64")], [{ B: "y", a: 2 }]);
    await succeed(append("more", "t"));
    assert.deepEqual(await select("SELECT * FROM `shop.t` ORDER BY a"), [
      { a: 1, b: "x", list: [1] },
      { a: 2, b: "y", list: [] },
    ]);
  },

  "an append that does not fit leaves the table as it was": async ({ warehouse, fill, fail, values }) => {
    await fill("t", n, [{ n: 1 }]);
    const before = await warehouse.describe(ref("t"));
    await fill("wide", [...n, column("extra", "STRING")], [{ n: 2, extra: "x" }]);
    await fail(append("wide", "t"), "invalid", "extra");
    await fill("other", [column("n", "STRING")], [{ n: "2" }]);
    await fail(append("other", "t"), "invalid", "n");
    await fail(append("nothing", "t"), "notFound", "nothing");
    await fill("strict", [column("n", "INT64", "REQUIRED")], [{ n: 1 }]);
    await fail(append("t", "strict"), "invalid", "n");
    assert.deepEqual(await warehouse.describe(ref("t")), before);
    assert.deepEqual([await values("t"), await values("strict")], [[1], [1]]);
  },

  "an append to one partition leaves the others": async ({ warehouse, fill, succeed, fail, values }) => {
    const load = { partitioning: byDay };
    await fill(
      "t",
      dated,
      [
        { day: "2024-05-01", n: 1 },
        { day: "2024-05-02", n: 2 },
      ],
      load,
    );
    await fill(
      "more",
      dated,
      [
        { day: "2024-05-02", n: 3 },
        { day: "2024-05-02", n: 4 },
      ],
      load,
    );
    assert.equal((await succeed(append("more", "t", "20240502"))).rows, 2);
    assert.deepEqual(await values("t"), [1, 2, 3, 4]);
    await fail(append("more", "t", "20240501"), "invalid");
    assert.deepEqual(await values("t"), [1, 2, 3, 4]);
    assert.equal(await warehouse.drop({ ...ref("t"), partition: "20240502" }), true);
    assert.deepEqual(await values("t"), [1]);
    await succeed({ ...append("more", "made", "20240502"), partitioning: byDay });
    await succeed(append("more", "made", "20240502"));
    assert.deepEqual(await values("made"), [3, 3, 4, 4]);
    assert.deepEqual((await warehouse.describe(ref("made")))?.partitioning, byDay);
  },

  "a whole append keeps the partitions of both": async ({ warehouse, fill, succeed, select }) => {
    const partitioning = { type: "DAY" } as const;
    await fill("t", n, [{ n: 1 }], { partitioning, partition: "20240501" });
    await fill("more", n, [{ n: 2 }], { partitioning, partition: "20240502" });
    await succeed(append("more", "t"));
    assert.deepEqual(await select("SELECT n, _PARTITIONTIME AS `at` FROM `shop.t` ORDER BY n"), [
      { n: 1, at: "2024-05-01T00:00:00Z" },
      { n: 2, at: "2024-05-02T00:00:00Z" },
    ]);
    assert.equal(await warehouse.drop({ ...ref("t"), partition: "20240501" }), true);
    assert.equal((await warehouse.describe(ref("t")))?.rows, 1);
  },

  "an append between tables that are partitioned otherwise is refused": async ({ fill, fail, values }) => {
    await fill("t", dated, [{ day: "2024-05-01", n: 1 }], { partitioning: byDay });
    await fill("monthly", dated, [{ day: "2024-05-01", n: 2 }], { partitioning: { type: "MONTH", column: "day" } });
    await fail(append("monthly", "t"), "invalid", "partition");
    assert.deepEqual(await values("t"), [1]);
  },

  "appends at the same time are all there": async ({ warehouse, fill, values }) => {
    await fill("t", n, []);
    const ids = Array.from({ length: 8 }, (_, index) => `append_${index}`);
    for (const [index] of ids.entries()) await fill(`more_${index}`, n, [{ n: index }, { n: index }]);
    for (const [index, id] of ids.entries()) await warehouse.submit(id, append(`more_${index}`, "t"), {});
    for (const id of ids) {
      const { state, error } = await warehouse.wait(id, { timeoutMs: minute });
      assert.equal(state, "succeeded", error?.message);
    }
    assert.deepEqual(
      await values("t"),
      ids.flatMap((_, index) => [index, index]),
    );
    assert.equal((await warehouse.describe(ref("t")))?.rows, 16);
  },

  "a reader sees the whole of an append, or nothing of it": async ({ warehouse, fill, select }) => {
    const many = Array.from({ length: 5_000 }, (_, index) => ({ n: index }));
    await fill("t", n, many);
    await fill("more", n, many);
    const ids = Array.from({ length: 6 }, (_, index) => `append_${index}`);
    for (const id of ids) await warehouse.submit(id, append("more", "t"), {});
    const ends = Promise.all(ids.map((id) => warehouse.wait(id, { timeoutMs: minute })));
    let last = 0;
    do {
      const [row] = await select("SELECT COUNT(*) AS c FROM `shop.t`");
      const seen = Number(row?.["c"]);
      assert.equal(seen % 5_000, 0);
      assert.ok(seen >= last, "no reader goes back");
      last = seen;
    } while (last < 35_000 && (await Promise.race([ends, Promise.resolve(undefined)])) === undefined);
    assert.ok((await ends).every(({ state }) => state === "succeeded"));
    assert.deepEqual(await select("SELECT COUNT(*) AS c FROM `shop.t`"), [{ c: 35_000 }]);
  },
};
