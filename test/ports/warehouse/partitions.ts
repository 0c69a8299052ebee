/** Partitions: one is replaced or dropped, all others stay. */
import assert from "node:assert/strict";
import { column, minute, n, ref, type Scenario, type World } from "./world.ts";

const dated = [column("day", "DATE"), column("n", "INT64")];
const byDay = { type: "DAY", column: "day" } as const;

async function publish(world: World, rows: readonly object[], partition: string, more: object = {}): Promise<void> {
  const staged = world.fresh("staged");
  await world.fill(staged, dated, rows);
  await world.succeed({
    kind: "copy",
    source: ref(staged),
    destination: { ...ref("days"), partition },
    partitioning: byDay,
    ...more,
  });
}

const days = (world: World): Promise<readonly object[]> =>
  world.select("SELECT CAST(day AS STRING) AS day, n FROM `shop.days` ORDER BY day, n");

export const partitionScenarios: Readonly<Record<string, Scenario>> = {
  "replacing one partition leaves the others": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await publish(
      world,
      [
        { day: "2024-05-03", n: 3 },
        { day: "2024-05-03", n: 4 },
      ],
      "20240503",
    );
    await publish(world, [{ day: "2024-05-02", n: 2 }], "20240502");
    await publish(world, [{ day: "2024-05-03", n: 5 }], "20240503");
    assert.deepEqual(await days(world), [
      { day: "2024-05-01", n: 1 },
      { day: "2024-05-02", n: 2 },
      { day: "2024-05-03", n: 5 },
    ]);
    const info = await world.warehouse.describe(ref("days"));
    assert.equal(info?.rows, 3);
    assert.deepEqual(info.partitioning, byDay);
  },

  "a partition can be replaced by no rows": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await publish(world, [{ day: "2024-05-02", n: 2 }], "20240502");
    await publish(world, [], "20240501");
    assert.deepEqual(await days(world), [{ day: "2024-05-02", n: 2 }]);
  },

  "rows outside of the partition, or without a date, are refused": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    for (const day of ["2024-05-02", "2024-04-30", null]) {
      await world.fill("stray", dated, [
        { day: "2024-05-01", n: 8 },
        { day, n: 9 },
      ]);
      await world.fail(
        { kind: "copy", source: ref("stray"), destination: { ...ref("days"), partition: "20240501" } },
        "invalid",
        "1 rows",
        "days$20240501",
      );
    }
    assert.deepEqual(await days(world), [{ day: "2024-05-01", n: 1 }]);
  },

  "hour, day and month windows have exact edges in UTC": async ({ fill, succeed, fail, values }) => {
    const schema = [column("at", "TIMESTAMP"), column("n", "INT64")];
    const cases = [
      {
        type: "HOUR",
        partition: "2024022923",
        inside: ["2024-02-29T23:00:00Z", "2024-02-29T23:59:59.999999Z"],
        outside: ["2024-02-29T22:59:59.999999Z", "2024-03-01T00:00:00Z"],
      },
      {
        type: "DAY",
        partition: "20241231",
        inside: ["2024-12-31T00:00:00Z", "2024-12-31T23:59:59.999999Z", "2025-01-01T01:00:00+02:00"],
        outside: ["2025-01-01T00:00:00Z"],
      },
      {
        type: "MONTH",
        partition: "202412",
        inside: ["2024-12-01T00:00:00Z", "2024-12-31T23:59:59.999999Z"],
        outside: ["2024-11-30T23:59:59.999999Z", "2025-01-01T00:00:00Z"],
      },
    ] as const;
    for (const { type, partition, inside, outside } of cases) {
      const partitioning = { type, column: "at" };
      const destination = { ...ref(`by_${type}`), partition };
      await fill(
        "staged",
        schema,
        inside.map((at, i) => ({ at, n: i })),
      );
      await succeed({ kind: "copy", source: ref("staged"), destination, partitioning });
      assert.equal((await values(`by_${type}`)).length, inside.length);
      for (const at of outside) {
        await fill("staged", schema, [{ at, n: 0 }]);
        await fail({ kind: "copy", source: ref("staged"), destination, partitioning }, "invalid");
      }
    }
  },

  "a decorator that is no partition of the table is refused": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await world.fill("staged", dated, []);
    for (const partition of ["20240230", "202405", "2024050100", "2024-05-01", "", "20241301", "x'; --"]) {
      await world.fail(
        { kind: "copy", source: ref("staged"), destination: { ...ref("days"), partition } },
        "invalid",
        "YYYYMMDD",
      );
    }
    assert.deepEqual(await days(world), [{ day: "2024-05-01", n: 1 }]);
  },

  "a partition of a table that has none is refused, and so is one without a table or partitioning": async ({
    fill,
    fail,
  }) => {
    await fill("staged", n, [{ n: 1 }]);
    await fill("plain", n, [{ n: 1 }]);
    await fail(
      { kind: "copy", source: ref("staged"), destination: { ...ref("plain"), partition: "20240501" } },
      "invalid",
      "not partitioned",
    );
    await fail(
      { kind: "copy", source: ref("staged"), destination: { ...ref("missing"), partition: "20240501" } },
      "invalid",
      "not partitioned",
    );
  },

  "ingestion time: the decorator alone chooses": async ({ warehouse, fill, succeed, select }) => {
    const partitioning = { type: "DAY" } as const;
    for (const [k, day] of ["20240501", "20240502", "20240501"].entries()) {
      await fill("staged", n, [{ n: k }], { partitioning, partition: day });
      await succeed({
        kind: "copy",
        source: ref("staged"),
        destination: { ...ref("seen"), partition: day },
        partitioning,
      });
    }
    assert.deepEqual(await select("SELECT n, _PARTITIONTIME AS `at` FROM `shop.seen` ORDER BY n"), [
      { n: 1, at: "2024-05-02T00:00:00Z" },
      { n: 2, at: "2024-05-01T00:00:00Z" },
    ]);
    assert.deepEqual((await warehouse.describe(ref("seen")))?.schema, n);
    assert.deepEqual((await warehouse.describe(ref("seen")))?.partitioning, partitioning);
  },

  "a source without partitions fills a partition by ingestion time": async ({ fill, succeed, select }) => {
    await fill("staged", n, [{ n: 1 }]);
    await succeed({
      kind: "copy",
      source: ref("staged"),
      destination: { ...ref("seen"), partition: "202405" },
      partitioning: { type: "MONTH" },
    });
    assert.deepEqual(await select("SELECT n, _PARTITIONTIME AS `at` FROM `shop.seen`"), [
      { n: 1, at: "2024-05-01T00:00:00Z" },
    ]);
  },

  "a whole copy keeps partitions, and they can be replaced one by one after it": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await publish(world, [{ day: "2024-05-02", n: 2 }], "20240502");
    await world.succeed({ kind: "copy", source: ref("days"), destination: ref("backup") });
    await publish(world, [{ day: "2024-05-01", n: 9 }], "20240501");
    assert.deepEqual(await world.values("backup"), [1, 2]);
    assert.deepEqual((await world.warehouse.describe(ref("backup")))?.partitioning, byDay);
    await world.succeed({ kind: "copy", source: ref("backup"), destination: ref("days") });
    await publish(world, [{ day: "2024-05-02", n: 7 }], "20240502");
    assert.deepEqual(await world.values("days"), [1, 7]);
    assert.deepEqual(await world.values("backup"), [1, 2]);
  },

  "a copy cannot change a table's partitioning": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await world.fill("staged", dated, [{ day: "2024-05-01", n: 2 }]);
    const destination = { ...ref("days"), partition: "20240501" };
    await world.fail(
      { kind: "copy", source: ref("staged"), destination, partitioning: { type: "DAY" } },
      "invalid",
      "partitioned",
    );
    assert.deepEqual(await world.values("days"), [1]);
  },

  "schemas that do not fit are refused": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    const destination = { ...ref("days"), partition: "20240501" };
    await world.fill("more", [...dated, column("extra", "STRING")], [{ day: "2024-05-01", n: 1, extra: "x" }]);
    await world.fail({ kind: "copy", source: ref("more"), destination }, "invalid", "extra");
    await world.fill("other", [column("day", "DATE"), column("n", "STRING")], [{ day: "2024-05-01", n: "1" }]);
    await world.fail({ kind: "copy", source: ref("other"), destination }, "invalid", '"n"', "INT64", "STRING");
    await world.fill(
      "strict",
      [column("day", "DATE"), column("n", "INT64", "REQUIRED")],
      [{ day: "2024-06-01", n: 1 }],
    );
    await world.succeed({
      kind: "copy",
      source: ref("strict"),
      destination: { ...ref("sure"), partition: "20240601" },
      partitioning: byDay,
    });
    await world.fill("loose", dated, [{ day: "2024-06-01", n: 1 }]);
    await world.fail(
      { kind: "copy", source: ref("loose"), destination: { ...ref("sure"), partition: "20240601" } },
      "invalid",
      "required",
    );
    assert.deepEqual(await world.values("days"), [1]);
  },

  "a nullable column that the source lacks is null, by name and not by place": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    const { etag } = (await world.warehouse.describe(ref("days"))) ?? assert.fail();
    await world.warehouse.extend(ref("days"), [column("note", "STRING"), column("tags", "STRING", "REPEATED")], etag);
    await world.fill("turned", [column("N", "INT64"), column("day", "DATE")], [{ N: 2, day: "2024-05-02" }]);
    await world.succeed({
      kind: "copy",
      source: ref("turned"),
      destination: { ...ref("days"), partition: "20240502" },
    });
    assert.deepEqual(await world.select("SELECT n, note, tags FROM `shop.days` ORDER BY n"), [
      { n: 1, note: null, tags: [] },
      { n: 2, note: null, tags: [] },
    ]);
  },

  "dropping a partition leaves the others": async (world) => {
    await publish(world, [{ day: "2024-05-01", n: 1 }], "20240501");
    await publish(world, [{ day: "2024-05-02", n: 2 }], "20240502");
    await world.succeed({ kind: "copy", source: ref("days"), destination: ref("backup") });
    const before = await world.warehouse.describe(ref("days"));
    assert.equal(await world.warehouse.drop({ ...ref("days"), partition: "20240501" }), true);
    assert.equal(await world.warehouse.drop({ ...ref("days"), partition: "20240501" }), false);
    assert.deepEqual(await world.values("days"), [2]);
    assert.deepEqual(await world.values("backup"), [1, 2]);
    assert.notEqual((await world.warehouse.describe(ref("days")))?.etag, before?.etag);
  },

  "twelve partitions published at once are all there": async (world) => {
    const months = Array.from({ length: 12 }, (_, i) => String(i + 1).padStart(2, "0"));
    for (const month of months)
      await world.fill(`staged_${month}`, dated, [{ day: `2024-${month}-15`, n: Number(month) }]);
    const partitioning = { type: "MONTH", column: "day" } as const;
    await Promise.all(
      months.map((month) =>
        world.warehouse.submit(
          `pub_${month}`,
          {
            kind: "copy",
            source: ref(`staged_${month}`),
            destination: { ...ref("year"), partition: `2024${month}` },
            partitioning,
          },
          {},
        ),
      ),
    );
    for (const month of months) {
      const end = await world.warehouse.wait(`pub_${month}`, { timeoutMs: minute });
      assert.equal(end.state, "succeeded", JSON.stringify(end.error));
    }
    assert.deepEqual(await world.values("year"), months.map(Number));
  },

  "a reader never sees half a partition": async (world) => {
    const rows = (k: number): object[] => Array.from({ length: 2000 }, () => ({ day: "2024-05-01", n: k }));
    await world.fill("s0", dated, rows(0));
    await world.fill("s1", dated, rows(1));
    await publish(world, rows(0), "20240501");
    let done = false;
    const writer = async (): Promise<void> => {
      try {
        for (let k = 1; k < 16; k++) {
          await world.succeed({
            kind: "copy",
            source: ref(`s${k % 2}`),
            destination: { ...ref("days"), partition: "20240501" },
          });
        }
      } finally {
        done = true;
      }
    };
    const reader = async (): Promise<void> => {
      while (!done) {
        const [seen] = await world.select("SELECT COUNT(*) AS c, COUNT(DISTINCT n) AS kinds FROM `shop.days`");
        assert.deepEqual(seen, { c: 2000, kinds: 1 });
      }
    };
    await Promise.all([writer(), reader()]);
  },

  "a load refuses a partitioning that its columns do not allow": async ({ put, fail }) => {
    const load = {
      kind: "load",
      uris: [await put('{"n": 1}\n')],
      format: "NEWLINE_DELIMITED_JSON",
      schema: n,
      destination: ref("t"),
    } as const;
    await fail({ ...load, partitioning: { type: "DAY", column: "day" } }, "invalid", "day");
    await fail({ ...load, partitioning: { type: "DAY", column: "n" } }, "invalid", "INT64");
    await fail({ ...load, partitioning: { type: "DAY", column: "n" }, partition: "20240501" }, "invalid", "partition");
    await fail({ ...load, partitioning: { type: "DAY" }, partition: "20240230" }, "invalid", "20240230");
  },
};
