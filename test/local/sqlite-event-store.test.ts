import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { put, ref } from "../../lib/core/documents.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { EventType, StoredEvent } from "../../lib/core/events.ts";
import {
  DUE_STATEMENT,
  NEXT_DUE_STATEMENT,
  openSqliteEventStore,
  partitionsStatement,
  runsStatement,
} from "../../lib/local/sqlite-event-store.ts";
import type { SqliteEventStore } from "../../lib/local/sqlite-event-store.ts";
import { historyStatement } from "../../lib/local/sqlite-history.ts";
import { log, run, testEventStore } from "../ports/event-store-conformance.ts";
import type { EventStoreHarness } from "../ports/event-store-conformance.ts";
import { testEventStoreProtocol } from "../ports/event-store-protocol.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-events-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = (): string => join(folder, `folder ${++files}`, "events.db");
const storeModule = new URL("../../lib/local/sqlite-event-store.ts", import.meta.url).href;

const openHarness = async (): Promise<EventStoreHarness> => {
  const file = newFile();
  const open = new Set<SqliteEventStore>();
  const openOne = async (): Promise<SqliteEventStore> => {
    const store = openSqliteEventStore({ file });
    open.add(store);
    return store;
  };
  const close = async (): Promise<void> => open.forEach((store) => store.close());
  return { store: await openOne(), other: openOne, reopen: () => close().then(openOne), close };
};

testEventStore("SQLite", openHarness);
testEventStoreProtocol("SQLite", openHarness);

/** Runs JavaScript in a process of its own; `store` is an event store on `file`, opened not before `openAt`. */
function child(file: string, body: string, openAt = 0) {
  const code = `import { openSqliteEventStore } from ${JSON.stringify(storeModule)};
    while (Date.now() < ${openAt});
    const store = openSqliteEventStore({ file: ${JSON.stringify(file)} });\n${body}`;
  return spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
}

test("listeners hear of stored events only, after the commit and in order, and cannot break the store", async () => {
  const errors: unknown[] = [];
  const store = openSqliteEventStore({ file: newFile(), onListenerError: (error) => errors.push(error) });
  const heard: string[] = [];
  const committed: Promise<boolean>[] = [];
  store.onEvents(() => {
    throw new Error("broken listener");
  });
  const stop = store.onEvents((events: StoredEvent[]) => {
    for (const { id } of events) {
      heard.push(id);
      committed.push(store.history({}).then(({ items }) => items.some((item) => item.id === id)));
      if (id === "1") void store.append([log("from the listener")]);
    }
    events.length = 0; // must not empty what the next listener gets
  });
  const second: StoredEvent[] = [];
  store.onEvents((events) => second.push(...events));

  await store.append([log("1"), log("2"), log("1")]);
  await store.append([log("2")]);
  await assert.rejects(
    store.transact({}, () => ({ result: 0, writes: [{ delete: ref("run", "") }], events: [log("rolled back")] })),
  );
  await store.transact({}, () => ({ result: 0, writes: [], events: [log("3")] }));
  stop();
  await store.append([log("4")]);

  assert.deepEqual(heard, ["1", "2", "from the listener", "3"]);
  assert.deepEqual(await Promise.all(committed), [true, true, true, true]);
  assert.deepEqual(second, (await store.history({ order: "oldest" })).items);
  assert.equal(errors.length, 4);
  store.close();
  store.close();
});

test("a process killed while it writes loses nothing that was acknowledged, and leaves nothing half", async () => {
  for (const killAfter of [3, 120]) {
    const file = newFile();
    const writer = child(
      file,
      `import { writeSync } from "node:fs";
       for (let n = 1; ; n++) {
         await store.transact({}, () => ({ result: 0, writes: [
           { put: { kind: "cursor", id: "left" }, value: { value: String(n), at: n } },
           { put: { kind: "cursor", id: "right" }, value: { value: "x".repeat(20_000) + n, at: n } },
         ], events: [{ v: 1, id: "e" + n, at: n, type: "log", level: "info", message: "m" }] }));
         writeSync(1, n + "\\n");
       }`,
    );
    let output = "";
    for await (const chunk of writer.stdout) {
      output += String(chunk);
      if (output.split("\n").length > killAfter) writer.kill("SIGKILL");
    }
    if (writer.exitCode === null && writer.signalCode === null) await once(writer, "exit");
    assert.equal(writer.signalCode, "SIGKILL");
    const acknowledged = Number(output.split("\n").at(-2));
    const store = openSqliteEventStore({ file });
    const left = await store.get("cursor", "left");
    const right = await store.get("cursor", "right");
    const [event] = (await store.history({ limit: 1 })).items;
    assert.ok((left?.at ?? 0) >= acknowledged, `stored ${left?.at}, acknowledged ${acknowledged}`);
    assert.equal(right?.value, "x".repeat(20_000) + left?.value);
    assert.equal(event?.id, `e${left?.value}`);
    store.close();
  }
});

test("several processes that open one new file at once and increment lose nothing", async () => {
  const file = newFile();
  const together = Date.now() + 700;
  const writers = Array.from({ length: 4 }, () =>
    child(
      file,
      `for (let n = 0; n < 100; n++) await store.transact({ c: { kind: "cursor", id: "c" } }, ({ c }) => ({ result: 0,
         writes: [{ put: { kind: "cursor", id: "c" }, value: { value: String(Number(c?.value ?? 0) + 1), at: 1 } }], events: [] }));
       store.close();`,
      together,
    ),
  );
  const exits = await Promise.all(writers.map((writer) => once(writer, "exit")));
  assert.deepEqual(
    exits.map(([code]) => code as unknown),
    [0, 0, 0, 0],
  );
  const store = openSqliteEventStore({ file });
  assert.equal((await store.get("cursor", "c"))?.value, "400");
  store.close();
});

test("processes that make the same new file at the same moment all get it", async () => {
  const file = newFile();
  const together = Date.now() + 700;
  const openers = Array.from({ length: 3 }, () =>
    child(
      file,
      `for (let n = 1; n <= 20; n++) {
         while (Date.now() < ${together} + n * 30);
         openSqliteEventStore({ file: ${JSON.stringify(file)} + n }).close();
       }`,
      together,
    ),
  );
  const exits = await Promise.all(openers.map((opener) => once(opener, "exit")));
  assert.deepEqual(
    exits.map(([code]) => code as unknown),
    [0, 0, 0],
  );
});

test("files that are not ours are refused in one clear line and left as they are", () => {
  const newer = newFile();
  openSqliteEventStore({ file: newer }).close();
  const raw = new DatabaseSync(newer);
  raw.exec("PRAGMA user_version = 99");
  raw.close();
  assert.throws(
    () => openSqliteEventStore({ file: newer }),
    isError(/schema version 99 .* knows versions up to 4; use the newer/),
  );

  const foreign = join(folder, "foreign.db");
  const other = new DatabaseSync(foreign);
  other.exec("CREATE TABLE mine (a)");
  other.close();
  assert.throws(() => openSqliteEventStore({ file: foreign }), isError(/foreign\.db is not Sluice's event store/));

  const garbage = join(folder, "garbage.db");
  writeFileSync(garbage, "PAR1 this is no database ".repeat(100));
  assert.throws(
    () => openSqliteEventStore({ file: garbage }),
    isError(/garbage\.db cannot be opened .*not a database.* move the file away/),
  );
  assert.throws(() => openSqliteEventStore({ file: join(garbage, "below", "a.db") }), PermanentError);
});

function isError(message: RegExp) {
  return (error: unknown): boolean =>
    error instanceof PermanentError &&
    error.code === "bad-store" &&
    message.test(error.message) &&
    !error.message.includes("\n");
}

test("every query shape walks an index, sorts nothing, and reads no whole table", () => {
  const file = newFile();
  openSqliteEventStore({ file }).close();
  const database = new DatabaseSync(file);
  const bad: string[] = [];
  const oneType: EventType[] = ["log"];
  const twoTypes: EventType[] = ["log", "materialized"];
  const explain = (title: string, sql: string): void => {
    const plan = database
      .prepare(`EXPLAIN QUERY PLAN ${sql}`)
      .all()
      .map(({ detail }) => String(detail));
    const tables = plan.filter((line) => /\b(doc_\w+|events)\b/.test(line));
    assert.ok(tables.length > 0, title);
    const slow = tables.filter((line) => !line.startsWith("SEARCH"));
    // A union of types sorts what its parts yield, at most a page each; the parts by themselves are explained as one type.
    const sorts = plan.filter((line) => line.includes("TEMP B-TREE"));
    if (slow.length > 0 || sorts.length > (sql.includes("UNION ALL") ? twoTypes.length : 0))
      bad.push(`${title}: ${plan.join("; ")}`);
  };
  const subsets = (full: Readonly<Record<string, string>>): Record<string, string>[] =>
    Object.entries(full).reduce<Record<string, string>[]>(
      (sets, [key, value]) => [...sets, ...sets.map((set) => ({ ...set, [key]: value }))],
      [{}],
    );

  for (const filters of subsets({ asset: "a", partition: "p", run: "r" }))
    for (const types of [undefined, oneType, twoTypes])
      for (const order of ["newest", "oldest"] as const) {
        const query = { ...filters, order, ...(types === undefined ? {} : { types }) };
        explain(`history ${JSON.stringify(query)}`, historyStatement(query, 101).sql);
        const several = { ...query, asset: ["a", "b"] };
        if (types !== twoTypes) explain(`history ${JSON.stringify(several)}`, historyStatement(several, 101).sql);
      }
  for (const filters of subsets({ kind: "asset", name: "a", partition: "p", status: "failed" })) {
    explain(`runs ${JSON.stringify(filters)}`, runsStatement(filters).sql);
  }
  explain("partitions", partitionsStatement(false));
  explain("partitions to", partitionsStatement(true));
  explain("due", DUE_STATEMENT);
  explain("next due", NEXT_DUE_STATEMENT);
  explain("get", "SELECT value FROM doc_run WHERE id = ?");
  database.close();
  assert.deepEqual(bad, []);
});

test("a rare type deep in a long history is found without reading the rest", async () => {
  const store = openSqliteEventStore({ file: newFile() });
  await store.append([{ v: 1, id: "sealed", at: 1, type: "partition.sealed", asset: "a" }]);
  await store.append(Array.from({ length: 50_000 }, (_, n) => log(`e${n}`, { asset: "a" })));
  await store.transact({}, () => ({
    result: 0,
    writes: Array.from({ length: 5_000 }, (_, n) =>
      put(ref("run", `r${n}`), run(`r${n}`, { createdAt: n, status: n === 0 ? "failed" : "succeeded" })),
    ),
    events: [],
  }));
  await store.history({ asset: "a", types: ["partition.sealed"] });
  // Of this process, so that others on the machine do not count.
  const before = process.cpuUsage();
  for (let n = 0; n < 50; n++) {
    const { items } = await store.history({ asset: "a", types: ["partition.sealed", "partition.unsealed"] });
    assert.equal(items.length, 1);
    assert.equal((await store.runs({ name: "a", status: "failed" })).items.length, 1);
  }
  const ms = process.cpuUsage(before).user / 1_000;
  // Reading all rows takes some 50 times as long.
  assert.ok(ms < 500, `${ms} ms`);
  store.close();
});
