import { Command, Option } from "commander";
import type { RunStatus } from "../../core/documents.ts";
import { example, findAsset, positiveCount } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { runResult } from "../follow.ts";
import { runsOf } from "../previous-names.ts";
import { RUN_HEAD, runRows } from "../run-rows.ts";
import { printTable } from "../tables.ts";

interface Options {
  readonly asset?: string;
  readonly partition?: string;
  readonly status?: RunStatus;
  readonly limit: number;
}

export function runsCommand(run: Runner): Command {
  return deployable(new Command("runs"))
    .description("list runs, last created first")
    .option("--asset <key>", "only runs of this asset")
    .option("--partition <key>", "only runs of this partition")
    .addOption(
      new Option("--status <status>", "only runs in this state").choices([
        "running",
        "parked",
        "succeeded",
        "failed",
        "skipped",
        "canceled",
      ]),
    )
    .option("--limit <count>", "how many", positiveCount("--limit"), 20)
    .addHelpText("after", example("sluice runs", "sluice runs --asset gitcoin/passport_scores --status failed"))
    .action(
      run(async ({ shell, bench }, { asset, partition, status, limit }: Options) => {
        const { store, catalog } = await bench();
        const query = {
          limit,
          ...(partition === undefined ? {} : { partition }),
          ...(status === undefined ? {} : { status }),
        };
        const items =
          asset === undefined
            ? (await store.runs(query)).items
            : await runsOf(store, findAsset(await catalog(), asset), query);
        shell.value(items.map(runResult));
        if (items.length === 0) shell.print("No runs.");
        else printTable(shell, runRows(items), RUN_HEAD);
        return 0;
      }),
    );
}
