/** Simulated assets without a table: rows that are kept as files, and code that writes a whole range by itself. */
import { z } from "zod";
import { asset } from "../../lib/core/asset.ts";
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { eager, onSchedule } from "../../lib/core/automation.ts";
import { bigqueryTable } from "../../lib/core/io-manager.ts";
import { parquetFiles } from "../../lib/core/parquet-files.ts";
import { daily } from "../../lib/core/partitions.ts";
import { bigquery, gcs } from "../../lib/core/resources.ts";
import { sql } from "../../lib/core/sql.ts";

/** Where rows are kept as files, and where code writes by itself: what lies there is not staged. */
export const STORED = "stored";
export const WRITTEN = "written";
export const RANGE = "made/range";

export const schema = z.object({ file: z.string(), day: z.string(), version: z.int(), bad: z.boolean() });
export const retry = { maxRetries: 40, delaySeconds: 5, maxDelaySeconds: 60 };
export const start = "2024-01-01";

type Upstream = { readonly asset: AssetDefinition<typeof schema> };

/** The same rows, one after the other. */
export async function* copied(rows: AsyncIterable<z.output<typeof schema>>) {
  for await (const { file, day, version, bad } of rows) yield { file, day, version, bad };
}

/** Rows that are kept as files, and a table that is made from them. */
export function keptRows(of: Upstream) {
  const common = { partitions: daily({ start }), schema, automation: eager(), retry };
  const kept = asset({
    ...common,
    key: "made/kept",
    inputs: { days: of.asset },
    ioManager: parquetFiles({ location: `gs://${STORED}/rows` }),
    materialize: (_context, { days }) => copied(days),
  });
  const read = asset({
    ...common,
    key: "made/read",
    inputs: { kept },
    ioManager: bigqueryTable(),
    materialize: (_context, rows) => copied(rows.kept),
  });
  return { kept, read };
}

/** Each row is saved before the next one is made. */
export function savedRows(of: Upstream) {
  return asset({
    key: "made/saved",
    partitions: daily({ start }),
    inputs: { days: of.asset },
    schema,
    ioManager: bigqueryTable(),
    automation: eager(),
    retry,
    async *materialize({ checkpoint }, { days }) {
      const done = Number(checkpoint.last ?? 0);
      let made = 0;
      for await (const { file, day, version, bad } of days) {
        made += 1;
        if (made <= done) continue;
        yield { file, day, version, bad };
        await checkpoint.save(made);
      }
    },
  });
}

/** Its code writes one file for each state of each day, so that whatever lands late does no harm. */
export function rangeOf(of: Upstream) {
  return asset({
    key: RANGE,
    partitions: daily({ start }),
    deps: [of.asset],
    backfill: "single-run",
    target: "none",
    automation: eager(),
    retry,
    resources: { warehouse: bigquery(), files: gcs.write(`gs://${WRITTEN}/range`) },
    async materialize({ partitionRange: { keys } }, { warehouse, files }) {
      for (const key of keys) {
        const { rowsOf } = await warehouse.run(sql`SELECT * FROM ${of.asset} WHERE day = ${key}`);
        const versions: string[] = [];
        for await (const { version } of rowsOf()) versions.push(String(version));
        await files.write(fileOfRange(key, versions), [Buffer.from("made")]);
      }
    },
  });
}

/** What is asked for by the clock alone: once a tick, and once for each day that is over. */
export function byTheClock() {
  const common = { target: "none", retry, materialize: async () => ({}) } as const;
  return {
    ticked: asset({ ...common, key: "made/ticked", automation: onSchedule("1,4 */6 * * *") }),
    daily: asset({
      ...common,
      key: "made/daily",
      partitions: daily({ start }),
      automation: onSchedule("3 */6 * * *", "Asia/Dhaka"),
    }),
  };
}

export function fileOfRange(day: string, versions: readonly string[]): string {
  return `range/${day}/${versions.toSorted().join("+") || "none"}`;
}
