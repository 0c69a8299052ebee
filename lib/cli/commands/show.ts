import { Command } from "commander";
import type { PartitionDocument, StoredVersion } from "../../core/documents.ts";
import { assetGraph } from "../../core/graph.ts";
import { namesOf } from "../../core/previous-keys.ts";
import { partitionRef } from "../../core/run-identity.ts";
import { slotRef } from "../../core/slot.ts";
import { formatTable } from "../../core/table.ts";
import { placeOf } from "../../runtime/parquet/store.ts";
import type { AssetEntry } from "../catalog.ts";
import { example, findAsset } from "../command.ts";
import { differingValue, printDiffering } from "../differing-code.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { freshnessLine, freshnessNow, freshnessValue } from "../freshness-view.ts";
import { runResult } from "../follow.ts";
import { latestData, madeValue, printLatestData, resultText } from "../latest-data.ts";
import { runsOf, withPreviousNames } from "../previous-names.ts";
import { pausedSince, pausedValue } from "../paused.ts";
import { runRows, RUN_HEAD } from "../run-rows.ts";
import { countText, printTable, timeText } from "../tables.ts";
import type { ReadableStore } from "../workbench.ts";

export function showCommand(run: Runner): Command {
  return deployable(new Command("show"))
    .description("show an asset: its definition, what it needs, what it holds, its last runs")
    .argument("<asset>", "the asset's key")
    .addHelpText("after", example("sluice show gitcoin/passport_scores"))
    .action(
      run(async ({ shell, bench }, key: string) => {
        const open = await bench();
        const { store, catalog } = open;
        const all = await catalog();
        const asset = findAsset(all, key);
        const comparing = open.differing?.();
        const graph = assetGraph(all.assets);
        const named = withPreviousNames(store, [asset]);
        const head = await named.get("asset", key);
        const pause = await named.get("pause", key);
        const stored = head === undefined ? undefined : await storedBy(named, key, head.partition);
        const partitions = await summaryOf(store, asset);
        const runs = await runsOf(store, asset, { limit: 5 });
        const data = await latestData(store, asset, head?.partition);
        const fresh = await freshnessNow(store, asset, Date.now());
        const shows = await rolledBackTo(store, asset);
        const differing = await comparing;
        shell.value({
          ...asset,
          ...(differing === undefined ? {} : differingValue(differing, key)),
          ...freshnessValue(fresh),
          dependents: graph.dependentsOf(key),
          ...pausedValue(pause),
          ...(head === undefined
            ? {}
            : { latest: { ...head, at: new Date(head.at).toISOString(), ...madeValue(data.made) } }),
          checkResults: [...data.checked.values()].map(({ result, partition, run: by, at }) => ({
            ...result,
            partition,
            run: by,
            at: new Date(at).toISOString(),
          })),
          ...(stored === undefined ? {} : { latestRows: stored }),
          ...(shows === undefined ? {} : { rolledBackTo: shows }),
          partitionCounts: partitions,
          recentRuns: runs.map(runResult),
        });

        const { paint } = shell;
        shell.print(`${paint("bold", key)}  ${asset.description ?? ""}`.trimEnd());
        shell.print();
        const facts = [
          ...factsOf(asset),
          ["paused", pause === undefined ? "" : pausedSince(pause)],
          ["dependents", graph.dependentsOf(key).join(", ")],
          [
            "latest",
            head === undefined ? "never materialized" : `${head.partition} at ${timeText(head.at)} UTC`.trimStart(),
          ],
          ["table shows", shows === undefined ? "" : `${shows}, by a rollback`],
          ["freshness", fresh === undefined ? "" : freshnessLine(fresh)],
          ["latest rows in", stored === undefined ? "" : (placeOf(stored.handle) ?? `version ${stored.version}`)],
          ["partitions held", partitionsText(partitions)],
        ].filter(([, text]) => text !== "");
        printTable(
          shell,
          facts.map(([name = "", text = ""]) => [{ text: name, style: "dim" as const }, text]),
        );
        for (const [title, rows] of [
          [
            "Checks",
            asset.checks.map(({ name, rule, blocking, severity }) => [
              name,
              rule,
              blocking ? `blocking, ${severity}` : severity,
              resultText(data.checked.get(name)),
            ]),
          ],
          ["Needs", needRows(asset.needs)],
        ] as const) {
          if (rows.length === 0) continue;
          shell.print();
          shell.print(paint("bold", title));
          printTable(shell, rows);
        }
        printLatestData(shell, data);
        if (runs.length > 0) {
          shell.print();
          shell.print(paint("bold", "Last runs"));
          printTable(shell, runRows(runs), RUN_HEAD);
        }
        if (differing !== undefined) printDiffering(shell, open, differing, [key]);
        return 0;
      }),
    );
}

/** What the newest partition's head says of rows that are in no table. */
async function storedBy(store: ReadableStore, key: string, partition: string): Promise<StoredVersion | undefined> {
  return (await store.get("partition", partitionRef(key, partition).id))?.head?.stored;
}

/** What the table shows, after a rollback. */
async function rolledBackTo(store: ReadableStore, { target }: AssetEntry): Promise<string | undefined> {
  if (target === undefined || target.slot !== "table") return undefined;
  const { committed } = (await store.get("slot", slotRef(target.table).id)) ?? {};
  return committed?.rolledBackFrom === undefined ? undefined : committed.partition;
}

interface PartitionCounts {
  readonly materialized: number;
  readonly sealed: number;
  readonly busy: number;
}

async function summaryOf(store: ReadableStore, asset: AssetEntry): Promise<PartitionCounts> {
  const counts = { materialized: 0, sealed: 0, busy: 0 };
  for (const name of namesOf(asset)) {
    let after: string | undefined;
    do {
      const page = await store.partitions({ name, limit: 1_000, ...(after === undefined ? {} : { after }) });
      for (const partition of page.items) count(counts, partition);
      after = page.next;
    } while (after !== undefined);
  }
  return counts;
}

function count(counts: { materialized: number; sealed: number; busy: number }, partition: PartitionDocument): void {
  if (partition.head !== undefined) counts.materialized++;
  if (partition.seal !== undefined) counts.sealed++;
  if (partition.holder !== undefined) counts.busy++;
}

function partitionsText({ materialized, sealed, busy }: PartitionCounts): string {
  if (materialized === 0 && busy === 0) return "";
  const parts = [countText(materialized, "partition")];
  if (sealed > 0) parts.push(`${sealed} sealed`);
  if (busy > 0) parts.push(`${busy} with a run`);
  return parts.join(", ");
}

function factsOf(asset: AssetEntry): [string, string][] {
  const { partitions, source, target, retention, automation } = asset;
  const time =
    partitions?.kind === "time"
      ? `${partitions.interval}${partitions.start === undefined ? "" : ` from ${partitions.start}`}`
      : "";
  return [
    ["defined in", asset.place],
    ["called before", (asset.previousKeys ?? []).join(", ")],
    ["made", asset.external === undefined ? "" : madeText(asset.key, asset.external)],
    ["topic", asset.topic],
    ["owners", asset.owners.join(", ")],
    ["group", asset.group ?? ""],
    ["kinds", asset.kinds.join(", ")],
    [
      "tags",
      Object.entries(asset.tags)
        .map(([name, value]) => `${name}=${value}`)
        .join(", "),
    ],
    ["partitions", partitions?.kind === "static" ? partitions.keys.join(", ") : time],
    [
      "source",
      source === undefined
        ? ""
        : `gs://${[source.bucket, source.pathBase, source.fileMatch].filter((part) => part !== "").join("/")}`,
    ],
    ["table", target === undefined ? "" : tableText(asset, target)],
    ["rows in", asset.rowsIn ?? ""],
    ["staging in", target?.stagingDataset ?? ""],
    ["retention", retention === undefined ? "" : countText(retention.days, "day")],
    ["runs by itself", automation === undefined ? "" : automationText(automation)],
    ["pool", asset.pool ?? ""],
    ["depends on", asset.deps.join(", ")],
    ["requests", asset.maxEventAge === undefined ? "" : `skipped when older than ${asset.maxEventAge}`],
    ["backfill", asset.backfill === undefined ? "" : "takes --single-run"],
    ["code version", asset.codeVersion ?? ""],
  ];
}

function automationText(automation: NonNullable<AssetEntry["automation"]>): string {
  if (!("cron" in automation)) return automation.kind;
  return `${automation.kind === "schedule" ? "" : `${automation.kind} `}${automation.cron} (${automation.timeZone})`;
}

/** A need for several reasons stands there once. */
function needRows(needs: AssetEntry["needs"]): string[][] {
  return [...Map.groupBy(needs, needText)].flatMap(([text, same]) =>
    [...new Set(same.map(({ reason }) => reason))].map((reason, index) => [index === 0 ? text : "", reason]),
  );
}

function needText({ kind, reason, ...rest }: AssetEntry["needs"][number]): string {
  const { bucket, prefix, ...others } = rest;
  const place = typeof bucket === "string" ? `gs://${bucket}/${typeof prefix === "string" ? prefix : ""}` : "";
  return [kind, place, ...Object.values(others).filter((value) => typeof value === "string")]
    .filter((part) => part !== "")
    .join(" ");
}

function tableText({ external }: AssetEntry, target: NonNullable<AssetEntry["target"]>): string {
  const table = formatTable(target.table);
  if (external === undefined) return `${table}, ${publishText(target)}`;
  const { column = "time of ingestion" } = target.partitioning ?? {};
  return target.slot === "partition" ? `${table}, by ${column}` : table;
}

function madeText(key: string, how: NonNullable<AssetEntry["external"]>): string {
  if (how === "reported") return `elsewhere; new data is told by \`sluice report ${key}\``;
  return "elsewhere; its code looks for a new version";
}

function publishText({ slot, publish }: NonNullable<AssetEntry["target"]>): string {
  if (slot === "partition") return "partition by partition";
  if (publish === "append") return "to which each run adds its rows";
  if (publish === "view") return "a view";
  return typeof publish === "object" ? `merged by ${publish.merge.join(", ")}` : "replaced by each run";
}
