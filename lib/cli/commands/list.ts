import { Command } from "commander";
import type { AssetDocument, PauseDocument } from "../../core/documents.ts";
import { chooseAssets, example } from "../command.ts";
import { differingValue, printDiffering } from "../differing-code.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import type { AssetEntry } from "../catalog.ts";
import { freshnessCell, freshnessNow, freshnessValue } from "../freshness-view.ts";
import type { FreshnessView } from "../freshness-view.ts";
import { withPreviousNames } from "../previous-names.ts";
import { sensorStates } from "../sensor-states.ts";
import { pausedValue } from "../paused.ts";
import { printTable, timeText } from "../tables.ts";
import type { Differing } from "../workbench.ts";

export function listCommand(run: Runner): Command {
  return deployable(new Command("list"))
    .description("list assets, with their sensors and jobs")
    .argument("[selection]", "which assets: gitcoin/*, +key (with all upstream), key+, tag:daily, …")
    .addHelpText("after", example("sluice list", 'sluice list "gitcoin/*"', "sluice list --json"))
    .action(
      run(async ({ shell, bench }, selection: string | undefined) => {
        const open = await bench();
        const { store, catalog } = open;
        const all = await catalog();
        // Beside the questions to the store.
        const comparing = open.differing?.();
        const { assets, sensors, jobs, problems } = all;
        const chosen = selection === undefined ? assets : chooseAssets(all, selection);
        const heads = new Map<string, AssetDocument>();
        const pauses = new Map<string, PauseDocument>();
        const heldBy = withPreviousNames(store, chosen);
        const now = Date.now();
        const fresh = new Map<string, FreshnessView>();
        // All at once: a store in the cloud takes its time for each.
        await Promise.all(
          chosen.map(async (asset) => {
            const { key } = asset;
            const [head, pause, view] = await Promise.all([
              heldBy.get("asset", key),
              heldBy.get("pause", key),
              freshnessNow(store, asset, now),
            ]);
            if (head !== undefined) heads.set(key, head);
            if (pause !== undefined) pauses.set(key, pause);
            if (view !== undefined) fresh.set(key, view);
          }),
        );
        const states = selection === undefined ? await sensorStates(sensors, store) : [];
        const shownJobs = selection === undefined ? jobs : [];

        const differing: Differing = (await comparing) ?? new Map();
        shell.value({
          assets: chosen.map((asset) => ({
            ...asset,
            ...differingValue(differing, asset.key),
            ...latest(heads.get(asset.key)),
            ...pausedValue(pauses.get(asset.key)),
            ...freshnessValue(fresh.get(asset.key)),
          })),
          sensors: states,
          jobs: shownJobs,
          problems,
        });
        const assetRows = chosen.map((asset) => {
          const head = heads.get(asset.key);
          return [
            { text: asset.key, style: "bold" as const },
            partitionsText(asset),
            head === undefined ? { text: "never", style: "dim" as const } : `${timeText(head.at)}  ${head.partition}`,
            ...(fresh.size === 0 ? [] : [freshnessCell(fresh.get(asset.key))]),
            ...(pauses.size === 0 ? [] : [pauses.has(asset.key) ? { text: "paused", style: "yellow" as const } : ""]),
            [...(asset.external === undefined ? [] : [EXTERNAL[asset.external]]), ...asset.kinds].join(", "),
            { text: asset.place.split(" ")[0] ?? "", style: "dim" as const },
          ];
        });
        if (assetRows.length === 0) {
          // What is wrong is said below.
          const remedy =
            problems.length === 0 ? "export one from a file in functions/" : "the definitions have problems";
          shell.print(`No assets: ${remedy}.`);
        } else {
          const fresher = fresh.size === 0 ? [] : ["FRESH"];
          const paused = pauses.size === 0 ? [] : ["STATE"];
          const head = ["ASSET", "PARTITIONS", "LAST MATERIALIZED (UTC)", ...fresher, ...paused, "KINDS", "FILE"];
          printTable(shell, assetRows, head);
        }
        if (states.length > 0) {
          shell.print();
          const rows = states.map((sensor) => [
            { text: sensor.name, style: "bold" as const },
            { text: sensor.status, style: sensor.status === "running" ? ("green" as const) : ("dim" as const) },
            `${sensor.watches} → ${sensor.requests}`,
          ]);
          printTable(shell, rows, ["SENSOR", "STATUS", "WATCHES → REQUESTS"]);
        }
        if (shownJobs.length > 0) {
          shell.print();
          const rows = shownJobs.map((job) => [{ text: job.name, style: "bold" as const }, job.topic]);
          printTable(shell, rows, ["JOB", "TOPIC"]);
        }
        printDiffering(
          shell,
          open,
          differing,
          chosen.map(({ key }) => key),
        );
        for (const problem of problems) shell.warn(problem);
        return problems.length === 0 ? 0 : 1;
      }),
    );
}

/** What the list calls data that is made elsewhere. */
const EXTERNAL = { reported: "external", observed: "source" } as const;

function partitionsText({ partitions }: AssetEntry): string {
  if (partitions === undefined) return "–";
  if (partitions.kind === "static") return `${partitions.keys.length} keys`;
  const { interval, start, end } = partitions;
  return `${interval}${start === undefined ? "" : ` from ${start}`}${end === undefined ? "" : ` to before ${end}`}`;
}

function latest(head: AssetDocument | undefined): object {
  if (head === undefined) return {};
  const { partition, at, materializationId } = head;
  return { latest: { partition, at: new Date(at).toISOString(), materializationId } };
}
