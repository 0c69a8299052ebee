/**
 * `kill -9` at twenty random moments of a month's import, each followed by a restart: nothing is lost, nothing is there twice.
 * `npm run kills -- --rounds 1000` plays more of them, over as many more versions of the files.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execPath } from "node:process";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { localPlatform } from "../support/local-platform.ts";
import * as month from "../support/month.ts";
import { openDuck } from "../support/parquet.ts";

const KILLS = Number(process.env["SLUICE_KILLS"] ?? 20);
assert.ok(Number.isInteger(KILLS) && KILLS >= 20, "SLUICE_KILLS: a whole number, at least 20");
const CHILD = join(import.meta.dirname, "../support/month-process.ts");
const DAYS = Array.from({ length: 30 }, (_, i) => new Date(Date.UTC(2024, 3, i + 1)).toISOString().slice(0, 10));

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

test(`${KILLS} kills during an import`, { timeout: 600_000 + KILLS * 30_000 }, async (t) => {
  const seed = Number(process.env["SLUICE_SEED"] ?? Date.now() % 1_000_000);
  t.diagnostic(`seed ${seed}: SLUICE_SEED=${seed} repeats it`);
  const random = seeded(seed);
  const home = mkdtempSync(join(tmpdir(), "sluice-kill-"));
  const duck = await openDuck();
  try {
    // What is going to be dropped, in this order: every day of both assets, and some of them later in other versions; four a round.
    const first = DAYS.flatMap((day) => [`every/${day}`, `newest/${day}`]);
    const names = shuffled(first, random);
    while (names.length < 4 * KILLS) {
      const again = first[Math.floor(random() * first.length)] ?? "";
      // Between those of others, never before its own.
      const after = names.lastIndexOf(again);
      names.splice(after + 1 + Math.floor(random() * (names.length - after)), 0, again);
    }
    const versions = new Map<string, number>();
    const order = names.map((name) => {
      const version = (versions.get(name) ?? 0) + 1;
      versions.set(name, version);
      return { name, version };
    });
    const bytes = await Promise.all(
      order.map(({ name, version }) =>
        duck.file(
          `SELECT DATE '${name.slice(-10)}' AS day, ${version} AS version, i::INT AS i FROM range(${100 * (version % 5) + Number(name.slice(-2))}) AS t(i)`,
        ),
      ),
    );
    let dropped = 0;
    const drop = (): void => {
      const next = order[dropped];
      if (next === undefined) return;
      const path = join(home, "buckets/month", `${next.name}.parquet`);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(join(dirname(path), ".half"), bytes[dropped] ?? "");
      renameSync(join(dirname(path), ".half"), path);
      dropped += 1;
    };

    const perRound = Math.ceil(order.length / KILLS);
    const ready: number[] = [];
    const beganAll = Date.now();
    for (let round = 1; round <= KILLS; round++) {
      // Some files come while nothing runs.
      for (let i = 0; i < perRound; i++) if (random() < 0.3) drop();
      const child = spawn(execPath, [CHILD, home], { stdio: ["ignore", "pipe", "pipe"] });
      let errors = "";
      let killed = false;
      child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
      const lines = createInterface({ input: child.stdout });
      const isReady = new Promise<void>((resolve) => {
        lines.on("line", (line) => {
          const [, ms] = /^ready (\d+)$/.exec(line) ?? [];
          if (ms === undefined) return;
          ready.push(Number(ms));
          resolve();
        });
      });
      const isAtWork = new Promise<void>((resolve) => {
        lines.on("line", (line) => line === "run" && resolve());
      });
      const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
      void ended.then(() => assert.ok(killed, `the process ended by itself: ${errors}`));
      // A fifth of the kills hit a start, the others the work: at any moment, or of a run that has begun.
      const starting = round % 5 === 0;
      if (!starting) await Promise.race([isReady, ended]);
      // In a burst, so that a kill finds several runs at various steps.
      while (dropped < Math.min(order.length, perRound * round)) drop();
      const inRun = round % 5 === 1;
      if (inRun) await Promise.race([isAtWork, ended, sleep(60_000, undefined, { ref: false })]);
      await sleep(starting ? random() * 700 : inRun ? random() * 60 : 80 + random() * 500);
      killed = true;
      child.kill("SIGKILL");
      await ended;
      if (round % 100 === 0) t.diagnostic(`${round} rounds, ${dropped} files, ${Date.now() - beganAll} ms`);
    }
    t.diagnostic(`a round takes ${Math.round((Date.now() - beganAll) / KILLS)} ms`);
    while (dropped < order.length) drop();
    assert.ok(ready.length >= KILLS / 2, `only ${ready.length} starts got as far as being ready`);
    t.diagnostic(`ready after ${Math.min(...ready)} to ${Math.max(...ready)} ms`);

    const began = Date.now();
    await using platform = await localPlatform({ home, exports: month, watch: true });
    await sleep(300); // the last drops settle
    await platform.watcher?.rescan();
    await platform.quiet(20_000 + KILLS * 100);
    t.diagnostic(`all settled ${Date.now() - began} ms after the last start`);

    const again = (await platform.eventsOf("run.started")).filter(({ attempt }) => attempt > 1);
    t.diagnostic(`${again.length} runs were taken up again`);
    assert.ok(again.length > 0, "no kill hit a run");

    const folder = join(home, "buckets/month");
    const columns = "CAST(day AS STRING) AS day, version, CAST(COUNT(*) AS INT) AS n, CAST(SUM(i) AS INT) AS s";
    const everyFile = await duck.query(
      `SELECT ${columns} FROM read_parquet('${folder}/every/*.parquet') GROUP BY day, version ORDER BY day`,
    );
    assert.equal(everyFile.length, DAYS.length);
    assert.deepEqual(
      await platform.rows(`SELECT ${columns} FROM month.every GROUP BY day, version ORDER BY day`),
      everyFile,
    );
    assert.deepEqual(
      await platform.rows(`SELECT ${columns} FROM month.newest GROUP BY day, version`),
      await duck.query(
        `SELECT ${columns} FROM read_parquet('${folder}/newest/${DAYS.at(-1)}.parquet') GROUP BY day, version`,
      ),
    );

    const materialized = await platform.eventsOf("materialized");
    const generations = materialized.map(({ inputs }) => inputs.map((i) => `${i.name}#${i.generation}`).join());
    assert.equal(new Set(generations).size, generations.length, "a generation was loaded twice");
    for (const asset of ["month/every", "month/newest"]) {
      for (const day of DAYS) {
        const own = materialized.filter((event) => event.asset === asset && event.partition === day);
        const document = await platform.events.get("partition", `${asset}|${day}`);
        assert.equal(document?.head?.materializationId, own.at(-1)?.materializationId, `the head of ${asset} ${day}`);
        const most = versions.get(`every/${day}`) ?? 0;
        if (asset === "month/every") assert.ok(own.length >= 1 && own.length <= most, `${own.length} of ${day}`);
        const stat = await platform.objects.stat("month", `${asset.slice(6)}/${day}.parquet`);
        const handled = document?.head?.inputs[0]?.generation === stat?.generation;
        const late = document?.superseded?.inputs[0]?.generation === stat?.generation;
        assert.ok(asset === "month/every" ? handled : handled || late, `${asset} ${day} is not at its last generation`);
      }
    }
    const shown = materialized.filter(({ asset }) => asset === "month/newest").map(({ partition }) => partition ?? "");
    assert.deepEqual(shown, [...shown].sort(), "the overwritten table went back in time");
    // The warehouse's job of a dead process may land after its successor has tidied up: what it leaves expires by itself.
    const leftovers = await platform.leftovers();
    for (const leftover of leftovers) {
      const [, dataset = "", table = ""] = /^staging table (\w+)\.(\w+)$/.exec(leftover) ?? [];
      const info = await platform.warehouse.describe({ dataset, table });
      assert.ok(info?.expiresAt !== undefined, `left over: ${leftovers.join("; ")}`);
    }
    t.diagnostic(`${leftovers.length} staging tables will expire`);
    const failed = (await platform.history("run.failed")).map((event) => JSON.stringify(event));
    assert.deepEqual(failed, []);
    assert.deepEqual(platform.complaints, []);
    await platform.shut();

    // Row by row, without anything of the platform: the warehouse's own file against the files that were dropped.
    const buckets = join(home, "buckets/month");
    await duck.query(`ATTACH '${join(home, "warehouse.duckdb")}' AS _sluice_warehouse (READ_ONLY)`);
    for (const [table, files] of [
      ["every", "*"],
      ["newest", DAYS.at(-1)],
    ] as const) {
      const [loaded, given] = [
        `SELECT day, version, i FROM _sluice_warehouse.month.${table}`,
        `SELECT day, version, i FROM read_parquet('${buckets}/${table}/${files}.parquet')`,
      ];
      for (const [one, other] of [
        [loaded, given],
        [given, loaded],
      ])
        assert.deepEqual(await duck.query(`(${one}) EXCEPT ALL (${other}) LIMIT 3`), [], table);
      const [{ n } = {}] = await duck.query(`SELECT COUNT(*)::INT AS n FROM (${given})`);
      t.diagnostic(`${String(n)} rows of month.${table} are those of the files`);
    }
  } finally {
    duck.close();
    rmSync(home, { recursive: true, force: true });
  }
});
