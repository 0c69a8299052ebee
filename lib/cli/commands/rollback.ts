import { Command } from "commander";
import { formatTable } from "../../core/table.ts";
import { partitionOrder } from "../../core/partitions.ts";
import { partitionRef } from "../../core/run-identity.ts";
import { slotRef } from "../../core/slot.ts";
import { accumulates } from "../../core/target.ts";
import type { AssetEntry } from "../catalog.ts";
import { checkPartition, example, findAsset } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { withPreviousNames } from "../previous-names.ts";
import { requestResult, requestRun } from "../request-run.ts";
import { UsageError } from "../usage-error.ts";
import type { ReadableStore } from "../workbench.ts";

interface Options {
  readonly to: string;
  readonly unseal?: true;
}

export function rollbackCommand(run: Runner): Command {
  return deployable(new Command("rollback"))
    .description("show an older interval again in a table that each newest interval replaces")
    .argument("<asset>", "the asset's key")
    .requiredOption("--to <interval>", "the interval to go back to")
    .option("--unseal", "also to one that a clean-up has sealed, once all its files are back")
    .addHelpText(
      "after",
      example(
        "sluice rollback gitcoin/passport_scores --to 2024-05-01",
        "sluice rollback gitcoin/passport_scores --to 2024-05-01 --env prod",
      ),
    )
    .action(
      run(async ({ shell, bench: open }, key: string, { to, unseal }: Options) => {
        const bench = await open();
        const asset = findAsset(await bench.catalog(), key);
        const partition = await checkRollback(withPreviousNames(bench.store, [asset]), asset, to, unseal === true);
        const wishes = { partition, rollback: true, ...(unseal === undefined ? {} : { unseal }) };
        const requested = await requestRun(shell, bench, asset, wishes);
        if (requested.kind === "refused") shell.warn(`error: ${requested.reason}`);
        shell.value({ asset: key, ...requestResult(requested) });
        if (requested.kind === "refused") return 2;
        const { status, reason } = requested.run;
        if (status !== "succeeded") {
          shell.warn(`error: ${key} does not show ${partition}: ${reason ?? status}`);
          return 1;
        }
        shell.print(`${key} shows ${partition}, until a newer interval's data is new, or somebody asks for it`);
        return 0;
      }),
    );
}

/** The interval's own spelling. Throws `UsageError`, with the remedy, where there is nothing to go back from or to. */
async function checkRollback(store: ReadableStore, asset: AssetEntry, to: string, unseal: boolean): Promise<string> {
  const { key, target, partitions, external } = asset;
  if (external !== undefined || target === undefined)
    throw new UsageError(`${key} has no table that Sluice publishes: there is nothing to go back to`);
  if (partitions === undefined)
    throw new UsageError(`${key} has no intervals: undo what its code does, and \`sluice materialize ${key} --force\``);
  const partition = checkPartition(asset, to);
  const again = `\`sluice materialize ${key} --partition ${partition} --force\``;
  if (target.slot === "partition")
    throw new UsageError(`${key} keeps each interval in a partition of its own: make that one anew with ${again}`);
  if (accumulates(target))
    throw new UsageError(`${key} keeps the rows of all its intervals in one table, and none of them replaces another`);
  const slot = await store.get("slot", slotRef(target.table).id);
  const { committed } = slot ?? {};
  if (committed === undefined)
    throw new UsageError(`${formatTable(target.table)} shows nothing yet: ${again} fills it`);
  if (committed.partition === partition)
    throw new UsageError(`${formatTable(target.table)} shows ${partition} already`);
  if (committed.order < partitionOrder(partitions, partition))
    throw new UsageError(
      `${formatTable(target.table)} shows ${committed.partition}, which is older: go on with \`sluice materialize ${key} --partition ${partition}\``,
    );
  const held = await store.get("partition", partitionRef(key, partition).id);
  if (held?.seal === undefined || unseal) return partition;
  throw new UsageError(
    `${partition} of ${key} was cleaned up, and its raw table with it: put all its files back, and say --unseal`,
  );
}
