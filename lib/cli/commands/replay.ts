import { Command } from "commander";
import type { RunDocument } from "../../core/documents.ts";
import { partitionOrder } from "../../core/partitions.ts";
import { replayOf } from "../../core/replay.ts";
import type { ReplayWishes } from "../../core/replay.ts";
import { slotRef } from "../../core/slot.ts";
import { systemRandom } from "../../local/system-clock.ts";
import type { AssetEntry } from "../catalog.ts";
import { example, unknownName } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { runResult } from "../follow.ts";
import { requestAndFollow } from "../request-run.ts";
import { plain } from "../shell.ts";
import { UsageError } from "../usage-error.ts";
import type { ReadableStore } from "../workbench.ts";

export function replayCommand(run: Runner): Command {
  return deployable(new Command("replay"))
    .description(
      "ask for the same as an earlier run was asked for, with its partition and config, and follow it to its end",
    )
    .argument("<run>", "the run's id, as `sluice runs` shows it")
    .option("--force", "run although nothing has changed")
    .option("--rollback", "let an older interval replace a newer one")
    .addHelpText("after", example("sluice replay 4f1d0a2b3c4d5e6f", "sluice replay 4f1d0a2b3c4d5e6f --force"))
    .action(
      run(async ({ shell, bench: open }, id: string, wishes: ReplayWishes) => {
        const bench = await open();
        const before = await bench.store.get("run", id);
        if (before === undefined) throw new UsageError(`there is no run ${JSON.stringify(id)}: see \`sluice runs\``);
        const { assets, jobs } = await bench.catalog();
        const asset = before.kind === "asset" ? assetNow(assets, before) : undefined;
        const place = asset === undefined ? undefined : await placeOf(bench.store, asset, before);
        const replay = replayOf(before, systemRandom().id(), wishes, place);
        if (replay.kind === "refused") {
          shell.value({ status: "refused", reason: replay.reason });
          shell.warn(`error: ${replay.reason}`);
          return 2;
        }
        const { runKey = "", cause = { kind: "manual" }, ...body } = replay.body;
        const job = jobs.find(({ name }) => name === before.name);
        const target = asset ?? job;
        if (target === undefined)
          throw unknownName(
            "job",
            before.name,
            jobs.map(({ name }) => name),
          );
        const request = { name: before.name, topic: target.topic, wishes: body, as: { runKey, cause } };
        const { refusal, runs } = await requestAndFollow(shell, bench, request);
        if (refusal !== undefined) {
          shell.value({ status: "refused", reason: refusal });
          shell.warn(`error: ${refusal}`);
          return 2;
        }
        const ended = runs.find(({ endedAt }) => endedAt !== undefined);
        if (ended === undefined) throw new Error(`the run of ${before.name} has gone`);
        shell.value(runResult(ended));
        const reason = ended.reason === undefined ? "" : `, ${ended.reason}`;
        shell.print(plain(`run ${ended.id}: ${ended.status}${reason}`));
        return ended.status === "failed" || ended.status === "canceled" ? 1 : 0;
      }),
    );
}

/** Under the name that it has now. */
function assetNow(assets: readonly AssetEntry[], { name }: RunDocument): AssetEntry {
  const found = assets.find(({ key, previousKeys = [] }) => key === name || previousKeys.includes(name));
  if (found !== undefined) return found;
  throw unknownName(
    "asset",
    name,
    assets.map(({ key }) => key),
  );
}

/** Where its partitions replace each other, what the table shows. */
async function placeOf(store: ReadableStore, { target, partitions }: AssetEntry, { partition }: RunDocument) {
  if (target === undefined || target.slot !== "table" || (target.publish ?? "replace") !== "replace") return undefined;
  return { slot: await store.get("slot", slotRef(target.table).id), order: partitionOrder(partitions, partition) };
}
