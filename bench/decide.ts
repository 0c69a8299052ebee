/** Deciding whether to run, for assets with very many partitions: reads in proportion to the dependencies, not to history. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openPlatform } from "../lib/cli/platform.ts";
import { materializedTopicOf } from "../lib/core/asset-key.ts";
import { asset, dependsOn } from "../lib/core/asset.ts";
import { eager } from "../lib/core/automation.ts";
import { collectDefinitions } from "../lib/core/collect.ts";
import { put, ref } from "../lib/core/documents.ts";
import type { Write } from "../lib/core/documents.ts";
import { EVENT_VERSION } from "../lib/core/events.ts";
import type { SluiceEvent } from "../lib/core/events.ts";
import type { PartitionMapping } from "../lib/core/partition-mapping.ts";
import { daily, hourly, partitionRange, timePartitions } from "../lib/core/partitions.ts";
import { partitionRef } from "../lib/core/run-identity.ts";
import { median, ms, percentile, print } from "./measure.ts";

const { values } = parseArgs({
  options: {
    partitions: { type: "string", default: "100000" },
    rounds: { type: "string", default: "200" },
    json: { type: "boolean" },
  },
});
const count = Number(values.partitions);
const rounds = Number(values.rounds);
if (![count, rounds].every((number) => Number.isInteger(number) && number >= 1))
  throw new Error("--partitions and --rounds are whole numbers, at least 1");

const START = Date.UTC(2010, 0, 1);
const keyAt = (index: number): string => new Date(START + index * 3_600_000).toISOString().slice(0, 13);
const start = hourlyKey(keyAt(0));
const last = hourlyKey(keyAt(count - 1));

/** `2010-01-01T00` in the spelling of hourly partitions. */
function hourlyKey(text: string): string {
  const [first] = partitionRange(timePartitions("hourly"), text, text);
  return first?.key ?? text;
}

const nothing = async (): Promise<void> => undefined;
const up = asset({ key: "bench/up", partitions: hourly({ start }), materialize: nothing });
const follower = (name: string, by: PartitionMapping, partitions = hourly({ start })) =>
  asset({ key: `bench/${name}`, partitions, deps: [dependsOn(up, by)], automation: eager(), materialize: nothing });
const followers = {
  "the same hour": follower("same", { kind: "same" }),
  "the hours of a day": follower("day", { kind: "windows" }, daily({ start: start.slice(0, 10) })),
  "the last hundred hours": follower("window", { kind: "offset", by: -99, through: 0 }),
  "all hours": follower("all", { kind: "all" }),
};

const home = await mkdtemp(join(tmpdir(), "sluice-bench-"));
try {
  const { definitions, problems } = collectDefinitions([{ file: "bench.ts", exports: { up, ...followers } }]);
  if (problems[0] !== undefined) throw problems[0];
  const platform = await openPlatform({ home, definitions: () => definitions });
  try {
    await fill(platform.events);
    const table: string[][] = [["decided from", "median", "p99", "max"]];
    const all: number[] = [];
    const figures: Record<string, readonly number[]> = {};
    for (const [what, { key }] of Object.entries(followers)) {
      const times: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const data = {
          asset: up.key,
          partition: last,
          materializationId: materialization(last),
          runId: "0".repeat(16),
        };
        const message = {
          data: btoa(JSON.stringify(data)),
          messageId: `${key}-${round}`,
          publishTime: new Date().toISOString(),
        };
        const began = performance.now();
        await platform.runtime.receive({ kind: "automation", key }, { body: { message } });
        times.push(performance.now() - began);
      }
      all.push(...times);
      figures[what] = times;
      table.push([what, ms(median(times)), ms(percentile(times, 0.99)), ms(Math.max(...times))]);
    }
    print({
      title: `Deciding by eager(), ${count.toLocaleString("en-US")} partitions on both sides, ${rounds} times each (${materializedTopicOf(up.key)})`,
      table,
      goals: [{ what: "99th percentile of a decision", value: percentile(all, 0.99), limit: 100, unit: "ms" }],
      figures,
      notes: [],
    });
  } finally {
    await platform.close();
  }
} finally {
  await rm(home, { recursive: true, force: true });
}

function materialization(partition: string): string {
  return `m-${partition}`;
}

/** Every partition of all assets is materialized, each with its event, as after years of work. */
async function fill(events: Awaited<ReturnType<typeof openPlatform>>["events"]): Promise<void> {
  for (const { key, partitions } of [up, ...Object.values(followers)]) {
    let writes: Write[] = [];
    let history: SluiceEvent[] = [];
    const flush = async (): Promise<void> => {
      const batch = { writes, events: history };
      [writes, history] = [[], []];
      await events.transact({}, () => ({ result: undefined, ...batch }));
    };
    const to = partitions?.kind === "time" && partitions.interval === "daily" ? last.slice(0, 10) : last;
    const from = partitions?.kind === "time" ? (partitions.start ?? "") : "";
    let newest = "";
    for (const partition of partitionRange(partitions, from, to)) {
      newest = partition.key;
      const materializationId = materialization(newest);
      const at = partition.start ?? 0;
      const head = { materializationId, runId: "0".repeat(16), at, fingerprint: "f".repeat(64), inputs: [] };
      writes.push(put(partitionRef(key, newest), { name: key, partition: newest, token: 1, head }));
      const about = { v: EVENT_VERSION, id: `${key}-${newest}`, at, asset: key, partition: newest } as const;
      history.push({ ...about, type: "materialized", materializationId, fingerprint: head.fingerprint, inputs: [] });
      if (writes.length === 5_000) await flush();
    }
    const asNewest = { key, partition: newest, order: newest, materializationId: materialization(newest), at: 0 };
    writes.push(put(ref("asset", key), asNewest));
    await flush();
  }
}
