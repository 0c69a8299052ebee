/**
 * Assets run here, in this process, against real BigQuery and real buckets. The history and the messages are this machine's
 * own; what is written is in datasets of one person's own.
 */
import inspector from "node:inspector";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { Collected } from "../core/collect.ts";
import { messageOf } from "../core/errors.ts";
import { personalPrefix, redirect } from "../core/redirect.ts";
import type { Redirected } from "../core/redirect.ts";
import { formatTable } from "../core/table.ts";
import type { Datasets } from "../gcp/bigquery-datasets.ts";
import { systemClock } from "../local/system-clock.ts";
import { ask, canAsk } from "./ask.ts";
import { catalogOf } from "./catalog.ts";
import type { Catalog } from "./catalog.ts";
import { openEngine } from "./engine.ts";
import { endpointsOf, gcpProjectOf } from "./gcp-address.ts";
import { checkGcpHome, lockHome, readGcpHome, useGcpHome } from "./gcp-home.ts";
import { gcpDatasets, gcpObjects, gcpSecrets, gcpWarehouse, requireCredentials } from "./gcp-ports.ts";
import type { GcpAddress } from "./gcp-ports.ts";
import { gcpQuery, refusingHome } from "./gcp-query.ts";
import { functionsLoader } from "./load-functions.ts";
import { ownObjects, ownWarehouse, STAGING } from "./own-ports.ts";
import { plain } from "./shell.ts";
import type { Shell } from "./shell.ts";
import { keepSweeping } from "./sweeper.ts";
import { bytesText } from "./tables.ts";
import { UsageError } from "./usage-error.ts";
import type { Workbench } from "./workbench.ts";

export interface GcpOptions {
  readonly gcpProject?: string;
  readonly location?: string;
  readonly user?: string;
  /** A limit of each query. */
  readonly maxBytes: number;
  /** Where rows wait on their way into a table. */
  readonly stagingBucket?: string;
  /** Datasets that are missing are made without a question. */
  readonly yes?: true;
}

export interface GcpBench extends Workbench {
  /** The assets that are run. */
  readonly chosen: ReadonlySet<string>;
  /** The assets that read what has no history here: only a forced run can know that it is to do anything. */
  readonly forced: ReadonlySet<string>;
}

const ENVIRONMENT = "dev";
const TABLES_LIVE_MS = 7 * 86_400_000;
const GRACE_MS = 2_000;

/**
 * `choose` tells which assets are run. Throws, before anything is written or made, `DefinitionError` for one that would write
 * elsewhere, `UsageError` for what is not said, and `PermanentError` for credentials, permissions and homes.
 */
export async function openGcpBench(
  shell: Shell,
  choose: (catalog: Catalog) => readonly { readonly key: string }[],
  options: GcpOptions,
): Promise<GcpBench> {
  const address: GcpAddress = { project: gcpProjectOf(options.gcpProject), endpoints: endpointsOf() };
  const loaded = await functionsLoader(shell.project).load();
  for (const problem of loaded.problems) shell.warn(messageOf(problem));
  const chosen = new Set(choose(catalogOf(loaded)).map(({ key }) => key));
  const prefix = personalPrefix(ENVIRONMENT, options.user ?? userInfo().username);
  const redirected = redirect(loaded.definitions, chosen, prefix);
  if (redirected.stages && options.stagingBucket === undefined)
    throw new UsageError("rows wait in a bucket on their way into a table: name one of yours by --staging-bucket");

  await requireCredentials(address);
  const folder = (await readGcpHome(shell.home)) === undefined ? join(shell.home, `gcp-${ENVIRONMENT}`) : shell.home;
  const datasets = await gcpDatasets(address);
  const location =
    options.location ?? (await readGcpHome(folder))?.location ?? (await locationOf(datasets, redirected));
  const wanted = { project: address.project, location, prefix };
  await checkGcpHome(folder, wanted);
  const missing = await missingDatasets(datasets, redirected.datasets, location);
  await datasets.checkJobs(location);
  describe(shell, { address, location, redirected, options, home: folder });
  await makeDatasets(shell, datasets, { missing, location, yes: options.yes === true });

  const home = await useGcpHome(folder, wanted);
  const unlock = lockHome(folder);
  try {
    return await openBench(shell, {
      address,
      location,
      redirected,
      options,
      home: folder,
      id: home.id,
      prefix,
      chosen,
      unlock,
    });
  } catch (error) {
    unlock();
    throw error;
  }
}

interface Plan {
  readonly address: GcpAddress;
  readonly location: string;
  readonly redirected: Redirected;
  readonly options: GcpOptions;
  readonly home: string;
}

interface OpenPlan extends Plan {
  readonly chosen: ReadonlySet<string>;
  readonly id: string;
  readonly prefix: string;
  unlock(): void;
}

async function openBench(shell: Shell, plan: OpenPlan): Promise<GcpBench> {
  const { address, location, redirected, options, home, prefix } = plan;
  const collected: Collected = { definitions: redirected.definitions, problems: [] };
  const onError = (error: unknown): void => shell.warn(messageOf(error));
  const { stagingBucket, maxBytes } = options;
  const staging =
    stagingBucket === undefined ? undefined : { bucket: stagingBucket, folder: `${prefix.replace(/_$/, "")}/` };
  const jobPrefix = `${prefix.replace(/_$/, "")}-${plan.id}-`;
  const warehouse = await gcpWarehouse({ ...address, location, maximumBytesBilled: maxBytes });
  const secrets = gcpSecrets(address);
  const engine = await openEngine({
    home,
    objects: ownObjects(await gcpObjects(address), staging),
    warehouse: ownWarehouse(warehouse, {
      datasets: new Set(redirected.datasets),
      project: address.project,
      jobPrefix,
      staging,
    }),
    secrets,
    definitions: () => collected.definitions,
    settings: { stagingBucket: STAGING },
    // A paused process is not a dead one.
    holdLeases: () => inspector.url() !== undefined,
    onError,
  });
  engine.bus.start();
  const sweeper = keepSweeping({ ...engine, clock: systemClock(), onError });
  const foreign = new Set(redirected.foreign.map(({ key }) => key));
  const assets = [...redirected.definitions.assets.values()];
  return {
    ...refusingHome(home),
    remote: false,
    chosen: plan.chosen,
    forced: new Set(assets.filter(({ deps }) => deps.some((dep) => foreign.has(dep))).map(({ key }) => key)),
    store: engine.events,
    catalog: async () => catalogOf(collected),
    publish: (topic, { data, attributes }) => engine.bus.publishRaw(topic, data, attributes),
    query: (sql, signal) => gcpQuery(warehouse, sql, signal),
    settle: engine.settle,
    async close() {
      await sweeper.stop();
      await engine.stop(GRACE_MS);
      engine.close();
      await secrets.close();
      plan.unlock();
    },
  };
}

/** Where the real tables are; where there are none, those that are read; else BigQuery's own default. */
async function locationOf(datasets: Datasets, { datasets: names, real, foreign }: Redirected): Promise<string> {
  const read = foreign.flatMap(({ target }) => (target === undefined ? [] : [target.table]));
  for (const dataset of [...names.map((name) => ({ dataset: name })), ...real, ...read]) {
    const location = await datasets.locationOf(dataset);
    if (location !== undefined) return location;
  }
  return "US";
}

function describe(shell: Shell, { address, location, redirected, options, home }: Plan): void {
  const { datasets, foreign } = redirected;
  const row = (name: string, text: string): void =>
    shell.print(`  ${shell.paint("dim", name.padEnd(8))} ${plain(text)}`);
  shell.print(shell.paint("bold", `Google Cloud project ${address.project}, location ${location}`));
  row("writes", datasets.length === 0 ? "no table" : `${datasets.join(", ")}, and no other dataset`);
  for (const { key, target } of foreign)
    row(
      "reads",
      `${key} ${target === undefined ? "(no table)" : `from ${formatTable(target.table)}`}, as it is; its history is not here`,
    );
  row("limit", `${bytesText(options.maxBytes)} billed by each query (--max-bytes)`);
  row("history", home);
}

/** Throws `UsageError` for one that is elsewhere. */
async function missingDatasets(
  datasets: Datasets,
  names: readonly string[],
  location: string,
): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const name of names) {
    const where = await datasets.locationOf({ dataset: name });
    if (where === undefined) missing.push(name);
    else if (where.toLowerCase() !== location.toLowerCase())
      throw new UsageError(`the dataset ${name} is in ${where}, and this runs in ${location}: use --location ${where}`);
  }
  return missing;
}

interface Making {
  readonly missing: readonly string[];
  readonly location: string;
  readonly yes: boolean;
}

/** Asks before it makes any; throws `UsageError` where nobody can be asked. */
async function makeDatasets(shell: Shell, datasets: Datasets, { missing, location, yes }: Making): Promise<void> {
  if (missing.length === 0) return;
  const what = `${missing.join(", ")} in ${location}, whose tables go after 7 days`;
  if (!yes && !canAsk()) throw new UsageError(`this makes ${what}: run it again with --yes`);
  if (!yes && !(await ask(`Make ${what}?`, shell.signal)))
    throw new UsageError("nothing was made, and nothing was run");
  for (const name of missing) await datasets.create(name, { location, ttlMs: TABLES_LIVE_MS });
  shell.print(`  ${shell.paint("dim", "made".padEnd(8))} ${what}`);
}
