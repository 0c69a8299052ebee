/** What every I/O manager must do, whoever has written it: the same scenarios, through the front door. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asset, bytes, daily, decimal, dependsOn, json } from "sluice";
import type { IoManager } from "sluice";
import { z } from "zod";
import { dayOf, otherRuntime, portsOf } from "./days.ts";
import { localPlatform, pushOf } from "./local-platform.ts";
import type { LocalPlatform } from "./local-platform.ts";
import { mortalPorts } from "./mortal.ts";

export interface IoManagerUnderTest {
  readonly name: string;
  make(options?: { readonly onInvalidRow?: "fail" | "discard" }): IoManager<never>;
  /** Where it keeps files that outlive a run; `undefined` for a manager that keeps a table. */
  readonly bucket?: string;
  /** What a late attempt may leave behind, and why that is no harm. */
  readonly lateLeavings?: { readonly pattern: RegExp; readonly reason: string };
}

const KEY = { kind: "asset", key: "kept/days" } as const;
const ROWS = 600;

export function ioManagerConformance({ name, make, bucket, lateLeavings }: IoManagerUnderTest): void {
  describe(`the I/O manager ${name}`, () => {
    test("what is written is read by dependents of the same partition, of all of them, of the last one", async () => {
      const { exports, seen } = followed(make());
      await using platform = await localPlatform({ exports });
      for (const day of ["2024-05-01", "2024-05-03", "2024-05-02"]) await runs(platform, KEY.key, day);
      await runs(platform, "read/same", "2024-05-02");
      await runs(platform, "read/all");
      await runs(platform, "read/last");
      assert.deepEqual(seen.get("same"), expected("2024-05-02", 1));
      assert.deepEqual(byDay(seen.get("all")), {
        "2024-05-01": expected("2024-05-01", 1),
        "2024-05-02": expected("2024-05-02", 1),
        "2024-05-03": expected("2024-05-03", 1),
      });
      assert.deepEqual(seen.get("last"), expected("2024-05-03", 1));
      assert.match(
        await ran(platform, "read/same", "2024-05-09"),
        /^failed: kept\/days \(2024-05-09\) was never materialized/,
      );
      await tidy(platform);
    });

    test("a partition that is made again shows its new rows alone, and nothing of the old ones stays", async () => {
      const { exports, seen, again } = followed(make());
      await using platform = await localPlatform({ exports });
      for (const day of ["2024-05-01", "2024-05-02"]) await runs(platform, KEY.key, day);
      again();
      await runs(platform, KEY.key, "2024-05-01");
      await runs(platform, "read/all");
      assert.deepEqual(byDay(seen.get("all")), {
        "2024-05-01": expected("2024-05-01", 2),
        "2024-05-02": expected("2024-05-02", 1),
      });
      await tidy(platform);
    });

    test("unchanged inputs are skipped, and a forced run stores anew", async () => {
      const source = asset({ key: "kept/source", target: "none", materialize: async () => ({}) });
      let makings = 0;
      const kept = asset({
        key: "kept/once",
        deps: [source],
        schema: z.object({ n: z.int() }),
        ioManager: make(),
        materialize: () => [{ n: ++makings }],
      });
      await using platform = await localPlatform({ exports: { source, kept } });
      await runs(platform, "kept/source");
      await runs(platform, "kept/once");
      assert.match(await ran(platform, "kept/once"), /^skipped: the partition already holds these inputs/);
      await platform.publish("asset.kept.once", { force: true });
      await platform.quiet();
      assert.equal(makings, 2);
      await runs(platform, "kept/source");
      await runs(platform, "kept/once");
      assert.equal(makings, 3);
      await tidy(platform);
    });

    test("rows that do not fit end the run, or are left out, counted and shown; without any row the rows are empty", async () => {
      let rows: readonly object[] = [{ n: 1 }, { n: -1 }, { n: 3 }];
      let seen: readonly unknown[] | undefined;
      const schema = z.object({ n: z.int().min(0) });
      const materialize = () => rows as readonly { n: number }[];
      const strict = asset({ key: "kept/strict", schema, ioManager: make(), materialize });
      const lax = asset({ key: "kept/lax", schema, ioManager: make({ onInvalidRow: "discard" }), materialize });
      const reader = asset({
        key: "read/lax",
        target: "none",
        inputs: { lax },
        materialize: async (_context, { lax }) => {
          seen = await Array.fromAsync(lax);
        },
      });
      await using platform = await localPlatform({ exports: { strict, lax, reader } });
      assert.match(await ran(platform, "kept/strict"), /^failed: row 2 of kept\/strict does not fit its schema: n: /);
      await runs(platform, "kept/lax");
      await runs(platform, "read/lax");
      assert.deepEqual(seen, [{ n: 1 }, { n: 3 }]);
      const made = (await platform.eventsOf("materialized")).find((event) => event.asset === "kept/lax");
      assert.deepEqual([made?.rows, made?.metadata?.["discardedRows"]], [2, 1]);
      assert.deepEqual(made?.schema, [{ name: "n", type: "INT64", mode: "REQUIRED" }]);
      rows = [{ n: -1 }, {}];
      assert.match(await ran(platform, "kept/lax"), /^failed: none of the 2 rows of kept\/lax fits its schema/);
      rows = [];
      await runs(platform, "kept/lax");
      await runs(platform, "read/lax");
      assert.deepEqual(seen, []);
      await tidy(platform);
    });

    test("every type comes back as the warehouse's readers get it", async () => {
      let seen: readonly unknown[] | undefined;
      const kept = asset({ key: "kept/types", schema: everything, ioManager: make(), materialize: () => typed });
      const reader = asset({
        key: "read/types",
        target: "none",
        inputs: { kept },
        materialize: async (_context, { kept }) => {
          seen = await Array.fromAsync(kept);
        },
      });
      await using platform = await localPlatform({ exports: { kept, reader } });
      await runs(platform, "kept/types");
      await runs(platform, "read/types");
      assert.deepEqual(seen, typedBack);
    });

    test("a page of rows can be yielded at once", async () => {
      let seen: readonly { readonly n: number }[] = [];
      const kept = asset({
        key: "kept/pages",
        schema: z.object({ n: z.int() }),
        ioManager: make(),
        async *materialize({ row }) {
          yield [{ n: 0 }, { n: 1 }];
          yield [];
          yield row({ n: 2 });
          yield Array.from({ length: 2000 }, (_, i) => ({ n: 3 + i }));
        },
      });
      const reader = asset({
        key: "read/pages",
        target: "none",
        inputs: { kept },
        materialize: async (_context, { kept }) => {
          seen = await Array.fromAsync(kept);
        },
      });
      await using platform = await localPlatform({ exports: { kept, reader } });
      await runs(platform, "kept/pages");
      await runs(platform, "read/pages");
      assert.deepEqual(
        seen.map(({ n }) => n),
        Array.from({ length: 2003 }, (_, i) => i),
      );
    });

    test("a process that dies after any of its steps: one making is shown whole, and nothing is left over", async () => {
      const { exports, seen } = followed(make());
      await using platform = await localPlatform({ exports });
      const day = "2024-05-01";
      await runs(platform, KEY.key, day);
      const deaths: string[] = [];
      for (let step = 1; ; step++) {
        assert.ok(step < 100, "the run never ends");
        const message = pushOf({ partition: day, runKey: `step-${step}` });
        const { ports, death, jobs } = mortalPorts(portsOf(platform), step);
        const done = otherRuntime(platform, ports).receive(KEY, { body: message });
        const died = await Promise.race([death, done.then(() => undefined)]);
        for (const job of jobs) await platform.warehouse.wait(job, { timeoutMs: 240_000 });
        // Readers see the old rows or the new ones, whole, whatever is half done.
        await runs(platform, "read/same", day, 100);
        assert.equal(oneMaking(seen.get("same")), ROWS, `read after ${died ?? "no death"}, step ${step}`);
        await platform.runtime.releaseAbandoned();
        await platform.runtime.receive(KEY, { body: message });
        await platform.quiet();
        const after = `after ${died ?? "no death"}, step ${step}`;
        await runs(platform, "read/same", day);
        assert.equal(oneMaking(seen.get("same")), ROWS, after);
        const made = (await platform.eventsOf("materialized")).filter((event) => event.asset === KEY.key);
        assert.equal(made.length, step + 1, after);
        assert.equal(made.at(-1)?.metadata?.["making"], seen.get("same")?.[0]?.making, after);
        await tidy(platform, after);
        if (died === undefined) break;
        deaths.push(died);
      }
      for (const call of ["objects.write", "events.transact"]) assert.ok(deaths.includes(call), call);
      if (bucket !== undefined) assert.ok(deaths.includes("objects.delete"));
    });

    test("what a late attempt writes and commits is never seen, and it clears up after itself", async (t) => {
      if (lateLeavings !== undefined) t.diagnostic(lateLeavings.reason);
      const { exports, seen, hold } = followed(make());
      await using platform = await localPlatform({ exports });
      const day = dayOf(1);
      const held = hold();
      const message = pushOf({ partition: day, runKey: "late" });
      const late = otherRuntime(platform, portsOf(platform)).receive(KEY, { body: message });
      await held.arrived;
      await expire(platform, day);
      await platform.runtime.receive(KEY, { body: message });
      await platform.quiet();
      held.release();
      await late;
      await platform.quiet();
      await runs(platform, "read/same", day);
      assert.deepEqual(seen.get("same"), expected(day, 2));
      const made = (await platform.eventsOf("materialized")).filter((event) => event.asset === KEY.key);
      assert.equal(made.length, 1);
      await tidy(platform, "", lateLeavings?.pattern);
    });

    async function tidy(platform: LocalPlatform, when = "", allowed?: RegExp): Promise<void> {
      const staged = await Array.fromAsync(
        platform.objects.list("sluice-staging"),
        (object) => `staged ${object.name}`,
      );
      const left = [...(await platform.leftovers()), ...staged].filter((line) => allowed?.test(line) !== true);
      assert.deepEqual(left, [], when);
      const kept = new Set<string>();
      for (const { key } of platform.definitions.assets.values()) {
        const { items } = await platform.events.partitions({ name: key, limit: 1000 });
        for (const { head, writing, finish } of items) {
          assert.deepEqual([writing, finish], [undefined, undefined], when);
          if (head?.stored !== undefined) kept.add(head.stored.version);
        }
      }
      assert.equal(kept.size > 0, bucket !== undefined, when);
      if (bucket === undefined) return;
      const names = (await Array.fromAsync(platform.objects.list(bucket))).map((object) => object.name);
      const strays = names.filter((file) => ![...kept].some((version) => file.includes(version)));
      assert.deepEqual(strays, [], when);
      assert.ok(names.length >= kept.size, when);
    }
  });
}

interface DayRow {
  readonly day: string;
  readonly making: number;
  readonly i: number;
}

const expected = (day: string, making: number): readonly DayRow[] =>
  Array.from({ length: ROWS }, (_, i) => ({ day, making, i }));

function byDay(rows: readonly DayRow[] = []): Readonly<Record<string, readonly DayRow[]>> {
  return { ...Object.groupBy(rows, ({ day }) => day) } as Readonly<Record<string, readonly DayRow[]>>; // every day has rows
}

/** How many rows there are, if they are each row of one and the same making. */
function oneMaking(rows: readonly DayRow[] = []): number {
  const [first] = rows;
  assert.deepEqual(rows, first === undefined ? [] : expected(first.day, first.making));
  return rows.length;
}

/** An asset of days, whose rows say in which making they were made, and those that read it. */
function followed(ioManager: IoManager<never>) {
  let makings = 1;
  let counting = false;
  let gate: { readonly arrive: () => void; readonly open: Promise<void> } | undefined;
  const seen = new Map<string, readonly DayRow[]>();
  const days = asset({
    key: KEY.key,
    partitions: daily(),
    schema: z.object({ day: z.iso.date(), making: z.int(), i: z.int() }),
    ioManager,
    retry: { delaySeconds: 0.05 },
    async *materialize({ row, partition, metadata }) {
      const making = counting ? ++makings : makings;
      metadata({ making });
      for (let i = 0; i < ROWS; i++) {
        if (i === ROWS / 2) {
          const waiting = gate;
          gate = undefined;
          waiting?.arrive();
          await waiting?.open;
        }
        yield row({ day: partition.key, making, i });
      }
    },
  });
  const note = (name: string) => async (_context: unknown, inputs: { readonly days: AsyncIterable<DayRow> }) => {
    // A table has no order of its own.
    seen.set(
      name,
      (await Array.fromAsync(inputs.days)).sort((a, b) => a.i - b.i),
    );
  };
  const same = asset({
    key: "read/same",
    target: "none",
    partitions: daily(),
    inputs: { days },
    materialize: note("same"),
  });
  const all = asset({ key: "read/all", target: "none", inputs: { days }, materialize: note("all") });
  const last = asset({
    key: "read/last",
    target: "none",
    inputs: { days: dependsOn(days, { kind: "last" }) },
    materialize: note("last"),
  });
  return {
    exports: { days, same, all, last },
    seen,
    /** From now on, every making gives other rows. */
    again: () => {
      counting = true;
    },
    /** The next making stops in its middle; the ones after it give other rows. */
    hold() {
      counting = true;
      makings = 0;
      const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
      const { promise: open, resolve: release } = Promise.withResolvers<void>();
      gate = { arrive, open };
      return { arrived, release };
    },
  };
}

async function ran(platform: LocalPlatform, key: string, partition?: string, patienceMs?: number): Promise<string> {
  await platform.publish(`asset.${key.replaceAll("/", ".")}`, partition === undefined ? {} : { partition });
  await platform.quiet(patienceMs);
  const [run] = (await platform.allRuns()).filter((one) => one.name === key);
  return run?.status === "succeeded" ? "succeeded" : `${run?.status ?? "none"}: ${run?.reason ?? ""}`;
}

async function runs(platform: LocalPlatform, key: string, partition?: string, patienceMs?: number): Promise<void> {
  assert.equal(await ran(platform, key, partition, patienceMs), "succeeded");
}

/** Lets the lease of a day's run run out, without waking anybody. */
async function expire(platform: LocalPlatform, day: string): Promise<void> {
  const partition = { kind: "partition", id: `${KEY.key}|${day}` } as const;
  await platform.events.transact({ partition }, (state) => ({
    result: undefined,
    writes:
      state.partition?.holder === undefined
        ? []
        : [{ put: partition, value: { ...state.partition, holder: { ...state.partition.holder, leaseUntil: 0 } } }],
    events: [],
  }));
}

const inner = z.object({
  name: z.string(),
  at: z.iso.datetime({ offset: true }).nullable(),
  tags: z.array(z.string()),
});
const everything = z.object({
  flag: z.boolean(),
  whole: z.int(),
  wide: z.bigint(),
  real: z.number().or(z.nan()),
  text: z.string().nullable(),
  exact: decimal({ precision: 20, scale: 4 }),
  finer: decimal({ precision: 30, scale: 15 }).optional(),
  day: z.iso.date(),
  time: z.iso.time(),
  local: z.iso.datetime({ local: true }),
  at: z.iso.datetime({ offset: true }),
  date: z.date(),
  raw: bytes(),
  any: json(),
  kind: z.enum(["a", "b"]),
  one: inner,
  maybe: inner.optional(),
  many: z.array(inner),
  counts: z.array(z.bigint()),
});

const typed = [
  {
    flag: true,
    whole: -5,
    wide: 2n ** 63n - 1n,
    real: Number.NaN,
    text: "ünï 🌍",
    exact: "-0012.5000",
    finer: "0.000000000000001",
    day: "0001-01-01",
    time: "10:00:00.500",
    local: "2024-05-01T10:00",
    at: "2024-05-01T01:30:00.1200+02:00",
    date: new Date("1969-12-31T23:59:59.999Z"),
    raw: Uint8Array.of(0, 255, 128),
    any: { a: [1, null, "x"] },
    kind: "a" as const,
    one: { name: "x", at: null, tags: [] },
    maybe: { name: "", at: "9999-12-31T23:59:59.999999Z", tags: ["p", "q"] },
    many: [
      { name: "1", at: "2024-01-01T00:00:00Z", tags: ["z"] },
      { name: "2", at: null, tags: [] },
    ],
    counts: [1n, -(2n ** 63n)],
  },
  {
    flag: false,
    whole: 2 ** 53 - 1,
    wide: 0n,
    real: 1e300,
    text: null,
    exact: "7",
    day: "9999-12-31",
    time: "23:59:59.999999",
    local: "0001-01-01T00:00:00.000001",
    at: "0001-01-01T00:00:00Z",
    date: new Date(0),
    raw: new Uint8Array(),
    any: null,
    kind: "b" as const,
    one: { name: "", at: "2024-05-01T00:00:00Z", tags: ["t"] },
    many: [],
    counts: [],
  },
];

const typedBack = [
  {
    ...typed[0],
    exact: "-12.5",
    time: "10:00:00.5",
    local: "2024-05-01T10:00:00",
    at: "2024-04-30T23:30:00.120Z",
  },
  typed[1],
];
