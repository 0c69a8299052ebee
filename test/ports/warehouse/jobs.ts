/** Jobs: accepted once, run apart from their caller, stopped on demand, seen by their id. */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { column, csvLoad, minute, n, ref, type Scenario } from "./world.ts";

const one = { kind: "query", sql: "SELECT 1 AS one" } as const;
/** Runs for minutes, unless it is stopped. */
const endless = {
  kind: "query",
  sql: "SELECT COUNT(*) AS c FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b WHERE MOD(a * b, 7) = 3",
} as const;

export const jobScenarios: Readonly<Record<string, Scenario>> = {
  "an id is used once, by a job that succeeded": async ({ warehouse, run }) => {
    assert.equal((await run(one, "a")).state, "succeeded");
    assert.equal(await warehouse.submit("a", { kind: "query", sql: "SELECT 2 AS two" }, { mine: "no" }), "duplicate");
    assert.deepEqual(await Array.fromAsync(warehouse.rows("a")), [{ one: 1 }]);
    assert.deepEqual((await warehouse.inspect("a"))?.labels, {});
  },

  "an id is used once, by a job that failed": async ({ warehouse, run }) => {
    assert.equal((await run({ kind: "query", sql: "SELECT nonsense" }, "a")).state, "failed");
    assert.equal(await warehouse.submit("a", one, {}), "duplicate");
    assert.equal((await warehouse.inspect("a"))?.state, "failed");
  },

  "an id is used once, by a job that was cancelled before it ran": async ({ warehouse, holdJobs }) => {
    const release = holdJobs();
    await warehouse.submit("a", one, {});
    await warehouse.cancel("a");
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).error?.reason, "stopped");
    release();
    assert.equal(await warehouse.submit("a", one, {}), "duplicate");
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).state, "failed");
  },

  "of twenty submissions of one id at once exactly one is accepted": async ({ warehouse }) => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        warehouse.submit("a", { kind: "query", sql: `SELECT ${i} AS i` }, { i: String(i) }),
      ),
    );
    assert.equal(answers.filter((answer) => answer === "accepted").length, 1);
    const winner = answers.indexOf("accepted");
    const status = await warehouse.wait("a", { timeoutMs: minute });
    assert.deepEqual(status.labels, { i: String(winner) });
    assert.deepEqual(await Array.fromAsync(warehouse.rows("a")), [{ i: winner }]);
  },

  "thirty jobs at once all end": async ({ warehouse }) => {
    const ids = Array.from({ length: 30 }, (_, i) => `many_${i}`);
    await Promise.all(ids.map((id, i) => warehouse.submit(id, { kind: "query", sql: `SELECT ${i} AS i` }, {})));
    const ends = await Promise.all(ids.map((id) => warehouse.wait(id, { timeoutMs: minute })));
    assert.deepEqual(new Set(ends.map((end) => end.state)), new Set(["succeeded"]));
  },

  "labels are kept as they were": async ({ warehouse }) => {
    const labels = { asset: "gitcoin/passport", "sluice-run": "a'b\"c", empty: "", __proto__x: "1", ü: "日本" };
    await warehouse.submit("a", one, labels);
    assert.deepEqual((await warehouse.wait("a", { timeoutMs: minute })).labels, labels);
  },

  "a job outlives the caller that submitted and waited": async ({ warehouse, holdJobs, put, values }) => {
    const release = holdJobs();
    const gone = new AbortController();
    await warehouse.submit("a", csvLoad(await put("1\n2\n"), "orders", n), {});
    const waiting = warehouse.wait("a", { timeoutMs: minute, signal: gone.signal });
    gone.abort(new Error("the caller died"));
    await assert.rejects(waiting, /the caller died/);
    release();
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).state, "succeeded");
    assert.deepEqual(await values("orders"), [1, 2]);
  },

  "a wait whose signal is aborted before it begins throws": async ({ warehouse }) => {
    await warehouse.submit("a", one, {});
    await assert.rejects(
      warehouse.wait("a", { timeoutMs: minute, signal: AbortSignal.abort(new Error("too late")) }),
      /too late/,
    );
  },

  "a URI is read when the job runs, not when it was submitted": async ({ warehouse, holdJobs, put, values }) => {
    const uri = await put("1\n", "late.csv");
    const release = holdJobs();
    await warehouse.submit("a", csvLoad(uri, "orders", n), {});
    await put("7\n8\n", "late.csv");
    release();
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).rows, 2);
    assert.deepEqual(await values("orders"), [7, 8]);
  },

  "a request that lands after its caller died changes the table all the same": async ({
    warehouse,
    holdJobs,
    fill,
    values,
  }) => {
    await fill("staged", n, [{ n: 9 }]);
    await fill("clean", n, [{ n: 1 }]);
    const release = holdJobs();
    const onItsWay = Promise.withResolvers<void>();
    const landed = onItsWay.promise.then(() =>
      warehouse.submit("zombie", { kind: "copy", source: ref("staged"), destination: ref("clean") }, {}),
    );
    // Nobody waits for that job. Only its id can tell whether it is still to come.
    assert.equal(await warehouse.inspect("zombie"), undefined);
    onItsWay.resolve();
    await landed;
    release();
    assert.equal((await warehouse.wait("zombie", { timeoutMs: minute })).state, "succeeded");
    assert.deepEqual(await values("clean"), [9]);
  },

  "a no-op under a publish's id keeps that publish from ever happening": async ({ warehouse, fill, run, values }) => {
    await fill("staged", n, [{ n: 9 }]);
    await fill("clean", n, [{ n: 1 }]);
    assert.equal((await run(one, "pub-1")).state, "succeeded");
    assert.equal(
      await warehouse.submit("pub-1", { kind: "copy", source: ref("staged"), destination: ref("clean") }, {}),
      "duplicate",
    );
    assert.deepEqual(await values("clean"), [1]);
  },

  "a pending job that is cancelled never takes effect": async ({ warehouse, holdJobs, put, fill, values }) => {
    await fill("orders", n, [{ n: 1 }]);
    const release = holdJobs();
    await warehouse.submit("a", csvLoad(await put("5\n"), "orders", n), {});
    assert.equal((await warehouse.inspect("a"))?.state, "pending");
    await warehouse.cancel("a");
    const end = await warehouse.wait("a", { timeoutMs: minute });
    assert.equal(end.state, "failed");
    assert.equal(end.error?.reason, "stopped");
    release();
    assert.deepEqual(await values("orders"), [1]);
  },

  "a job behind many others can be cancelled before its turn": async ({ warehouse, holdJobs }) => {
    const release = holdJobs();
    for (let i = 0; i < 10; i++) await warehouse.submit(`first_${i}`, one, {});
    await warehouse.submit("last", one, {});
    await warehouse.cancel("last");
    assert.equal((await warehouse.wait("last", { timeoutMs: minute })).error?.reason, "stopped");
    release();
    for (let i = 0; i < 10; i++)
      assert.equal((await warehouse.wait(`first_${i}`, { timeoutMs: minute })).state, "succeeded");
  },

  "a running job that is cancelled stops": async ({ warehouse, select }) => {
    await warehouse.submit("a", endless, {});
    while ((await warehouse.inspect("a"))?.state === "pending") await pause(5);
    assert.equal((await warehouse.inspect("a"))?.state, "running");
    await warehouse.cancel("a");
    const end = await warehouse.wait("a", { timeoutMs: 240_000 });
    assert.equal(end.state, "failed");
    assert.equal(end.error?.reason, "stopped");
    assert.deepEqual(await select("SELECT 1 AS fine"), [{ fine: 1 }]);
  },

  "cancelling a job that ended or never was changes nothing": async ({ warehouse, run }) => {
    await run(one, "a");
    await warehouse.cancel("a");
    await warehouse.cancel("nobody");
    assert.equal((await warehouse.inspect("a"))?.state, "succeeded");
    assert.equal(await warehouse.inspect("nobody"), undefined);
    assert.equal(await warehouse.submit("nobody", one, {}), "accepted");
    assert.equal((await warehouse.wait("nobody", { timeoutMs: minute })).state, "succeeded");
  },

  "a load that is cancelled at any moment is all there or not at all": async ({ warehouse, put, fill, values }) => {
    const uri = await put(Array.from({ length: 50_000 }, (_, i) => `${i}\n`).join(""));
    for (let delay = 0; delay < 40; delay += 8) {
      await fill("orders", n, [{ n: -1 }]);
      const id = `cut_${delay}`;
      await warehouse.submit(id, csvLoad(uri, "orders", n), {});
      await pause(delay);
      await warehouse.cancel(id);
      const end = await warehouse.wait(id, { timeoutMs: minute });
      const rows = await values("orders", "COUNT(*)");
      assert.deepEqual(rows, [end.state === "succeeded" ? 50_000 : 1], `cancelled after ${delay} ms: ${end.state}`);
      if (end.state === "failed") assert.equal(end.error?.reason, "stopped");
    }
  },

  "a wait that is too short gives the status as it is": async ({ warehouse, holdJobs }) => {
    const release = holdJobs();
    await warehouse.submit("a", one, { k: "v" });
    // The job is held: whoever waited for its end would wait for ever.
    assert.deepEqual(await warehouse.wait("a", { timeoutMs: 30 }), {
      jobId: "a",
      state: "pending",
      labels: { k: "v" },
    });
    release();
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).state, "succeeded");
  },

  "waiting for an unknown id throws": async ({ warehouse }) => {
    await assert.rejects(warehouse.wait("nobody", { timeoutMs: 0 }), { name: "PermanentError", code: "not-found" });
    assert.equal(await warehouse.inspect("nobody"), undefined);
  },

  "many may wait for one job": async ({ warehouse, holdJobs }) => {
    const release = holdJobs();
    await warehouse.submit("a", one, {});
    const waiting = Promise.all(Array.from({ length: 10 }, () => warehouse.wait("a", { timeoutMs: minute })));
    release();
    assert.deepEqual(new Set((await waiting).map((status) => status.state)), new Set(["succeeded"]));
  },

  "a failed job leaves the table as it was": async ({ warehouse, fill, put, fail, values }) => {
    await fill("orders", n, [{ n: 1 }, { n: 2 }]);
    const before = await warehouse.describe(ref("orders"));
    await fail(csvLoad(await put("5\nsix\n"), "orders", n), "invalid", "six", "line 2");
    await fail({ kind: "copy", source: ref("nothing"), destination: ref("orders") }, "notFound", "shop.nothing");
    assert.deepEqual(await warehouse.describe(ref("orders")), before);
    assert.deepEqual(await values("orders"), [1, 2]);
  },

  "an illegal dataset or table name is refused, and uses up no id": async ({ warehouse, put }) => {
    const uri = await put("1\n");
    for (const table of ['x"; DROP SCHEMA shop; --', "", "a b", "a.b", "1st", "naïve"]) {
      const spec = {
        kind: "load",
        uris: [uri],
        format: "CSV",
        schema: n,
        destination: { dataset: "shop", table },
      } as const;
      await assert.rejects(warehouse.submit("a", spec, {}), /not a legal name/, table);
      await assert.rejects(
        warehouse.submit("a", { ...spec, destination: { dataset: table, table: "t" } }, {}),
        /not a legal name/,
        table,
      );
    }
    assert.equal(await warehouse.submit("a", csvLoad(uri, "t", [column("n", "INT64")]), {}), "accepted");
    assert.equal((await warehouse.wait("a", { timeoutMs: minute })).state, "succeeded");
  },
};
