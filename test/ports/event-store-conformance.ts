/** What every event store must do. An adapter's own test hands in how to open one. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { put, ref } from "../../lib/core/documents.ts";
import { pauseRefs, resume } from "../../lib/core/pause.ts";
import type { BackfillDocument, PartitionDocument, RunDocument, RunStatus } from "../../lib/core/documents.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { EventType, SluiceEvent, StoredEvent } from "../../lib/core/events.ts";
import type { EventStore, HistoryQuery, Page } from "../../lib/ports/event-store.ts";

export interface EventStoreHarness {
  readonly store: EventStore;
  /** Another store on the same data, as another process has it. */
  other(): Promise<EventStore>;
  /** Closes everything, and opens the same data again. */
  reopen(): Promise<EventStore>;
  close(): Promise<void>;
}

/** Where a store must differ, each with its reason. */
export interface EventStoreDeviations {
  /** The positions of commits that overlap need not be in the order in which they became visible. */
  readonly overlapping?: string;
  /** How many increments contend for one document, where 1,000 of them take minutes. */
  readonly contention?: { readonly increments: number; readonly reason: string };
}

export function testEventStore(
  name: string,
  open: () => Promise<EventStoreHarness>,
  { overlapping, contention = { increments: 1_000, reason: "" } }: EventStoreDeviations = {},
): void {
  const check = (
    title: string,
    body: (store: EventStore, harness: EventStoreHarness) => Promise<void>,
    deviation?: string,
  ): void => {
    const skip = deviation === undefined ? {} : { skip: `declared deviation: ${deviation}` };
    test(title, skip, async () => {
      const harness = await open();
      try {
        await body(harness.store, harness);
      } finally {
        await harness.close();
      }
    });
  };

  describe(`event store: ${name}`, () => {
    check("refs without a document read as undefined", async (store) => {
      const read = await store.transact({ run: ref("run", "none"), slot: ref("slot", "none") }, (documents) => ({
        result: documents,
        writes: [],
        events: [],
      }));
      assert.deepEqual(read, { run: undefined, slot: undefined });
      assert.equal(await store.get("cursor", "none"), undefined);
    });

    check("a decision's writes and events are stored together and read back equal", async (store) => {
      const value = run("r1", { partition: "2024-05-01" });
      const result = await store.transact({ run: ref("run", "r1") }, () => ({
        result: "done",
        writes: [put(ref("run", "r1"), value), put(ref("cursor", "c"), { value: "1", at: 1 })],
        events: [log("e1"), log("e2")],
      }));
      assert.equal(result, "done");
      assert.deepEqual(await store.get("run", "r1"), value);
      assert.deepEqual(await store.get("cursor", "c"), { value: "1", at: 1 });
      assert.deepEqual(ids((await store.history({ order: "oldest" })).items), ["e1", "e2"]);
    });

    check("a pause is a document of its own, and what is due after it is known by its asset", async (store) => {
      const { pause, due } = pauseRefs("a/b");
      const paused = { asset: "a/b", at: 5, reason: "why" };
      await store.transact({ pause }, () => ({ result: 0, writes: [put(pause, paused)], events: [] }));
      assert.deepEqual(await store.get("pause", "a/b"), paused);
      await store.transact(pauseRefs("a/b"), (state) => resume(state, { asset: "a/b", now: 10, id: "1" }));
      assert.equal(await store.get("pause", "a/b"), undefined);
      const [left, ...others] = await store.due({ now: 10, limit: 5 });
      assert.deepEqual([left?.resume, left?.runId, others], [{ asset: "a/b" }, due.id, []]);
    });

    check("a backfill is a document of its own, and its deadline one of all", async (store) => {
      const id = "00112233aabbccdd";
      const value: BackfillDocument = {
        id,
        asset: "a/b",
        from: "2024-05-01",
        to: "2024-05-31",
        total: 31,
        which: "missing",
        maxConcurrent: 2,
        status: "running",
        next: 2,
        underWay: [{ partition: "2024-05-02", askedAt: 5 }],
        counts: { passedOver: 0, succeeded: 1, skipped: 0, failed: 0 },
        failures: [],
        revision: 3,
        createdAt: 1,
        since: { at: 1, ended: 0 },
        updatedAt: 5,
      };
      const due = { shard: 1, dueAt: 10, runId: id, backfill: true as const };
      await store.transact({ backfill: ref("backfill", id) }, () => ({
        result: 0,
        writes: [put(ref("backfill", id), value), put(ref("due", id), due)],
        events: [],
      }));
      assert.deepEqual(await store.get("backfill", id), value);
      assert.deepEqual(await store.due({ now: 10, limit: 5 }), [due]);
      assert.equal(await store.get("run", id), undefined);
    });

    check("a decide that throws stores nothing, and its own error comes back", async (store) => {
      await store.transact({}, () => ({
        result: 0,
        writes: [put(ref("cursor", "c"), { value: "old", at: 1 })],
        events: [],
      }));
      const error = new PermanentError("no");
      const failing = store.transact({ c: ref("cursor", "c") }, () => {
        throw error;
      });
      await assert.rejects(failing, (thrown) => thrown === error);
      assert.deepEqual(await store.get("cursor", "c"), { value: "old", at: 1 });
    });

    check("a decision with one write that cannot be stored stores none of it", async (store) => {
      const half = store.transact({}, () => ({
        result: 0,
        writes: [
          put(ref("cursor", "good"), { value: "1", at: 1 }),
          put(ref("cursor", "x".repeat(1_501)), { value: "1", at: 1 }),
        ],
        events: [log("half")],
      }));
      await assert.rejects(half, PermanentError);
      assert.equal(await store.get("cursor", "good"), undefined);
      assert.deepEqual((await store.history({})).items, []);
      await increment(store, "after"); // and the store goes on
    });

    check("what decide does to its input has no effect", async (store) => {
      await store.transact({}, () => ({
        result: 0,
        writes: [put(ref("cursor", "c"), { value: "1", at: 1 })],
        events: [],
      }));
      await store.transact({ c: ref("cursor", "c") }, ({ c }) => {
        Object.assign(c ?? {}, { value: "spoiled" });
        return { result: 0, writes: [], events: [] };
      });
      assert.deepEqual(await store.get("cursor", "c"), { value: "1", at: 1 });
    });

    check("delete removes, twice without harm; the last write to a document wins", async (store) => {
      const c = ref("cursor", "c");
      await store.transact({}, () => ({
        result: 0,
        writes: [put(c, { value: "1", at: 1 }), put(c, { value: "2", at: 2 })],
        events: [],
      }));
      assert.deepEqual(await store.get("cursor", "c"), { value: "2", at: 2 });
      await store.transact({}, () => ({ result: 0, writes: [{ delete: c }, { delete: c }], events: [] }));
      assert.equal(await store.get("cursor", "c"), undefined);
      await store.transact({}, () => ({
        result: 0,
        writes: [{ delete: c }, put(c, { value: "3", at: 3 })],
        events: [],
      }));
      assert.deepEqual(await store.get("cursor", "c"), { value: "3", at: 3 });
    });

    const { increments } = contention;
    const fewer = contention.reason === "" ? "" : ` (${contention.reason})`;
    check(
      `${increments} increments of one document at once by two stores are all there${fewer}`,
      async (store, harness) => {
        const stores = [store, await harness.other()];
        await Promise.all(Array.from({ length: increments }, (_, n) => increment(stores[n % 2] ?? store, "shared")));
        assert.equal((await store.get("cursor", "shared"))?.value, String(increments));
      },
    );

    check("concurrent claims of one free document have one winner", async (store, harness) => {
      const stores = [store, await harness.other()];
      const claims = Array.from({ length: 50 }, (_, n) =>
        (stores[n % 2] ?? store).transact({ c: ref("cursor", "claim") }, ({ c }) =>
          c === undefined
            ? {
                result: true,
                writes: [put(ref("cursor", "claim"), { value: String(n), at: 1 })],
                events: [log(`claim ${n}`)],
              }
            : { result: false, writes: [], events: [] },
        ),
      );
      assert.equal((await Promise.all(claims)).filter(Boolean).length, 1);
      assert.equal((await store.history({})).items.length, 1);
    });

    check("another store sees what was stored, at once", async (store, harness) => {
      const other = await harness.other();
      await increment(store, "c");
      assert.equal((await other.get("cursor", "c"))?.value, "1");
      await other.append([log("theirs")]);
      assert.deepEqual(ids((await store.history({})).items), ["theirs"]);
    });

    check("an event id is stored once: the first is kept, in append and in transact", async (store) => {
      await store.append([log("same", { message: "first" }), log("same", { message: "second" })]);
      await store.append([log("same", { message: "third" }), log("new")]);
      await store.transact({}, () => ({ result: 0, writes: [], events: [log("same", { message: "fourth" })] }));
      const { items } = await store.history({ order: "oldest" });
      assert.deepEqual(ids(items), ["same", "new"]);
      assert.equal(items[0]?.type === "log" && items[0].message, "first");
    });

    check("positions grow, also when they are compared as text", async (store) => {
      for (let n = 0; n < 120; n++) await store.append([log(`e${n}`)]);
      const positions = (await store.history({ order: "oldest", limit: 1_000 })).items.map(({ position }) => position);
      assert.equal(positions.length, 120);
      assert.deepEqual(positions, [...new Set(positions)].sort());
    });

    check("ids are any text up to 1,500 bytes", async (store) => {
      const odd = [
        "a/b/c",
        "a|b",
        "*",
        "a b ",
        "%_%",
        "'; DROP TABLE events; --",
        "日本語/パーティション",
        "🦔",
        "é".repeat(750),
        "..",
        "__x__",
        "a\u0000b",
        "A",
        "a",
      ];
      for (const [n, id] of odd.entries()) {
        await store.transact({}, () => ({
          result: 0,
          writes: [put(ref("cursor", id), { value: String(n), at: n })],
          events: [log(id, { asset: id, partition: id })],
        }));
      }
      for (const [n, id] of odd.entries()) {
        assert.equal((await store.get("cursor", id))?.value, String(n), JSON.stringify(id));
        assert.deepEqual(ids((await store.history({ asset: id, partition: id })).items), [id]);
      }
      for (const id of ["", "é".repeat(751), "\ud800"]) {
        await assert.rejects(store.get("cursor", id), PermanentError, JSON.stringify(id.slice(0, 5)));
      }
    });

    check("values keep Unicode, every JSON type and 500 KB", async (store) => {
      const config = {
        text: 'Ünï 日本 🦔 \u0000 \u2028 " \\',
        none: null,
        yes: true,
        tiny: 5e-324,
        list: [1, [], {}],
        "": "",
      };
      const large = run("large", { reason: "🦔x".repeat(100_000), request: { ...run("x").request, config } });
      await store.transact({}, () => ({
        result: 0,
        writes: [put(ref("run", "large"), large)],
        events: [log("e", { message: "\u0000é🦔" })],
      }));
      assert.deepEqual(await store.get("run", "large"), large);
      const [event] = (await store.history({})).items;
      assert.equal(event?.type === "log" && event.message, "\u0000é🦔");
    });

    check("history by asset, partition, run and types, alone and together, in both orders", async (store) => {
      const types = ["log", "partition.sealed", "partition.unsealed"] as const;
      const all: SluiceEvent[] = [];
      for (let n = 0; n < 90; n++) {
        const scope = {
          ...(n % 7 === 0 ? {} : { asset: `a${n % 2}` }),
          ...(n % 5 === 0 ? {} : { partition: `p${n % 3}` }),
          ...(n % 4 === 0 ? {} : { run: `r${n % 6}` }),
        };
        const type = types[n % 3] ?? "log";
        const base = { v: 1 as const, id: `e${n}`, at: n, ...scope };
        all.push(type === "log" ? { ...base, type, level: "info", message: "" } : { ...base, type });
      }
      await store.append(all);
      const queries: HistoryQuery[] = [];
      for (const asset of [undefined, "a0", "a1", "none"])
        for (const partition of [undefined, "p1"])
          for (const runId of [undefined, "r2", "r5"])
            for (const kinds of [undefined, [], ["log"], ["log", "partition.sealed", "log"]] as (
              EventType[] | undefined
            )[])
              queries.push({
                ...defined({ asset, partition, run: runId }),
                ...(kinds === undefined ? {} : { types: kinds }),
              });
      for (const query of queries) {
        const wanted = all.filter(
          (event) =>
            (query.asset === undefined || event.asset === query.asset) &&
            (query.partition === undefined || event.partition === query.partition) &&
            (query.run === undefined || event.run === query.run) &&
            (query.types === undefined || query.types.includes(event.type)),
        );
        const oldest = await pages((after) => store.history({ ...query, ...after, order: "oldest", limit: 7 }));
        assert.deepEqual(ids(oldest), ids(wanted), JSON.stringify(query));
        const newest = await pages((after) => store.history({ ...query, ...after, limit: 7 }));
        assert.deepEqual(ids(newest), ids(wanted).reverse(), JSON.stringify(query));
      }
    });

    check("history of several keys is one list: of a renamed asset, in the order of what happened", async (store) => {
      const types = ["log", "partition.sealed"] as const;
      const all = Array.from({ length: 70 }, (_, n): SluiceEvent => {
        const asset = ["old", "older", "new", "other", undefined][n % 5];
        const partition = n % 3 === 0 ? {} : { partition: `p${n % 2}` };
        const base = { v: 1 as const, id: `e${n}`, at: n, ...(asset === undefined ? {} : { asset }), ...partition };
        const type = types[n % 2] ?? "log";
        return type === "log" ? { ...base, type, level: "info", message: "" } : { ...base, type };
      });
      await store.append(all);
      const asked = [["new", "old", "older"], ["new", "none"], ["old", "old"], ["other"], ["none"], []];
      for (const asset of asked)
        for (const partition of [undefined, "p1"])
          for (const kinds of [undefined, ["log"], ["log", "partition.sealed"]] as (EventType[] | undefined)[]) {
            const query: HistoryQuery = { asset, ...defined({ partition, types: kinds }) };
            const wanted = all.filter(
              (event) =>
                event.asset !== undefined &&
                asset.includes(event.asset) &&
                (partition === undefined || event.partition === partition) &&
                (kinds === undefined || kinds.includes(event.type)),
            );
            const oldest = await pages((after) => store.history({ ...query, ...after, order: "oldest", limit: 4 }));
            assert.deepEqual(ids(oldest), ids(wanted), JSON.stringify(query));
            const newest = await pages((after) => store.history({ ...query, ...after, limit: 4 }));
            assert.deepEqual(ids(newest), ids(wanted).reverse(), JSON.stringify(query));
          }
      const ten = Array.from({ length: 10 }, (_, n) => `k${n}`);
      assert.deepEqual((await store.history({ asset: ten, types: ["log", "run.failed"] })).items, []);
      await assert.rejects(store.history({ asset: [...ten, "k10"] }), PermanentError);
    });

    check("pages stay whole while events are appended", async (store) => {
      await store.append(Array.from({ length: 50 }, (_, n) => log(`old${n}`, { asset: "a" })));
      let appended = 0;
      const newest = await pages(async (after) => {
        const page = await store.history({ asset: "a", ...after, limit: 8 });
        await store.append([log(`new${appended++}`, { asset: "a" })]);
        return page;
      });
      assert.deepEqual(
        ids(newest),
        Array.from({ length: 50 }, (_, n) => `old${49 - n}`),
      );

      let more = 0;
      const oldest = await pages(async (after) => {
        const page = await store.history({ asset: "a", ...after, order: "oldest", limit: 9 });
        if (more++ < 3) await store.append([log(`late${more}`, { asset: "a" })]);
        return page;
      });
      assert.equal(oldest.length, 50 + appended + 3, "oldest first also meets what was appended meanwhile");
      assert.equal(new Set(ids(oldest)).size, oldest.length);
    });

    check("a reader can follow the history by position", async (store) => {
      await store.append([log("1"), log("2")]);
      const last = (await store.history({ order: "oldest" })).items.at(-1)?.position ?? "";
      assert.deepEqual((await store.history({ order: "oldest", after: last })).items, []);
      await store.append([log("3")]);
      assert.deepEqual(ids((await store.history({ order: "oldest", after: last })).items), ["3"]);
    });

    check(
      "a follower misses nothing of what is stored while it reads",
      async (store, harness) => {
        const other = await harness.other();
        const written = Promise.all(
          Array.from({ length: 200 }, (_, n) =>
            n % 2 === 0
              ? other.append([log(`e${n}`)])
              : other.transact({ c: ref("cursor", `c${n % 10}`) }, () => ({
                  result: undefined,
                  writes: [],
                  events: [log(`e${n}`)],
                })),
          ),
        );
        let over = false;
        const end = written.then(() => (over = true));
        const seen: string[] = [];
        for (let after: string | undefined; ;) {
          const last = over;
          const { items } = await store.history({
            order: "oldest",
            ...(after === undefined ? {} : { after }),
            limit: 7,
          });
          seen.push(...ids(items));
          after = items.at(-1)?.position ?? after;
          if (last && items.length === 0) break;
          await new Promise(setImmediate);
        }
        await end;
        assert.deepEqual([...seen].sort(), Array.from({ length: 200 }, (_, n) => `e${n}`).sort());
      },
      overlapping,
    );

    check(
      "limits: 100 is the default, 1,000 the most, nonsense is refused; a full last page has no next",
      async (store) => {
        await store.append(Array.from({ length: 1_005 }, (_, n) => log(`e${n}`)));
        assert.equal((await store.history({})).items.length, 100);
        const most = await store.history({ limit: 5_000 });
        assert.equal(most.items.length, 1_000);
        const rest = await store.history({ limit: 5, ...(most.next === undefined ? {} : { after: most.next }) });
        assert.equal(rest.items.length, 5);
        assert.equal(rest.next, undefined);
        for (const limit of [0, -1, 1.5, Number.NaN]) {
          await assert.rejects(store.history({ limit }), PermanentError);
          await assert.rejects(store.runs({ limit }), PermanentError);
          await assert.rejects(store.partitions({ name: "a", limit }), PermanentError);
        }
      },
    );

    check("a cursor that no page gave is refused", async (store) => {
      for (const after of ["nonsense", "", "-1", "1 OR 1=1", "99999999999999999999"]) {
        await assert.rejects(store.history({ after }), PermanentError, after);
        await assert.rejects(store.runs({ after }), PermanentError, after);
        await assert.rejects(store.partitions({ name: "a", after }), PermanentError, after);
      }
    });

    check("runs come last created first, filtered and in pages, while others are created", async (store) => {
      const statuses: RunStatus[] = ["running", "parked", "succeeded", "failed"];
      const all = Array.from({ length: 80 }, (_, n) =>
        run(`r${String(n).padStart(2, "0")}`, {
          kind: n % 5 === 0 ? "job" : "asset",
          name: `a${n % 3}`,
          partition: `p${n % 4}`,
          status: statuses[n % 4] ?? "running",
          createdAt: 1_000 + Math.floor(n / 4), // four at the same moment
        }),
      );
      await store.transact({}, () => ({
        result: 0,
        writes: all.map((one) => put(ref("run", one.id), one)),
        events: [],
      }));
      let made = 0;
      for (const kind of [undefined, "job"] as const)
        for (const name of [undefined, "a1"])
          for (const partition of [undefined, "p2", "p3"])
            for (const status of [undefined, "failed", "succeeded"] as const) {
              const query = defined({ kind, name, partition, status });
              const wanted = all.filter((one) =>
                Object.entries(query).every(([key, value]) =>
                  Object.entries(one).some(([k, v]) => k === key && v === value),
                ),
              );
              const found = await pages(async (after) => {
                const page = await store.runs({ ...query, ...after, limit: 6 });
                const later = run(`later${made++}`, {
                  name: "a1",
                  createdAt: 5_000 + made,
                  partition: "p2",
                  status: "failed",
                  kind: "job",
                });
                await store.transact({}, () => ({ result: 0, writes: [put(ref("run", later.id), later)], events: [] }));
                return page;
              });
              const old = found.map(({ id }) => id).filter((id) => !id.startsWith("later"));
              assert.deepEqual(
                [...old].sort(),
                wanted.map(({ id }) => id),
                JSON.stringify(query),
              );
              assert.equal(new Set(found.map(({ id }) => id)).size, found.length);
              const times = found.map(({ createdAt }) => createdAt);
              assert.deepEqual(
                times,
                [...times].sort((a, b) => b - a),
              );
            }
    });

    check("a run that changes is found by what it is now", async (store) => {
      const save = (value: RunDocument) =>
        store.transact({}, () => ({ result: 0, writes: [put(ref("run", value.id), value)], events: [] }));
      await save(run("r", { status: "running" }));
      await save(run("r", { status: "failed" }));
      assert.deepEqual((await store.runs({ status: "running" })).items, []);
      assert.equal((await store.runs({ status: "failed" })).items.length, 1);
      await store.transact({}, () => ({ result: 0, writes: [{ delete: ref("run", "r") }], events: [] }));
      assert.deepEqual((await store.runs({})).items, []);
    });

    check("partitions of one asset in order of their keys, by range and page", async (store) => {
      const keys = Array.from({ length: 31 }, (_, n) => `2024-05-${String(n + 1).padStart(2, "0")}`);
      const shuffled = [...keys].sort((a, b) => (a.slice(-1) + a < b.slice(-1) + b ? -1 : 1));
      const writes = [
        ...shuffled.map((key) => put(ref("partition", `a|${key}`), partition("a", key))),
        put(ref("partition", "b|2024-05-03"), partition("b", "2024-05-03")),
        put(ref("partition", "a/b|2024-05-03"), partition("a/b", "2024-05-03")),
        put(ref("partition", "single|"), partition("single", "")),
      ];
      await store.transact({}, () => ({ result: 0, writes, events: [] }));
      const list = (query: { name: string; from?: string; to?: string }, limit: number) =>
        pages((after) => store.partitions({ ...query, ...after, limit })).then((found) =>
          found.map(({ partition: key }) => key),
        );
      assert.deepEqual(await list({ name: "a" }, 7), keys);
      assert.deepEqual(await list({ name: "a", from: "2024-05-10" }, 4), keys.slice(9));
      assert.deepEqual(await list({ name: "a", to: "2024-05-10" }, 9), keys.slice(0, 9));
      assert.deepEqual(await list({ name: "a", from: "2024-05-10", to: "2024-05-12" }, 1), [
        "2024-05-10",
        "2024-05-11",
      ]);
      assert.deepEqual(await list({ name: "a", from: "2024-05-12", to: "2024-05-10" }, 5), []);
      assert.deepEqual(await list({ name: "b" }, 5), ["2024-05-03"]);
      assert.deepEqual(await list({ name: "single" }, 5), [""]);
      assert.deepEqual(await list({ name: "none" }, 5), []);
    });

    check("sensors are listed once each", async (store) => {
      assert.deepEqual(await store.sensors(), []);
      const save = (value: { name: string; status?: "running" | "stopped" }) =>
        store.transact({}, () => ({ result: 0, writes: [put(ref("sensor", value.name), value)], events: [] }));
      await save({ name: "b" });
      await save({ name: "a", status: "stopped" });
      await save({ name: "b", status: "running" });
      const sensors = [...(await store.sensors())].sort((a, b) => (a.name < b.name ? -1 : 1));
      assert.deepEqual(sensors, [
        { name: "a", status: "stopped" },
        { name: "b", status: "running" },
      ]);
    });

    check("deadlines: due ones earliest first and up to the limit; the next one of all", async (store) => {
      assert.equal(await store.nextDue(), undefined);
      const save = (id: string, dueAt: number) =>
        store.transact({}, () => ({
          result: 0,
          writes: [put(ref("due", id), { shard: 0, dueAt, runId: id })],
          events: [],
        }));
      await save("late", 300);
      await save("early", 100);
      await save("middle", 200);
      const due = async (now: number, limit: number) => (await store.due({ now, limit })).map(({ runId }) => runId);
      assert.deepEqual(await due(99, 10), []);
      assert.deepEqual(await due(100, 10), ["early"], "up to and including now");
      assert.deepEqual(await due(1_000, 10), ["early", "middle", "late"]);
      assert.deepEqual(await due(1_000, 2), ["early", "middle"]);
      assert.equal(await store.nextDue(), 100);
      await save("early", 250); // one entry a run: it moved
      assert.deepEqual(await due(1_000, 10), ["middle", "early", "late"]);
      await store.transact({}, () => ({ result: 0, writes: [{ delete: ref("due", "middle") }], events: [] }));
      assert.equal(await store.nextDue(), 250);
    });

    check("everything is there after closing and opening again", async (store, harness) => {
      await increment(store, "c");
      await store.append([log("e1", { asset: "a" })]);
      const [before] = (await store.history({})).items;
      const again = await harness.reopen();
      assert.equal((await again.get("cursor", "c"))?.value, "1");
      assert.deepEqual((await again.history({ asset: "a" })).items, [before]);
      await again.append([log("e1"), log("e2")]);
      assert.deepEqual(ids((await again.history({ order: "oldest" })).items), ["e1", "e2"]);
    });
  });
}

export function run(id: string, changes: Partial<RunDocument> = {}): RunDocument {
  const request = { partition: "", runKey: id, cause: { kind: "manual" as const }, requestedAt: 1 };
  return {
    id,
    kind: "asset",
    name: "a",
    partition: "",
    request,
    status: "running",
    attempt: 1,
    failures: 0,
    token: 1,
    createdAt: 1,
    updatedAt: 1,
    outbox: [],
    ...changes,
  };
}

export function partition(name: string, key: string): PartitionDocument {
  return { name, partition: key, token: 0 };
}

export function log(
  id: string,
  changes: { asset?: string; partition?: string; run?: string; message?: string } = {},
): SluiceEvent {
  return { v: 1, id, at: 1, type: "log", level: "info", message: id, ...changes };
}

/** Reads a number, adds one: lost updates show as a lower number. */
export function increment(store: EventStore, id: string): Promise<number> {
  return store.transact({ counter: ref("cursor", id) }, ({ counter }) => {
    const next = Number(counter?.value ?? "0") + 1;
    return { result: next, writes: [put(ref("cursor", id), { value: String(next), at: next })], events: [] };
  });
}

function ids(events: readonly (SluiceEvent | StoredEvent)[]): string[] {
  return events.map(({ id }) => id);
}

async function pages<T>(read: (after: { after?: string }) => Promise<Page<T>>): Promise<T[]> {
  const all: T[] = [];
  let page = await read({});
  for (let count = 0; count < 1_000; count++) {
    all.push(...page.items);
    if (page.next === undefined) return all;
    page = await read({ after: page.next });
  }
  throw new Error("the pages do not end");
}

/** Without the properties that are undefined, as optional properties want it. */
function defined<T extends Record<string, unknown>>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  // Object.entries loses which value belongs to which key; none was changed.
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
