/** Environments: where a project's definitions are deployed to. One file holds them all, and this is how it is read. */
import { z } from "zod";
import { DefinitionError } from "../lib/core/errors.ts";
import { didYouMean } from "../lib/core/suggest.ts";

const region = z.string().regex(/^[a-z]+-[a-z]+[0-9]+$/, "is no region: write one such as europe-west1");
const location = z
  .string()
  .regex(
    /^(?:[A-Za-z]{2,4}[0-9]?|[a-z]+-[a-z]+[0-9]+(?:\+[a-z]+-[a-z]+[0-9]+)?)$/,
    "is no location: write one such as EU, EUR4 or europe-west1",
  )
  .transform((text) => (text.includes("-") ? text : text.toUpperCase()));
const projectId = z
  .string()
  .regex(/^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, "is no project's id: 6 to 30 lower-case letters, digits and hyphens");
const bucketName = z.string().regex(/^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/, "is no bucket's name");
const count = z.int().positive();

/** What is wrong with a project's id or a region that does not stand in a file; `undefined` for good ones. */
export function placeFault(what: "project" | "region", text: string): string | undefined {
  const { error } = (what === "project" ? projectId : region).safeParse(text);
  return error?.issues[0]?.message;
}

/** Of one function. */
const sizeSchema = z.strictObject({
  /** As gcloud writes it. */
  memory: z.string().regex(/^[1-9][0-9]*(?:Mi|Gi)$/, "is no size: write one such as 512Mi or 2Gi"),
  cpu: z.number().positive().max(8),
  /** A push is waited for ten minutes at most, and the function has to answer before that. */
  timeoutSeconds: count.max(590, "is more than 590: a push is waited for 600 seconds at most"),
  concurrency: count.max(1_000),
  minInstances: z.int().min(0),
  maxInstances: count.max(1_000),
});

export type FunctionSize = z.output<typeof sizeSchema>;

const DEFAULT_SIZE: FunctionSize = Object.freeze({
  memory: "512Mi",
  cpu: 1,
  timeoutSeconds: 540,
  concurrency: 8,
  minInstances: 0,
  maxInstances: 10,
});

const bucketSchema = z.strictObject({
  /** Where it is; whether it can be loaded from is looked at only if this is said. */
  location: location.optional(),
  /** Whose it is, if it is another project's: the deployment then asks for grants there instead of making them. */
  project: projectId.optional(),
  /** Whether this environment may change objects in it. Default: yes, but not where an environment has a suffix. */
  writable: z.boolean().optional(),
});

const scheduleSchema = z.strictObject({ cron: z.string().min(1), timeZone: z.string().min(1).default("UTC") });

const entrySchema = z.strictObject({
  /** For whoever reads the file. */
  about: z.string().optional(),
  project: projectId,
  /** Of functions, schedules and queues. */
  region,
  /** Of datasets, and of the warehouse's jobs: `EU`, `US` or a region. */
  location,
  /** Default: the nearest to `location`. */
  firestoreLocation: z.string().min(1).optional(),
  /** Default: `(default)`; with a prefix of names, one of its own. */
  database: z
    .string()
    .regex(/^(?:\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$/, "is no database's name")
    .optional(),
  /** In front of every name, so that environments can share a project: `dev-`. Default none. */
  namePrefix: z
    .string()
    .regex(/^(?:|(?!goog)[a-z][a-z0-9-]{0,15}-)$/, "is no prefix: write one such as dev-")
    .optional(),
  /** Behind the name of every dataset that is written: `_dev`. Default none. */
  datasetSuffix: z
    .string()
    .regex(/^(?:|_[a-z0-9_]{1,30})$/, "is no suffix: write one such as _dev")
    .optional(),
  /** Rows on their way into tables. Default: by the project and the prefix. */
  stagingBucket: bucketName.optional(),
  /** Source of functions, and what was deployed last. Default: by the project and the prefix. */
  deploymentBucket: bucketName.optional(),
  /** Where the console of this environment is, for the links of alerts: `https://sluice.example.org`. */
  consoleUrl: z
    .url({ protocol: /^https?$/, error: "is no address: write one such as https://sluice.example.org" })
    .optional(),
  runtime: z.enum(["nodejs22", "nodejs24"]).default("nodejs24"),
  /** Subscriptions of our own, or the triggers that gcloud makes. */
  triggers: z.enum(["push", "eventarc"]).default("push"),
  /** One service account for each source file, for each asset and job, or for each group of assets. */
  accounts: z.enum(["file", "asset", "group"]).default("file"),
  defaults: sizeSchema.partial().default({}),
  /** Other sizes, by the function: `asset gitcoin/passport_scores`, `job …`, `sensor …`, `bucket …`. */
  sizes: z.record(z.string(), sizeSchema.partial()).default({}),
  /** What is known of the buckets that definitions name. */
  buckets: z.record(bucketName, bucketSchema).default({}),
  /** Exact times, in place of those that Sluice spreads, by asset or multi-asset. */
  schedules: z.record(z.string(), scheduleSchema).default({}),
  /** Over how many minutes the assets of one interval are spread; 0: all at once. */
  spreadMinutes: z
    .strictObject({
      hourly: z.int().min(0).max(59).default(10),
      daily: z.int().min(0).max(59).default(50),
      weekly: z.int().min(0).max(59).default(50),
      monthly: z.int().min(0).max(59).default(50),
    })
    .default({ hourly: 10, daily: 50, weekly: 50, monthly: 50 }),
  /** How often deadlines and buckets are looked at. */
  reconcileMinutes: count.max(30).default(1),
  /** Deliveries before a message is laid aside. With pauses of up to ten minutes, 100 outlast most of a day. */
  maxDeliveryAttempts: z.int().min(5).max(100).default(100),
  /** Tables in staging datasets go after so many days, whatever happens. */
  stagingTableDays: count.max(3_650).default(90),
  stagedObjectDays: count.max(3_650).default(45),
  /** What the project has been granted, where it is more than Google's default. */
  quotas: z
    .strictObject({
      functions: count.default(1_000),
      serviceAccounts: count.default(100),
      schedulerJobs: count.default(1_000),
    })
    .default({ functions: 1_000, serviceAccounts: 100, schedulerJobs: 1_000 }),
});

type Entry = z.output<typeof entrySchema>;

const fileSchema = z.strictObject({
  about: z.string().optional(),
  version: z.literal(1),
  environments: z.record(z.string(), entrySchema),
});

/** An environment with everything settled. */
export interface Environment extends Omit<
  Entry,
  | "about"
  | "firestoreLocation"
  | "database"
  | "namePrefix"
  | "datasetSuffix"
  | "stagingBucket"
  | "deploymentBucket"
  | "defaults"
> {
  readonly name: string;
  readonly firestoreLocation: string;
  readonly database: string;
  readonly namePrefix: string;
  readonly datasetSuffix: string;
  readonly stagingBucket: string;
  readonly deploymentBucket: string;
  readonly defaults: FunctionSize;
}

export interface Environments {
  /** `prod`, and patterns such as `pr-*`. */
  readonly names: readonly string[];
  /** The environment of a name, or the one that a pattern makes of it. Throws `DefinitionError` for an unknown one. */
  find(name: string): Environment;
  /** The name in the file, or the pattern, that an environment's name is of. */
  keyOf(name: string): string | undefined;
  /** Those that are there by a name of their own. */
  readonly named: readonly Environment[];
}

const NAME = /^[a-z][a-z0-9-]{0,19}$/;
const PATTERN = /^[a-z][a-z0-9-]{0,15}-\*$/;

/** Reads the file's value; `where` is what messages call it. Throws `DefinitionError` that names the field. */
export function parseEnvironments(value: unknown, where: string): Environments {
  const { version: _, environments } = parsed(fileSchema, value, where);
  const entries = new Map(Object.entries(environments));
  for (const [name, entry] of entries) checkEntry(name, entry, where);
  const named = [...entries].filter(([name]) => NAME.test(name)).map(([name, entry]) => settled(name, entry));
  checkApart(named, where);
  const keyOf = (name: string): string | undefined =>
    entries.has(name) && NAME.test(name)
      ? name
      : [...entries.keys()].find((key) => PATTERN.test(key) && name.startsWith(key.slice(0, -1)));
  return {
    names: [...entries.keys()],
    named,
    keyOf,
    find(name) {
      const key = keyOf(name);
      const made = entries.get(key ?? "");
      if (key === name && made !== undefined && NAME.test(name)) return settled(name, made);
      if (made === undefined || !NAME.test(name) || name.endsWith("-")) {
        const hint = didYouMean(name, entries.keys()) ?? "the file has none";
        throw new DefinitionError(`no environment is called ${JSON.stringify(name)}`, { where, remedy: hint });
      }
      const suffix = `_${name.replaceAll("-", "_")}`;
      return settled(name, { ...made, namePrefix: `${name}-`, datasetSuffix: suffix });
    },
  };
}

function checkEntry(name: string, entry: Entry, where: string): void {
  if (PATTERN.test(name)) {
    const set = (["namePrefix", "datasetSuffix", "database", "stagingBucket", "deploymentBucket"] as const).find(
      (field) => entry[field] !== undefined,
    );
    if (set === undefined) return;
    throw new DefinitionError(`${name} stands for several environments, which would all have the same ${set}`, {
      where: `${where} environments.${name}.${set}`,
      remedy: "leave it out: it follows from each one's name",
    });
  }
  if (NAME.test(name)) return;
  throw new DefinitionError(`${JSON.stringify(name)} is no environment's name`, {
    where,
    remedy: "use up to 20 lower-case letters, digits and hyphens, such as prod, or a pattern such as pr-*",
  });
}

/** Environments that share a project, and would take each other's functions and topics for their own. */
function checkApart(named: readonly Environment[], where: string): void {
  const owners = new Map<string, string>();
  for (const { name, project, namePrefix } of named) {
    const owner = owners.get(`${project} ${namePrefix}`);
    if (owner !== undefined) {
      throw new DefinitionError(`${owner} and ${name} would have the same names in the project ${project}`, {
        where: `${where} environments.${name}`,
        remedy: `give it a project of its own, or namePrefix: "${name}-" and datasetSuffix: "_${name.replaceAll("-", "_")}"`,
      });
    }
    owners.set(`${project} ${namePrefix}`, name);
  }
}

function settled(name: string, entry: Entry): Environment {
  const { about: _, namePrefix = "", datasetSuffix = "", ...rest } = entry;
  return {
    ...rest,
    name,
    namePrefix,
    datasetSuffix,
    database: entry.database ?? (namePrefix === "" ? "(default)" : `sluice-${namePrefix.slice(0, -1)}`),
    firestoreLocation: entry.firestoreLocation ?? firestoreNear(entry.location),
    stagingBucket: entry.stagingBucket ?? `${entry.project}-${namePrefix}sluice-staging`,
    deploymentBucket: entry.deploymentBucket ?? `${entry.project}-${namePrefix}sluice-deploy`,
    defaults: { ...DEFAULT_SIZE, ...definedOnly(entry.defaults) },
  };
}

/** The size of one function. */
export function sizeOf({ defaults, sizes }: Pick<Environment, "defaults" | "sizes">, unit: string): FunctionSize {
  return { ...defaults, ...definedOnly(sizes[unit] ?? {}) };
}

function definedOnly<T extends object>(value: T): { [N in keyof T]?: Exclude<T[N], undefined> } {
  // What is left has the very fields of the value.
  return Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== undefined)) as {
    [N in keyof T]?: Exclude<T[N], undefined>;
  };
}

function firestoreNear(place: string): string {
  return place === "EU" ? "eur3" : place === "US" ? "nam5" : place;
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.map(String) ?? [];
  const wrong = issue?.code === "unrecognized_keys" ? (issue.keys[0] ?? "") : undefined;
  const at = [...path, ...(wrong === undefined ? [] : [wrong])].join(".");
  const remedy = wrong === undefined ? undefined : didYouMean(wrong, knownAt(path));
  throw new DefinitionError(wrong === undefined ? (issue?.message ?? "is not valid") : "is not a known field", {
    where: at === "" ? where : `${where} ${at}`,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

/** The fields that there could have been. */
function knownAt(path: readonly string[]): readonly string[] {
  const [, , field = "", , inner] = path;
  if (path.length === 0) return Object.keys(fileSchema.shape);
  if (path.length === 2) return Object.keys(entrySchema.shape);
  if (field === "buckets" && inner === undefined) return Object.keys(bucketSchema.shape);
  return field === "defaults" || field === "sizes" ? Object.keys(sizeSchema.shape) : [];
}
