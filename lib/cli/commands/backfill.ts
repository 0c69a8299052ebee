import { setTimeout as pause } from "node:timers/promises";
import { Command, Option } from "commander";
import { MAX_CONCURRENT } from "../../core/backfill.ts";
import type { BackfillMessage } from "../../core/backfill-message.ts";
import type { BackfillDocument } from "../../core/documents.ts";
import { systemClock, systemRandom } from "../../local/system-clock.ts";
import { planBackfill, printPlan } from "../backfill-plan.ts";
import { backfillResult, barText, followBackfill, progressText } from "../backfill-view.ts";
import type { AssetEntry, Catalog } from "../catalog.ts";
import { example, findAsset, positiveCount } from "../command.ts";
import { deployable, paceOf } from "../elsewhere.ts";
import type { ExitCode, Runner } from "../command.ts";
import { endOfHistory } from "../follow.ts";
import { plain } from "../shell.ts";
import type { Shell } from "../shell.ts";
import { printTable, timeText } from "../tables.ts";
import { UsageError } from "../usage-error.ts";
import type { ReadableStore, Workbench } from "../workbench.ts";

interface Options {
  readonly from?: string;
  readonly to?: string;
  readonly onlyMissing?: true;
  readonly failed?: true;
  readonly all?: true;
  readonly maxConcurrent?: number;
  readonly perDay?: number;
  readonly force?: true;
  readonly singleRun?: true;
  readonly dryRun?: true;
}

const LIST_LIMIT = 20;

export function backfillCommand(run: Runner): Command {
  const command = deployable(new Command("backfill"))
    .description("materialize a range of an asset's partitions, some at a time")
    .argument("<asset>", "the asset's key; or list, status, cancel or resume")
    .option("--from <key>", "the first partition")
    .option("--to <key>", "the last partition")
    .option("--only-missing", "only partitions without data (this is the default)")
    .addOption(new Option("--failed", "only partitions whose last run failed").conflicts(["onlyMissing", "all"]))
    .addOption(new Option("--all", "every partition; what has not changed is skipped").conflicts("onlyMissing"))
    .option("--max-concurrent <count>", "how many at a time", positiveCount("--max-concurrent"))
    .option("--per-day <count>", "how many on one day (UTC) at most", positiveCount("--per-day"))
    .option("--force", "run although nothing has changed")
    .option("--single-run", "the whole range in one run, where the asset's code can do that")
    .option("--dry-run", "only say what would be done")
    .addHelpText(
      "after",
      example(
        "sluice backfill gitcoin/passing --from 2024-05-01 --to 2024-05-31 --dry-run",
        "sluice backfill gitcoin/passing --from 2024-05-01 --to 2024-05-31 --all --max-concurrent 8",
        "sluice backfill status 0123456789abcdef",
      ),
    )
    .action(
      run(async ({ shell, bench: open }, key: string, options: Options) => {
        const bench = await open();
        const asset = findAsset(await bench.catalog(), key);
        const wishes = wishesOf(options);
        if (options.dryRun === true) {
          const plan = await planBackfill(bench.store, asset, wishes, now());
          shell.value(plan);
          printPlan(shell, plan);
          return plan.quota.tooManyPartitions === undefined ? 0 : 1;
        }
        const id = systemRandom().id();
        const force = options.force === undefined ? {} : { force: options.force };
        const backfill = await tell(shell, bench, asset, { action: "start", id, ...wishes, ...force });
        if (backfill === undefined) return 2;
        const { from, to, total, singleRun } = backfill;
        const how = singleRun === true ? ", in a single run" : "";
        shell.print(`backfill ${id} of ${asset.key}: ${from} to ${to}, ${total} partitions${how}`);
        return await followToEnd(shell, bench, id);
      }),
    );
  return command
    .addCommand(listCommand(run))
    .addCommand(statusCommand(run))
    .addCommand(cancelCommand(run))
    .addCommand(resumeCommand(run));
}

function wishesOf(options: Options): Omit<Extract<BackfillMessage, { action: "start" }>, "action" | "id"> {
  const { from, to, maxConcurrent, perDay, singleRun } = options;
  if (from === undefined || to === undefined)
    throw new UsageError("name the range: --from <partition> --to <partition>");
  if (maxConcurrent !== undefined && maxConcurrent > MAX_CONCURRENT)
    throw new UsageError(`--max-concurrent takes ${MAX_CONCURRENT} at most, got ${maxConcurrent}`);
  return {
    from,
    to,
    which: options.all === true ? "all" : options.failed === true ? "failed" : "missing",
    ...(maxConcurrent === undefined ? {} : { maxConcurrent }),
    ...(perDay === undefined ? {} : { perDay }),
    ...(singleRun === undefined ? {} : { singleRun }),
  };
}

function listCommand(run: Runner): Command {
  return new Command("list")
    .description("list backfills, last started first")
    .option("--limit <count>", "how many", positiveCount("--limit"), LIST_LIMIT)
    .addHelpText("after", example("sluice backfill list"))
    .action(
      run(async ({ shell, bench }, { limit }: { readonly limit: number }) => {
        const { store } = await bench();
        const { items } = await store.history({ types: ["backfill.started"], limit });
        const ids = items.flatMap((event) => (event.type === "backfill.started" ? [event.backfill] : []));
        const found = (await Promise.all(ids.map((id) => store.get("backfill", id)))).filter(
          (each) => each !== undefined,
        );
        shell.value(found.map((each) => backfillResult(each, now())));
        if (found.length === 0) shell.print("No backfills.");
        const rows = found.map((each) => [
          timeText(each.createdAt),
          { text: each.id, style: "dim" as const },
          each.asset,
          `${each.from} to ${each.to}`,
          each.status,
          progressText(each, now()),
        ]);
        if (rows.length > 0)
          printTable(shell, rows, ["STARTED (UTC)", "BACKFILL", "OF", "RANGE", "STATUS", "PROGRESS"]);
        return 0;
      }),
    );
}

function statusCommand(run: Runner): Command {
  return new Command("status")
    .description("how far a backfill has come; in a terminal, with a bar")
    .argument("<id>", "the backfill")
    .option("--follow", "show it until it has ended, whoever does the work; exit code 1 unless all of it is done")
    .addHelpText(
      "after",
      example("sluice backfill status 0123456789abcdef", "sluice backfill status 0123456789abcdef --follow"),
    )
    .action(
      run(async ({ shell, bench: open }, id: string, { follow }: { readonly follow?: true }) => {
        const bench = await open();
        const found = await findBackfill(bench.store, id);
        if (follow !== true) {
          shell.value(backfillResult(found, now()));
          if (shell.columns !== undefined) shell.print(barText(found, shell.columns));
          printStatus(shell, found);
          return 0;
        }
        if (shell.columns === undefined) shell.print(progressText(found, now()));
        const ended = await followBackfill(shell, bench, id, now);
        shell.value(backfillResult(ended, now()));
        printStatus(shell, { ...ended, failures: [] }); // these have been shown
        return isAllDone(ended) ? 0 : 1;
      }),
    );
}

function cancelCommand(run: Runner): Command {
  return new Command("cancel")
    .description("request no more partitions; runs under way go on to their ends")
    .argument("<id>", "the backfill")
    .addHelpText("after", example("sluice backfill cancel 0123456789abcdef"))
    .action(
      run(async ({ shell, bench: open }, id: string) => {
        const bench = await open();
        const before = await findBackfill(bench.store, id);
        if (before.status === "done") throw new UsageError(`the backfill ${id} has ended: there is nothing to cancel`);
        const asset = assetOf(await bench.catalog(), before);
        const isOver = ({ status }: BackfillDocument): boolean => status !== "running";
        const backfill = await tell(shell, bench, asset, { action: "cancel", id }, isOver);
        if (backfill === undefined) return 2;
        shell.value(backfillResult(backfill, now()));
        printStatus(shell, backfill);
        return 0;
      }),
    );
}

function resumeCommand(run: Runner): Command {
  return new Command("resume")
    .description("go on with a backfill that was cancelled or interrupted, and follow it")
    .argument("<id>", "the backfill")
    .addHelpText("after", example("sluice backfill resume 0123456789abcdef"))
    .action(
      run(async ({ shell, bench: open }, id: string) => {
        const bench = await open();
        const before = await findBackfill(bench.store, id);
        if (before.status === "done") {
          throw new UsageError(`the backfill ${id} has ended; for what failed: ${againFor(before)}`);
        }
        const asset = assetOf(await bench.catalog(), before);
        const goesOn = ({ status }: BackfillDocument): boolean => status !== "cancelled";
        const resumed = await tell(shell, bench, asset, { action: "resume", id }, goesOn);
        if (resumed === undefined) return 2;
        shell.print(`backfill ${id} of ${resumed.asset} goes on: ${progressText(resumed, now())}`);
        return await followToEnd(shell, bench, id);
      }),
    );
}

const now = (): number => systemClock().now();

async function findBackfill(store: ReadableStore, id: string): Promise<BackfillDocument> {
  const found = /^[0-9a-f]{16}$/.test(id) ? await store.get("backfill", id) : undefined;
  if (found === undefined)
    throw new UsageError(`there is no backfill ${JSON.stringify(id)}: see \`sluice backfill list\``);
  return found;
}

function assetOf(catalog: Catalog, { asset: key }: BackfillDocument): AssetEntry {
  return catalog.assets.find(({ previousKeys = [] }) => previousKeys.includes(key)) ?? findAsset(catalog, key);
}

/** Says it to the driver on the asset's topic, and waits until it is so; `undefined` when it was refused, which was told. */
async function tell(
  shell: Shell,
  bench: Workbench,
  asset: AssetEntry,
  message: BackfillMessage,
  isSo: (backfill: BackfillDocument) => boolean = () => true,
): Promise<BackfillDocument | undefined> {
  const { store } = bench;
  const after = await endOfHistory(store);
  const data = Buffer.from(JSON.stringify({ backfill: message })).toString("base64");
  const messageId = await bench.publish(asset.topic, { data, attributes: {} });
  for (;;) {
    const backfill = await store.get("backfill", message.id);
    if (backfill !== undefined && isSo(backfill)) return backfill;
    const query = { types: ["message.refused" as const], order: "oldest" as const };
    const { items } = await store.history({ ...query, ...(after === undefined ? {} : { after }) });
    const refusal = items.find((event) => event.type === "message.refused" && event.messageId === messageId);
    if (refusal?.type === "message.refused") {
      shell.value({ status: "refused", reason: refusal.reason });
      shell.warn(`error: ${refusal.reason}`);
      return undefined;
    }
    await pause(paceOf(bench, 50), undefined, { signal: shell.signal });
  }
}

async function followToEnd(shell: Shell, bench: Workbench, id: string): Promise<ExitCode> {
  try {
    const backfill = await followBackfill(shell, bench, id, now);
    // What follows from it is for whoever runs on: this process, unless dev does the work.
    if (!bench.remote) await bench.settle();
    shell.value(backfillResult(backfill, now()));
    printStatus(shell, { ...backfill, failures: [] }); // these have been shown
    return isAllDone(backfill) ? 0 : 1;
  } catch (error) {
    if (shell.signal.aborted) {
      const { deployment } = bench;
      const [where, env] =
        deployment === undefined ? ["under `sluice dev`", ""] : [`in ${deployment}`, ` --env ${deployment}`];
      shell.warn(
        bench.remote
          ? `the backfill ${id} goes on ${where}: sluice backfill status ${id}${env}, or cancel ${id}${env}`
          : `the backfill ${id} stops here; go on with it by: sluice backfill resume ${id}`,
      );
    }
    throw error;
  }
}

/** A single run that failed has marked its first partition alone. */
function againFor({ asset, from, to, singleRun }: BackfillDocument): string {
  return `sluice backfill ${asset} ${singleRun === true ? "--all --single-run" : "--failed"} --from ${from} --to ${to}`;
}

function isAllDone({ counts, status }: BackfillDocument): boolean {
  return counts.failed === 0 && status === "done";
}

function printStatus(shell: Shell, backfill: BackfillDocument): void {
  const { id, asset, from, to, status, reason, counts, underWay, failures } = backfill;
  const because = reason === undefined ? "" : `, ${plain(reason)}`;
  shell.print(`backfill ${id} of ${asset}, ${from} to ${to}: ${status}${because}`);
  shell.print(progressText(backfill, now()));
  if (status === "cancelled" && underWay.length > 0)
    shell.print(`${underWay.map(({ partition }) => partition).join(", ")}: under way, to their ends`);
  for (const { partition, runId, reason: why } of failures)
    shell.print(shell.paint("red", plain(`${partition} failed (run ${runId}): ${why}`)));
  if (counts.failed > 0) shell.print(`again, what failed: ${againFor(backfill)}`);
}
