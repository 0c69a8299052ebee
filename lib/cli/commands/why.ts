import { Command } from "commander";
import { explainFiles } from "../../core/condition-files.ts";
import type { FilesFact } from "../../core/condition-files.ts";
import { explain } from "../../core/condition.ts";
import type { Explained } from "../../core/condition.ts";
import { formatPartition, latestPartition } from "../../core/partitions.ts";
import type { Completeness } from "../../core/file-pattern.ts";
import { partitionRef } from "../../core/run-identity.ts";
import { readFacts } from "../../runtime/upstreams.ts";
import { checkPartition, example, findAsset } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import { freshnessLine, freshnessNow, freshnessValue } from "../freshness-view.ts";
import { runsOf, withPreviousNames } from "../previous-names.ts";
import type { Runner } from "../command.ts";
import type { AssetEntry, Catalog } from "../catalog.ts";
import type { ReadableStore } from "../workbench.ts";
import { pausedSince, pausedValue } from "../paused.ts";
import { plain } from "../shell.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly partition?: string;
}

export function whyCommand(run: Runner): Command {
  return deployable(new Command("why"))
    .description("explain why an asset runs, or waits: its condition as a tree, each part with its value and reason")
    .argument("<asset>", "the asset's key")
    .option("--partition <key>", "the partition to explain (default: its newest)")
    .addHelpText("after", example("sluice why gitcoin/profiles", "sluice why gitcoin/profiles --partition 2024-05-01"))
    .action(
      run(async ({ shell, bench }, key: string, { partition }: Options) => {
        const { catalog, store } = await bench();
        const { value, lines } = await explainAsset(store, await catalog(), key, partition);
        shell.value(value);
        for (const line of lines) shell.print(line);
        return 0;
      }),
    );
}

/** Why an asset runs or waits, for people and for programs. `chosen`: the partition's key. Throws `UsageError`. */
export async function explainAsset(stored: ReadableStore, catalog: Catalog, key: string, chosen: string | undefined) {
  const store = withPreviousNames(stored, catalog.assets);
  const asset = findAsset(catalog, key);
  const partition = await choosePartition(store, asset, chosen);
  const assets = new Map(catalog.assets.map((entry) => [entry.key, entry]));
  const facts = await readFacts({ events: store, assets }, asset, partition, Date.now());
  const fresh = await freshnessNow(store, asset, Date.now());
  const [last] = await runsOf(store, asset, { partition, limit: 1 });
  const condition = asset.automation === undefined ? undefined : explain(asset.automation, facts);
  const tree = condition === undefined ? [`  it never runs by itself: ${reasonOf(asset)}`] : treeLines(condition, "  ");
  const { source } = asset;
  const known = await store.get("partition", partitionRef(key, partition).id);
  const files = source === undefined ? undefined : explainFiles({ source: sourceOf(source), known, last });
  const pause = await store.get("pause", key);
  const reason = last?.reason === undefined ? "" : `: ${plain(last.reason)}`;
  return {
    value: {
      asset: key,
      partition,
      ...pausedValue(pause),
      condition: condition ?? null,
      ...(files === undefined ? {} : { files }),
      facts,
      ...freshnessValue(fresh),
      lastRun: last ?? null,
    },
    lines: [
      `${key} ${formatPartition({ key: partition })}`,
      ...(pause === undefined
        ? []
        : [`  paused ${pausedSince(pause)}: what asks for it by itself waits for its resume`]),
      ...tree,
      ...(files === undefined ? [] : treeLines(files, "  ")),
      ...(fresh === undefined ? [] : [`  ${freshnessLine(fresh)}`]),
      ...(last === undefined ? [] : [`  last run ${last.id} ${last.status}${reason}`]),
    ],
  };
}

function sourceOf({ complete, ...source }: NonNullable<AssetEntry["source"]>): FilesFact["source"] {
  // The catalog keeps it as the definition's own rules have let it pass.
  return complete === undefined ? source : { ...source, complete: complete as Completeness };
}

function reasonOf({ key, external }: AssetEntry): string {
  if (external === undefined) return "it has no automation";
  if (external === "reported") return `it is made elsewhere, and new data is told by \`sluice report ${key}\``;
  return "it is looked at by hand, and when an asset of its file that depends on it runs";
}

/** The one asked for; otherwise the newest that was made, or else the newest that is over. */
async function choosePartition(store: ReadableStore, asset: AssetEntry, wanted: string | undefined): Promise<string> {
  if (wanted !== undefined) return checkPartition(asset, wanted);
  const newest = await store.get("asset", asset.key);
  const latest = newest?.partition ?? latestPartition(asset.partitions, Date.now())?.key;
  if (latest === undefined) throw new UsageError(`${asset.key} has no newest partition: name one with --partition`);
  return latest;
}

/** What has parts says no more than these do. */
function treeLines({ label, value, because, events, parts }: Explained, indent: string): string[] {
  const reason = parts.length === 0 ? `: ${because}` : "";
  const rests = events.length === 0 ? "" : `  [${events.slice(0, 3).join(", ")}${events.length > 3 ? ", …" : ""}]`;
  return [
    plain(`${indent}${value ? "✓" : "✗"} ${label}${reason}${rests}`),
    ...parts.flatMap((part) => treeLines(part, `${indent}  `)),
  ];
}
