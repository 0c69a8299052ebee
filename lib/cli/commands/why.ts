import { Command } from "commander";
import { explain } from "../../core/condition.ts";
import type { Explained } from "../../core/condition.ts";
import { formatPartition, latestPartition } from "../../core/partitions.ts";
import { readFacts } from "../../runtime/upstreams.ts";
import { checkPartition, example, findAsset } from "../command.ts";
import type { Runner } from "../command.ts";
import type { AssetEntry } from "../catalog.ts";
import type { ReadableStore } from "../workbench.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly partition?: string;
}

export function whyCommand(run: Runner): Command {
  return new Command("why")
    .description("explain why an asset runs, or waits: its condition as a tree, each part with its value and reason")
    .argument("<asset>", "the asset's key")
    .option("--partition <key>", "the partition to explain (default: its newest)")
    .addHelpText("after", example("sluice why gitcoin/profiles", "sluice why gitcoin/profiles --partition 2024-05-01"))
    .action(
      run(async ({ shell, bench }, key: string, options: Options) => {
        const { catalog, store } = await bench();
        const known = await catalog();
        const asset = findAsset(known, key);
        const partition = await choosePartition(store, asset, options.partition);
        const assets = new Map(known.assets.map((entry) => [entry.key, entry]));
        const facts = await readFacts({ events: store, assets }, asset, partition, Date.now());
        const { items: runs } = await store.runs({ kind: "asset", name: key, partition, limit: 1 });
        const last = runs[0];
        const condition = asset.automation === undefined ? undefined : explain(asset.automation, facts);
        shell.value({ asset: key, partition, condition: condition ?? null, facts, lastRun: last ?? null });

        shell.print(`${key} ${formatPartition({ key: partition })}`);
        if (condition === undefined) shell.print("  it never runs by itself: it has no automation");
        else for (const line of treeLines(condition, "  ")) shell.print(line);
        if (last !== undefined) {
          const reason = last.reason === undefined ? "" : `: ${last.reason}`;
          shell.print(`  last run ${last.id} ${last.status}${reason}`);
        }
        return 0;
      }),
    );
}

/** The one asked for; otherwise the newest that was made, or else the newest that is over. */
async function choosePartition(store: ReadableStore, asset: AssetEntry, wanted: string | undefined): Promise<string> {
  if (wanted !== undefined) return checkPartition(asset, wanted);
  const newest = await store.get("asset", asset.key);
  const latest = newest?.partition ?? latestPartition(asset.partitions, Date.now())?.key;
  if (latest === undefined) throw new UsageError(`${asset.key} has no newest partition: name one with --partition`);
  return latest;
}

function treeLines({ label, value, because, events, parts }: Explained, indent: string): string[] {
  const rests = events.length === 0 ? "" : `  [${events.slice(0, 3).join(", ")}${events.length > 3 ? ", …" : ""}]`;
  return [
    `${indent}${value ? "✓" : "✗"} ${label}: ${because}${rests}`,
    ...parts.flatMap((part) => treeLines(part, `${indent}  `)),
  ];
}
