import { Command, Option } from "commander";
import { z } from "zod";
import type { AssetEntry, Catalog } from "../catalog.ts";
import { checkPartition, chooseAssets, example, jsonOf, positiveCount } from "../command.ts";
import type { ExitCode, Runner } from "../command.ts";
import { MAX_BYTES } from "../max-bytes.ts";
import { requestOutputs } from "../request-outputs.ts";
import { requestResult, requestRun } from "../request-run.ts";
import type { Requested } from "../request-run.ts";
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
  readonly target?: "local" | "gcp";
  readonly env?: string;
  readonly user?: string;
  readonly gcpProject?: string;
  readonly location?: string;
  readonly maxBytes: number;
  readonly stagingBucket?: string;
  readonly yes?: true;
}

type Outcome = Requested | { readonly kind: "left-out"; readonly because: string };

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
    .addOption(
      new Option(
        "--target <where>",
        "what code that runs here works on: data of this machine, or real buckets and BigQuery",
      ).choices(["local", "gcp"]),
    )
    .option(
      "--env <name>",
      `the deployment of this environment does it; with gcp: dev, whose datasets dev_<user>_… are the only ones written`,
    )
    .option("--user <name>", "with gcp: whose datasets; whoever is logged in here")
    .option(
      "--gcp-project <id>",
      "with gcp: the project, else GOOGLE_CLOUD_PROJECT; with --env: another one than the environment's own",
    )
    .option("--location <name>", "with gcp: of the datasets; where the real tables are")
    .option("--max-bytes <count>", "with gcp: what each query may bill", positiveCount("--max-bytes"), MAX_BYTES)
    .option("--staging-bucket <name>", "with gcp: a bucket of yours for rows on their way into a table")
    .option("--yes", "with gcp: make missing datasets without a question")
    .addHelpText(
      "after",
      example(
        "sluice materialize gitcoin/passport_scores --partition 2024-05-01",
        'sluice materialize "+gitcoin/*"',
        `sluice materialize gitcoin/passport_scores --force`,
        "sluice materialize gitcoin/passing --env prod",
        "sluice materialize gitcoin/passing --target gcp --env dev --gcp-project my-project",
      ),
    )
    .action(
      run(async ({ shell, bench: open }, selection: string, options: Options) => {
        const choose = (catalog: Catalog): readonly AssetEntry[] => {
          const assets = madeHere(chooseAssets(catalog, selection), selection);
          assets.forEach((asset) => partitionFor(asset, options.partition));
          return assets;
        };
        if (options.target !== "gcp") {
          refuseGcpOptions(options);
          const bench = await open();
          return await materializeAll(shell, bench, choose(await bench.catalog()), options);
        }
        if (options.env !== "dev")
          throw new UsageError(
            "from one machine only datasets of your own are written: --target gcp goes with --env dev",
          );
        // Loaded here, so that local work never reads a line of it.
        const { openGcpBench } = await import("../gcp-bench.ts");
        const bench = await openGcpBench(shell, choose, options);
        try {
          const { assets } = await bench.catalog();
          const chosen = assets.filter(({ key }) => bench.chosen.has(key));
          return await materializeAll(shell, bench, chosen, options, bench.forced);
        } finally {
          await bench.close();
        }
      }),
    );
}

/** Options that mean nothing to a local run would be passed over in silence. */
function refuseGcpOptions({ target, env, user, gcpProject, location, maxBytes, stagingBucket, yes }: Options): void {
  if (target === "local" && env !== undefined)
    throw new UsageError(`--target local runs here, and --env ${env} elsewhere: leave one of them out`);
  const project = env === undefined ? { "gcp-project": gcpProject } : {};
  const named = { user, ...project, location, "staging-bucket": stagingBucket, yes };
  const [first] = Object.entries(named).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  const stray = first ?? (maxBytes === MAX_BYTES ? undefined : "max-bytes");
  if (stray !== undefined) throw new UsageError(`--${stray} goes with --target gcp`);
}

const NOTHING_FORCED: ReadonlySet<string> = new Set();

/** One after the other, in graph order. `forced`: those whose runs never count as unchanged. */
async function materializeAll(
  shell: Shell,
  bench: Workbench,
  assets: readonly AssetEntry[],
  options: Options,
  forced: ReadonlySet<string> = NOTHING_FORCED,
): Promise<ExitCode> {
  const catalog = await bench.catalog();
  const partitions = new Map(assets.map((asset) => [asset.key, partitionFor(asset, options.partition)]));
  const wishes = wishesOf(options);
  const outcomes = new Map<string, Outcome>();
  for (const asset of assets) {
    if (outcomes.has(asset.key)) continue;
    const blocker = asset.deps.find((dep) => outcomes.has(dep) && !isGood(outcomes.get(dep)));
    const force = forced.has(asset.key) ? { force: true } : {};
    const all = { ...wishes, ...force, ...partitions.get(asset.key) };
    const together = togetherWith(asset, assets, catalog, wishes);
    const made: ReadonlyMap<string, Outcome> =
      blocker !== undefined
        ? new Map(together.map(({ key }) => [key, { kind: "left-out", because: blocker }]))
        : together.length > 1
          ? await requestOutputs(shell, bench, together, all)
          : new Map([[asset.key, await requestRun(shell, bench, asset, all)]]);
    for (const [key, outcome] of made) {
      outcomes.set(key, outcome);
      report(shell, key, outcome);
    }
  }
  shell.value([...outcomes].map(([asset, outcome]) => ({ asset, ...outcomeResult(outcome) })));
  const all = [...outcomes.values()];
  if (all.every(isGood)) return 0;
  return all.some(({ kind }) => kind === "run") ? 1 : 2;
}

/** Those that Sluice makes, or looks at. Throws `UsageError` when another one is asked for by its name, or no other. */
function madeHere(chosen: readonly AssetEntry[], selection: string): readonly AssetEntry[] {
  const assets = chosen.filter(({ external }) => external !== "reported");
  const names = selection.split(/[\s,]+/);
  const others = chosen.filter(({ external }) => external === "reported");
  const first = others.find(({ key }) => names.includes(key)) ?? (assets.length === 0 ? others[0] : undefined);
  if (first === undefined) return assets;
  throw new UsageError(`${first.key} is made elsewhere: tell that it has new data with \`sluice report ${first.key}\``);
}

/** The chosen outputs of its multi-asset, which one call of the code makes; the asset alone where the job cannot be asked. */
function togetherWith(
  asset: AssetEntry,
  chosen: readonly AssetEntry[],
  { jobs }: Catalog,
  wishes: Readonly<Record<string, unknown>>,
): readonly AssetEntry[] {
  const name = asset.multi?.name;
  const known = Object.keys(wishes).every((wish) => wish === "force" || wish === "config");
  if (name === undefined || !known || !jobs.some((job) => job.name === name)) return [asset];
  return chosen.filter(({ multi }) => multi?.name === name);
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

/** A skipped run found what was asked for already done, or had nothing to do; a canceled one has not done it. */
function isGood(outcome: Outcome | undefined): boolean {
  return outcome?.kind === "run" && outcome.run.status !== "failed" && outcome.run.status !== "canceled";
}

function report(shell: Shell, asset: string, outcome: Outcome): void {
  if (outcome.kind === "refused") shell.warn(`error: ${outcome.reason}`);
  if (outcome.kind === "left-out") shell.warn(`${asset}: left out, because ${outcome.because} failed`);
}

function outcomeResult(outcome: Outcome): object {
  if (outcome.kind !== "left-out") return requestResult(outcome);
  return { status: "left-out", reason: `${outcome.because} failed` };
}
