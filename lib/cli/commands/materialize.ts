import { Command } from "commander";
import { z } from "zod";
import { systemRandom } from "../../local/system-clock.ts";
import type { RunDocument } from "../../core/documents.ts";
import type { AssetEntry } from "../catalog.ts";
import { checkPartition, chooseAssets, example, jsonOf } from "../command.ts";
import type { Runner } from "../command.ts";
import { endOfHistory, follow, runResult } from "../follow.ts";
import type { Shell } from "../shell.ts";
import { UsageError } from "../usage-error.ts";
import type { Workbench } from "../workbench.ts";

interface Options {
  readonly partition?: string;
  readonly force?: true;
  readonly rollback?: true;
  readonly allowMissing?: true;
  readonly unseal?: true;
  readonly config?: string;
}

type Outcome =
  | { readonly kind: "run"; readonly run: RunDocument }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "left-out"; readonly because: string };

export function materializeCommand(run: Runner): Command {
  return new Command("materialize")
    .description("ask for assets to be materialized, and follow their runs to the end")
    .argument("<selection>", "an asset's key, or a selection such as gitcoin/* or +key")
    .option("--partition <key>", "which partition; the newest where it is left out")
    .option("--force", "run although nothing has changed")
    .option("--rollback", "let an older interval replace a newer one")
    .option("--allow-missing", "publish although objects that were loaded before are gone")
    .option("--unseal", "open a partition again that a clean-up has sealed")
    .option("--config <json>", "the run's config")
    .addHelpText(
      "after",
      example(
        "sluice materialize gitcoin/passport_scores --partition 2024-05-01",
        'sluice materialize "+gitcoin/*"',
        `sluice materialize gitcoin/passport_scores --force`,
      ),
    )
    .action(
      run(async ({ shell, bench: open }, selection: string, options: Options) => {
        const bench = await open();
        const assets = chooseAssets(await bench.catalog(), selection);
        const partitions = new Map(assets.map((asset) => [asset.key, partitionFor(asset, options.partition)]));
        const wishes = wishesOf(options);
        const outcomes = new Map<string, Outcome>();
        for (const asset of assets) {
          const blocker = asset.deps.find((dep) => outcomes.has(dep) && !isGood(outcomes.get(dep)));
          const outcome: Outcome =
            blocker === undefined
              ? await materialize(shell, bench, asset, { ...wishes, ...partitions.get(asset.key) })
              : { kind: "left-out", because: blocker };
          outcomes.set(asset.key, outcome);
          report(shell, asset.key, outcome);
        }
        shell.value([...outcomes].map(([asset, outcome]) => ({ asset, ...outcomeResult(outcome) })));
        const all = [...outcomes.values()];
        if (all.every(isGood)) return 0;
        return all.some(({ kind }) => kind === "run") ? 1 : 2;
      }),
    );
}

function partitionFor(asset: AssetEntry, partition: string | undefined): { partition?: string } {
  if (partition !== undefined) return { partition: checkPartition(asset, partition) };
  if (asset.partitions?.kind !== "static") return {};
  throw new UsageError(
    `${asset.key} has no newest partition: choose one with --partition (${asset.partitions.keys.join(", ")})`,
  );
}

function wishesOf({ force, rollback, allowMissing, unseal, config }: Options): Readonly<Record<string, unknown>> {
  const parsed =
    config === undefined ? undefined : z.record(z.string(), z.unknown()).safeParse(jsonOf("--config", config));
  if (parsed?.success === false) throw new UsageError(`--config takes a JSON object, got ${config ?? ""}`);
  return {
    ...(force === undefined ? {} : { force }),
    ...(rollback === undefined ? {} : { rollback }),
    ...(allowMissing === undefined ? {} : { allowMissing }),
    ...(unseal === undefined ? {} : { unseal }),
    ...(parsed === undefined ? {} : { config: parsed.data }),
  };
}

/** Publishes the request as anybody would; its run key tells the run among all others. */
async function materialize(
  shell: Shell,
  bench: Workbench,
  asset: AssetEntry,
  wishes: Readonly<Record<string, unknown>>,
): Promise<Outcome> {
  const from = await endOfHistory(bench.store);
  const runKey = `manual:${systemRandom().id()}`;
  const body = { ...wishes, runKey, cause: { kind: "manual" } };
  const data = Buffer.from(JSON.stringify(body)).toString("base64");
  const messageId = await bench.publish(asset.topic, { data, attributes: {} });
  const follower = follow(shell, bench, from, { runKeys: [runKey], messageId });
  try {
    await follower.untilEnded();
    // What follows from it, sensors for example, is for whoever runs on: this process, unless dev does the work.
    if (!bench.remote) await follower.untilSettled();
  } catch (error) {
    if (shell.signal.aborted)
      shell.warn(`${asset.key}: left alone; it goes on under \`sluice dev\` or with the next command`);
    throw error;
  }
  const reason = follower.refusal();
  if (reason !== undefined) return { kind: "refused", reason };
  const ended = (await follower.runs()).find((run) => run.endedAt !== undefined);
  if (ended === undefined) throw new Error(`the run of ${asset.key} has gone`);
  return { kind: "run", run: ended };
}

/** A skipped run found what was asked for already done, or had nothing to do. */
function isGood(outcome: Outcome | undefined): boolean {
  return outcome?.kind === "run" && outcome.run.status !== "failed";
}

function report(shell: Shell, asset: string, outcome: Outcome): void {
  if (outcome.kind === "refused") shell.warn(`error: ${outcome.reason}`);
  if (outcome.kind === "left-out") shell.warn(`${asset}: left out, because ${outcome.because} failed`);
}

function outcomeResult(outcome: Outcome): object {
  if (outcome.kind === "run") return runResult(outcome.run);
  return outcome.kind === "refused"
    ? { status: "refused", reason: outcome.reason }
    : { status: "left-out", reason: `${outcome.because} failed` };
}
