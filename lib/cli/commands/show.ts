import { Command } from "commander";
import type { PartitionDocument } from "../../core/documents.ts";
import { assetGraph } from "../../core/graph.ts";
import { formatTable } from "../../core/table.ts";
import type { AssetEntry } from "../catalog.ts";
import { example, findAsset } from "../command.ts";
import type { Runner } from "../command.ts";
import { runResult } from "../follow.ts";
import { runRows, RUN_HEAD } from "../run-rows.ts";
import { countText, printTable, timeText } from "../tables.ts";
import type { ReadableStore } from "../workbench.ts";

export function showCommand(run: Runner): Command {
  return new Command("show")
    .description("show an asset: its definition, what it needs, what it holds, its last runs")
    .argument("<asset>", "the asset's key")
    .addHelpText("after", example("sluice show gitcoin/passport_scores"))
    .action(
      run(async ({ shell, bench }, key: string) => {
        const { store, catalog } = await bench();
        const all = await catalog();
        const asset = findAsset(all, key);
        const graph = assetGraph(all.assets);
        const head = await store.get("asset", key);
        const partitions = await summaryOf(store, key);
        const { items: runs } = await store.runs({ kind: "asset", name: key, limit: 5 });
        shell.value({
          ...asset,
          dependents: graph.dependentsOf(key),
          ...(head === undefined ? {} : { latest: { ...head, at: new Date(head.at).toISOString() } }),
          partitionCounts: partitions,
          recentRuns: runs.map(runResult),
        });

        const { paint } = shell;
        shell.print(`${paint("bold", key)}  ${asset.description ?? ""}`.trimEnd());
        shell.print();
        const facts = [
          ...factsOf(asset),
          ["dependents", graph.dependentsOf(key).join(", ")],
          [
            "latest",
            head === undefined ? "never materialized" : `${head.partition} at ${timeText(head.at)} UTC`.trimStart(),
          ],
          ["partitions held", partitionsText(partitions)],
        ].filter(([, text]) => text !== "");
        printTable(
          shell,
          facts.map(([name = "", text = ""]) => [{ text: name, style: "dim" as const }, text]),
        );
        for (const [title, rows] of [
          [
            "Checks",
            asset.checks.map((check) => [check.name, check.rule, check.blocking ? "blocking" : check.severity]),
          ],
          ["Needs", asset.needs.map((need) => [needText(need), need.reason])],
        ] as const) {
          if (rows.length === 0) continue;
          shell.print();
          shell.print(paint("bold", title));
          printTable(shell, rows);
        }
        if (runs.length > 0) {
          shell.print();
          shell.print(paint("bold", "Last runs"));
          printTable(shell, runRows(runs), RUN_HEAD);
        }
        return 0;
      }),
    );
}

interface PartitionCounts {
  readonly materialized: number;
  readonly sealed: number;
  readonly busy: number;
}

async function summaryOf(store: ReadableStore, name: string): Promise<PartitionCounts> {
  const counts = { materialized: 0, sealed: 0, busy: 0 };
  let after: string | undefined;
  do {
    const page = await store.partitions({ name, limit: 1_000, ...(after === undefined ? {} : { after }) });
    for (const partition of page.items) count(counts, partition);
    after = page.next;
  } while (after !== undefined);
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
    [
      "table",
      target === undefined
        ? ""
        : `${formatTable(target.table)}${target.slot === "table" ? ", replaced by each run" : ", partition by partition"}`,
    ],
    ["staging in", target?.stagingDataset ?? ""],
    ["retention", retention === undefined ? "" : countText(retention.days, "day")],
    ["runs by itself", automation === undefined ? "" : automationText(automation)],
    ["depends on", asset.deps.join(", ")],
    ["code version", asset.codeVersion ?? ""],
  ];
}

function automationText(automation: NonNullable<AssetEntry["automation"]>): string {
  if (!("cron" in automation)) return automation.kind;
  return `${automation.kind === "schedule" ? "" : `${automation.kind} `}${automation.cron} (${automation.timeZone})`;
}

function needText({ kind, reason, ...rest }: AssetEntry["needs"][number]): string {
  const { bucket, prefix, ...others } = rest;
  const place = typeof bucket === "string" ? `gs://${bucket}/${typeof prefix === "string" ? prefix : ""}` : "";
  return [kind, place, ...Object.values(others).filter((value) => typeof value === "string")]
    .filter((part) => part !== "")
    .join(" ");
}
