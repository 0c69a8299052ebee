import assert from "node:assert/strict";
import { test } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { memoryLimiter } from "../../../lib/local/duckdb/memory.ts";
import { openSession } from "../../../lib/local/duckdb/session.ts";
import type { Link, Row, Session } from "../../../lib/local/duckdb/session.ts";

const MIB = 1024 ** 2;

function recorded(fails?: (bytes: number | undefined) => boolean) {
  const limits: (number | undefined)[] = [];
  const limiter = memoryLimiter((bytes) => {
    limits.push(bytes);
    return fails?.(bytes) === true ? Promise.reject(new Error("could not free up enough memory")) : Promise.resolve();
  });
  return { limits, limiter };
}

test("the limit is low only while every task at work is sparing", async () => {
  const { limits, limiter } = recorded();
  await limiter.tasks(1);
  assert.deepEqual(limits, []);
  await limiter.sparing(40, async () => {
    assert.deepEqual(limits, [40]);
    await limiter.tasks(2);
    assert.deepEqual(limits, [40, undefined], "another task begins with the full memory");
    await limiter.tasks(1);
    assert.deepEqual(limits, [40, undefined, 40]);
    await limiter.tasks(2);
    await limiter.sparing(50, async () => assert.deepEqual(limits.slice(3), [undefined, 90]));
    await limiter.tasks(1);
  });
  await limiter.tasks(0);
  assert.equal(limits.at(-1), undefined);
});

test("statements that need more get the full memory, from the first one on, and only they", async () => {
  const { limits, limiter } = recorded();
  await limiter.tasks(1);
  const seen: (number | undefined)[] = [];
  const result = await limiter.sparing(40, async () => {
    seen.push(limits.at(-1));
    if (seen.length === 1) throw new Error("Out of Memory Error: failed to allocate data of size 2.0 MiB");
    return "done";
  });
  assert.equal(result, "done");
  assert.deepEqual(seen, [40, undefined]);
  let runs = 0;
  const other = limiter.sparing(40, () => {
    runs++;
    return Promise.reject(new Error("Conversion Error: no"));
  });
  await assert.rejects(other, /Conversion Error/);
  assert.equal(runs, 1);
  assert.equal(limits.at(-1), undefined);
  await limiter.sparing(300 * MIB, async () => assert.equal(limits.at(-1), undefined, "that is not sparing"));
});

test("a limit that cannot be lowered hinders nothing", async () => {
  const { limits, limiter } = recorded((bytes) => bytes !== undefined);
  await limiter.tasks(1);
  assert.equal(await limiter.sparing(40, () => Promise.resolve(7)), 7);
  assert.deepEqual(limits, [40, undefined]);
});

test("DuckDB has the low limit during the statements, and its own again after them and beside another task", async () => {
  const home = await mkdtemp(join(tmpdir(), "sluice-memory-"));
  const session = await openSession({ file: join(home, "w.duckdb"), memoryLimit: "1GiB" });
  try {
    const full = { limit: "1.0 GiB", ordered: true };
    assert.deepEqual(await settings(session), full);
    await session.use((link) =>
      session.sparing(40 * MIB, async () => {
        assert.deepEqual((await link.run(SETTINGS))[0], { limit: "40.0 MiB", ordered: false });
        assert.deepEqual(await settings(session), full);
        assert.deepEqual((await link.run(SETTINGS))[0], { limit: "40.0 MiB", ordered: false });
        await link.run("CREATE OR REPLACE TABLE main.t AS SELECT range AS i FROM range(1000)");
      }),
    );
    assert.deepEqual(await settings(session), full);
    // More than 40 MiB can hold: the statement is run again.
    const hungry = "SELECT len(list(i ORDER BY i)) AS n FROM (SELECT range AS i FROM range(9000000))";
    let runs = 0;
    const count = (link: Link): Promise<readonly Row[]> => {
      runs++;
      return link.run(hungry);
    };
    const [row] = await session.use((link) => session.sparing(40 * MIB, () => count(link)));
    assert.deepEqual({ n: row?.["n"], runs }, { n: 9_000_000n, runs: 2 });
  } finally {
    session.close();
    await rm(home, { recursive: true });
  }
});

const SETTINGS = `
  SELECT current_setting('memory_limit') AS "limit", current_setting('preserve_insertion_order') AS ordered`;

async function settings(session: Session): Promise<unknown> {
  return await session.use(async (link) => (await link.run(SETTINGS))[0]);
}
