/** One piece of work on every kind of call, with a fault somewhere: nothing may be lost, and nothing done twice. */
import assert from "node:assert/strict";
import type { JobSpec } from "../../lib/ports/warehouse.ts";
import type { Fault } from "../fakes/http-fake.ts";
import { column, csvLoad, n } from "../ports/warehouse/world.ts";
import type { BigqueryUnderTest } from "./bigquery-world.ts";

export interface Injection {
  /** Which call of the work meets the fault. */
  readonly at: number;
  readonly fault: Omit<Fault, "match" | "skip">;
  /** Longer than the adapter tries: the caller has to come again, as a run does. */
  readonly lasting: boolean;
}

export const faults: readonly Omit<Fault, "match" | "skip" | "times">[] = [
  { fault: 429 },
  { fault: 500 },
  { fault: 503 },
  { fault: 500, after: true },
  { fault: 503, after: true },
  { fault: "reset-before" },
  { fault: "reset-after" },
  { fault: "cut", bytes: 10 },
  { fault: "slow", ms: 900 },
];

/** As many as the adapter tries by default. */
const tries = 5;

/** Does the work, and returns how many calls it took. */
export async function workUnder(
  subject: BigqueryUnderTest,
  name: string,
  injection: Injection | undefined,
): Promise<number> {
  const { warehouse, fake, writeObject } = subject;
  const before = fake.calls.length;
  fake.heal();
  if (injection !== undefined) {
    const { at, fault, lasting } = injection;
    // Before its effect as often as it takes; after its effect once, and then it is not reached.
    const kind: readonly Fault[] =
      lasting && (fault.after === true || fault.fault === "reset-after")
        ? [
            { ...fault, times: 1 },
            { fault: 503, times: tries - 1 },
          ]
        : [{ ...fault, times: lasting ? tries : 1 }];
    for (const one of kind) fake.fail({ ...one, skip: at });
  }

  /** Comes again after what passes; `true` where it did. */
  let again = false;
  async function stubborn<T>(work: () => Promise<T>): Promise<T> {
    for (let round = 0; ; round++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof Error) || error.name !== "RetryableError" || round >= 3) throw error;
        assert.ok(injection?.lasting === true, `a single fault was not outlived: ${error.message}`);
        again = true;
      }
    }
  }

  async function run(step: string, spec: JobSpec, rows: number): Promise<void> {
    const id = `${name}-${step}`;
    again = false;
    const submitted = await stubborn(() => warehouse.submit(id, spec, { step }));
    assert.ok(submitted === "accepted" || again, `${step}: ${submitted}`);
    const status = await stubborn(() => warehouse.wait(id, { timeoutMs: 240_000 }));
    assert.deepEqual([status.state, status.rows, status.labels], ["succeeded", rows, { step }], status.error?.message);
  }

  const table = (what: string): { dataset: string; table: string } => ({ dataset: "shop", table: `${name}_${what}` });
  const uri = `gs://drops/${name}.csv`;
  const dated = [column("day", "DATE"), ...n];
  const partitioning = { type: "DAY", column: "day" } as const;
  await writeObject(uri, Buffer.from("2024-05-01,1\n2024-05-01,2\n"));
  const load = { ...csvLoad(uri, "", dated), destination: table("staged"), partitioning } as Extract<
    JobSpec,
    { kind: "load" }
  >;
  await run("load", { ...load, expiresAt: 4_000_000_000_000 }, 2);
  const clean = { ...table("clean"), partition: "20240501" };
  await run("publish", { kind: "copy", source: table("staged"), destination: clean, partitioning }, 2);
  await run("append", { kind: "copy", source: table("staged"), destination: clean, append: true }, 2);
  const sql = `INSERT INTO \`shop.${name}_clean\` (day, n) VALUES (DATE '2024-05-02', 3)`;
  await run("insert", { kind: "query", sql, writes: [table("clean")] }, 1);
  await run("raw", { kind: "copy", source: table("staged"), destination: table("raw") }, 2);

  await stubborn(async () => {
    const { etag, schema } = (await warehouse.describe(table("raw"))) ?? assert.fail("raw is lost");
    if (!schema.some(({ name: one }) => one === "note"))
      await warehouse.extend(table("raw"), [column("note", "STRING")], etag).catch((error: unknown) => {
        // The answer to the patch was lost: its etag is spent, and the next look finds the column.
        if (injection !== undefined && error instanceof Error && /has changed/.test(error.message)) return;
        throw error;
      });
  });
  again = false;
  assert.ok((await stubborn(() => warehouse.drop({ ...table("clean"), partition: "20240502" }))) || again);

  const select = `SELECT CAST(day AS STRING) AS day, n FROM \`shop.${name}_clean\` ORDER BY n, day`;
  await run("select", { kind: "query", sql: select }, 4);
  const rows = await stubborn(() => Array.fromAsync(warehouse.rows(`${name}-select`)));
  assert.deepEqual(
    rows,
    [1, 1, 2, 2].map((value) => ({ day: "2024-05-01", n: value })),
  );
  const listed = await stubborn(() => Array.fromAsync(warehouse.list({ dataset: "shop" }, `${name}_`)));
  assert.deepEqual(
    listed.map((one) => one.table),
    [`${name}_clean`, `${name}_raw`, `${name}_staged`],
  );
  const calls = fake.calls.length - before;

  fake.heal();
  const staged = (await warehouse.describe(table("staged"))) ?? assert.fail("staged is lost");
  assert.deepEqual([staged.rows, staged.expiresAt, staged.partitioning], [2, 4_000_000_000_000, partitioning]);
  const raw = await warehouse.describe(table("raw"));
  assert.deepEqual([raw?.rows, raw?.schema], [2, [...dated, column("note", "STRING")]]);
  assert.equal((await warehouse.describe(table("clean")))?.rows, 4);
  assert.equal(fake.jobIds().filter((id) => id.startsWith(`${name}-`)).length, 6, "one job for each step");
  return calls;
}

export function nameOf({ at, fault: { fault, after }, lasting }: Injection): string {
  return `${lasting ? "lasting" : "single"} ${fault}${after === true ? " after the effect" : ""} at call ${at}`;
}
