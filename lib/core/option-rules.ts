/** What the options of several kinds of definitions must be. A stub of another file's definition will do wherever a definition does. */
import { assetKey } from "./asset-key.ts";
import type { KeyOption } from "./asset-key.ts";
import type { DefinitionError } from "./errors.ts";
import { code, fields, flag, is, isRecord, list, number, oneOf, optional, record, text, texts } from "./options.ts";
import type { Fault, Rule, Shape } from "./options.ts";

const INTERVALS: readonly string[] = ["hourly", "daily", "weekly", "monthly"];
export const interval = oneOf(INTERVALS);

const isList = (value: unknown, test: (item: unknown) => boolean): boolean => Array.isArray(value) && value.every(test);
const isText = (value: unknown): value is string => typeof value === "string";
const isKind = (value: unknown, ...kinds: readonly string[]): value is Readonly<Record<string, unknown>> =>
  isRecord(value) && isText(value["kind"]) && kinds.includes(value["kind"]);
const optionally = (value: unknown, type: "string" | "number"): boolean => value === undefined || typeof value === type;

const isKey = (value: unknown): value is KeyOption =>
  isText(value) || isList(value, (part) => isText(part) || isList(part, isText));

const key: Rule = (value, path, faults) => {
  if (!isKey(value)) return is("a key", isKey, 'name it like "gitcoin/passport_scores"')(value, path, faults);
  try {
    assetKey(value);
  } catch (error) {
    const { message, remedy } = error as DefinitionError; // it throws nothing else
    faults.push({ path, message, remedy });
  }
};

export const zodObject = is(
  "a zod object",
  (value) => isRecord(value) && isRecord(value["_zod"]) && isKindOfZod(value["_zod"]["def"]),
  "write z.object({ … })",
);
const isKindOfZod = (def: unknown): boolean => isRecord(def) && def["type"] === "object";

export const partitions = is(
  "partitions",
  (value) =>
    (isKind(value, "static") && isList(value["keys"], isText)) ||
    (isKind(value, "time") &&
      INTERVALS.includes(String(value["interval"])) &&
      optionally(value["start"], "string") &&
      optionally(value["end"], "string")),
  'use hourly(), daily({ start: "2024-05-01" }), weekly(), monthly() or staticPartitions(["a", "b"])',
);

export const automation = is(
  "a condition",
  (value) =>
    isKind(value, "eager", "on-missing") ||
    (isKind(value, "schedule", "on-cron") && isText(value["cron"]) && isText(value["timeZone"])),
  'use eager(), onMissing(), onCron("0 6 * * *"), onInterval(…) or onSchedule(…)',
);

export const need: Rule = is(
  "a need",
  (value) => isRecord(value) && isText(value["kind"]) && isText(value["reason"]),
  'take them from a resource, as in secret("token").needs',
);

const resource = is(
  "a resource",
  (value) =>
    isKind(value, "bigquery", "read-objects", "write-objects", "clean-up", "secret", "custom") &&
    Array.isArray(value["needs"]),
  'use bigquery(), gcs.read("gs://…"), gcs.write("gs://…"), secret("…") or resource({ create })',
);
export const resources = record(resource, "resources");

/** A definition of such a kind. */
export function definition(kind: "asset" | "job"): Rule {
  const name = kind === "asset" ? "key" : "name";
  return (value, path, faults) => {
    if (isKind(value, kind) && isText(value[name])) return;
    is(kind === "asset" ? "an asset" : "a job", () => false, responseRemedy(value))(value, path, faults);
  };
}

/** Anything that has an asset's key. */
export const keyed: Rule = (value, path, faults) => {
  if (!isRecord(value) || !isText(value["key"]))
    is("an asset", () => false, responseRemedy(value))(value, path, faults);
};

/** What a factory returns is often taken for the asset in it. */
function responseRemedy(value: unknown): string | undefined {
  return isRecord(value) && Array.isArray(value["assets"]) ? "name one of its assets" : undefined;
}

export const mapping = is(
  "a partition mapping",
  (value) =>
    isKind(value, "same", "all", "last", "windows") ||
    (isKind(value, "offset") && Number.isInteger(value["by"]) && optionally(value["through"], "number")),
  'use { kind: "same" }, "all", "last", "windows" or { kind: "offset", by: -1 }',
);

const isDependency = (value: unknown): value is Readonly<Record<string, unknown>> =>
  isRecord(value) && "asset" in value && "partitions" in value && !("key" in value);

const dep: Rule = (value, path, faults) => {
  if (isText(value)) return;
  if (!isDependency(value)) return keyed(value, path, faults);
  if (!isText(value["asset"])) keyed(value["asset"], `${path}.asset`, faults);
  mapping(value["partitions"], `${path}.partitions`, faults);
};
export const deps = list(dep, "assets");

const input: Rule = (value, path, faults) => {
  if (!isDependency(value)) return definition("asset")(value, path, faults);
  definition("asset")(value["asset"], `${path}.asset`, faults);
  mapping(value["partitions"], `${path}.partitions`, faults);
};
export const inputs = record(input, "assets");

const check = is(
  "a check",
  (value) =>
    isRecord(value) &&
    isText(value["name"]) &&
    typeof value["blocking"] === "boolean" &&
    isRecord(value["rule"]) &&
    isText(value["rule"]["kind"]),
  "use check.unique(…), check.notNull(…), check.noRows(…), …",
);
export const checks = list(check, "checks");

export const statement = is(
  "a statement",
  (value) => isKind(value, "sql") && Array.isArray(value["strings"]) && Array.isArray(value["values"]),
  "write sql`SELECT …`",
);

/** What they say is checked where they are used. */
const object = is("an object", isRecord);
export const retry: Rule = (value, path, faults) => {
  object(value, path, faults);
  if (isRecord(value)) optional(record(object, "rules"))(value["on"], `${path}.on`, faults);
};
export const freshness = record(text, "texts");

export const pool = is(
  "a pool",
  (value) => isText(value) || (isKind(value, "pool") && isText(value["name"])),
  "give its name, or what pool({ … }) returns",
);

export const retention = fields({
  days: is("a number ≥ 0", (value) => typeof value === "number" && value >= 0),
  cleanSuperseded: optional(flag),
});

const tableParts: Shape = { project: optional(text), dataset: text, table: text };
const isTable = (value: unknown): boolean =>
  isRecord(value) && isText(value["dataset"]) && isText(value["table"]) && optionally(value["project"], "string");
export const table = is("a table", (value) => isText(value) || isTable(value), 'write "dataset.table"');

const wholeTarget = fields({
  table: fields(tableParts),
  slot: oneOf(["table", "partition"]),
  publish: optional(
    is(
      '"replace", "append", "view" or { merge: […] }',
      (value) =>
        value === "replace" ||
        value === "append" ||
        value === "view" ||
        (isRecord(value) && isList(value["merge"], isText)),
    ),
  ),
  partitioning: optional(fields({ type: oneOf(["HOUR", "DAY", "MONTH"]), column: optional(text) })),
  clustering: optional(texts),
  stagingDataset: optional(text),
  keepRaw: optional(flag),
  schemaChange: optional(oneOf(["extend", "fail", "replace"])),
});
export const target: Rule = (value, path, faults) => {
  if (isRecord(value)) wholeTarget(value, path, faults);
  else if (!isText(value)) is("a table", () => false, 'write "dataset.table"')(value, path, faults);
};

export const source = fields({
  bucket: text,
  pathBase: text,
  fileMatch: text,
  interval,
  complete: optional(fields({ marker: optional(text), count: optional(number), settle: optional(text) })),
  allowMissing: optional(flag),
});

export const ioManager = is(
  "an I/O manager",
  (value) => isKind(value, "bigquery-table", "parquet-files", "custom"),
  "use bigqueryTable(), parquetFiles({ … }) or ioManager({ … })",
);
export const tableManager = is(
  "an I/O manager with a table",
  (value) => isKind(value, "bigquery-table"),
  "use bigqueryTable()",
);

export const materialization = is(
  '"table", "insert_overwrite", "append", "view" or { merge: […] }',
  (value) => isText(value) || (isRecord(value) && isList(value["merge"], isText)),
);

export const invalidRow = optional(oneOf(["fail", "discard"]));
export const severity = optional(oneOf(["warn", "error"]));

/** What every asset may say of itself. */
export const about = {
  key,
  previousKeys: optional(texts),
  description: optional(text),
  owners: optional(texts),
  group: optional(text),
  tags: optional(record(text, "texts")),
  kinds: optional(texts),
  checks: optional(checks),
  freshness: optional(freshness),
} satisfies Shape;

export const backfill = oneOf(["single-run"]);

/** How an asset that Sluice makes is run. */
export const work = {
  partitions: optional(partitions),
  deps: optional(deps),
  config: optional(zodObject),
  automation: optional(automation),
  retry: optional(retry),
  pool: optional(pool),
  maxEventAge: optional(text),
  codeVersion: optional(text),
} satisfies Shape;

/** What an asset's code gets to hand. */
export const hands = {
  inputs: optional(inputs),
  resources: optional(resources),
  materialize: code,
} satisfies Shape;

/** What messages call the asset of such options. */
export function assetName(options: unknown): string {
  const named: unknown = isRecord(options) ? options["key"] : undefined;
  const faults: Fault[] = [];
  key(named, "", faults);
  return isKey(named) && faults.length === 0 ? assetKey(named) : "asset";
}

/** What messages call a job, a sensor, …: `job tidy`. */
export function nameIn(kind: string, options: unknown): string {
  const name: unknown = isRecord(options) ? options["name"] : undefined;
  return isText(name) && name !== "" ? `${kind} ${name}` : kind;
}
