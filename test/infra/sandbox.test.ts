/**
 * What an asset may do on one machine is what its account may do in the cloud: both come from what it declares. The clients
 * that code gets are asked here as a run asks them, and the manifest's bindings are read as IAM reads them.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import type { Binding } from "../../infra/manifest.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import { PermanentError } from "../../lib/core/errors.ts";
import type { Need } from "../../lib/core/needs.ts";
import type { BigQueryResource, LoadedObjects, ReadableObjects, WritableObjects } from "../../lib/core/resources.ts";
import { asset, bigquery, externalAsset, gcs, resource, secret, sql, sqlAsset } from "../../lib/index.ts";
import type { SqlTemplate } from "../../lib/core/sql.ts";

import { openDuckdbWarehouse } from "../../lib/local/duckdb/warehouse.ts";
import type { DuckdbWarehouse } from "../../lib/local/duckdb/warehouse.ts";
import { folderObjectStore } from "../../lib/local/folder-object-store.ts";
import type { FolderObjectStore } from "../../lib/local/folder-object-store.ts";
import { systemClock } from "../../lib/local/system-clock.ts";
import type { Execution } from "../../lib/runtime/execution.ts";
import { clientsOf, tablesOf } from "../../lib/runtime/resources.ts";
import { localPlatform } from "../support/local-platform.ts";
import { compiled, definitionsOf } from "../support/infra.ts";

const KEY = "own/made";
const PREFIXES = ["in", "in/deep", "in-side"] as const;
const NAMES = ["in/x", "in/deep/y", "in-side/z", "other/w"] as const;
/** The datasets of `own/made` itself, of two upstreams, of what a view reads, and of nobody. */
const DATASETS = ["own", "up", "shown", "base", "log", "crm"] as const;
const SECRETS = ["one", "two"] as const;

const base = sqlAsset({ key: "base/t", sql: sql`SELECT 1 AS a` });
const shown = sqlAsset({ key: "shown/t", materialization: "view", sql: sql`SELECT a FROM ${base}` });
const up = externalAsset({ key: "up/t", table: "up.t" });

interface Declared {
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly deps: readonly ("up" | "shown")[];
  readonly log: boolean;
  readonly secrets: readonly string[];
}
const NOTHING: Declared = { read: [], write: [], deps: [], log: false, secrets: [] };

type Access =
  | { readonly kind: "read" | "load" | "write" | "delete"; readonly name: string }
  | { readonly kind: "query"; readonly dataset: string; readonly quoted: boolean }
  | { readonly kind: "secret"; readonly name: string };

function definitionsWith({ read, write, deps, log, secrets }: Declared): Definitions {
  const keeps: readonly Need[] = log ? [{ kind: "read-dataset", dataset: "log", reason: "looks at the log" }] : [];
  const made = asset({
    key: KEY,
    deps: deps.map((name) => ({ up, shown })[name]),
    resources: {
      bigquery: bigquery(),
      vault: resource({
        needs: [...keeps, ...secrets.flatMap((name) => secret(name).needs)],
        create: ({ secret: open }) => ({ open }),
      }),
      ...Object.fromEntries(read.map((prefix) => [`read ${prefix}`, gcs.read(`gs://drops/${prefix}`)])),
      ...Object.fromEntries(write.map((prefix) => [`write ${prefix}`, gcs.write(`gs://drops/${prefix}`)])),
    },
    materialize: async () => undefined,
  });
  return definitionsOf({ "own.ts": { made }, "up.ts": { up, shown, base } });
}

let folder: string;
let warehouse: DuckdbWarehouse;
let objects: FolderObjectStore;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "sluice-sandbox-"));
  const clock = systemClock();
  objects = folderObjectStore({ root: join(folder, "buckets"), clock });
  warehouse = await openDuckdbWarehouse({ file: join(folder, "w.duckdb"), resolveUri: objects.resolveUri, clock });
  const make = async (dataset: string, statement: string): Promise<void> => {
    const spec = { kind: "query", sql: statement, writes: [{ dataset, table: "t" }] } as const;
    await warehouse.submit(`make-${dataset}`, spec, {});
    const { state, error } = await warehouse.wait(`make-${dataset}`, { timeoutMs: 60_000 });
    assert.equal(state, "succeeded", error?.message);
  };
  for (const dataset of DATASETS)
    if (dataset !== "shown") await make(dataset, `CREATE TABLE ${dataset}.t AS SELECT 1 AS a`);
  await make("shown", "CREATE VIEW shown.t AS SELECT a FROM base.t");
});
after(async () => {
  await warehouse.close();
  rmSync(folder, { recursive: true });
});

type Clients = Readonly<Record<string, unknown>>;

async function clientsFor(definitions: Definitions): Promise<Clients> {
  const made = definitions.assets.get(KEY);
  assert.ok(made !== undefined);
  const services = { objects, warehouse, secrets: { access: async () => "s" }, definitions: () => definitions };
  // The clients need no more of an execution than this until a job runs, and here statements are only tried.
  const execution = {
    services: { ...services, clock: systemClock(), settings: { stagingTtlMs: 1 } },
    identity: { id: "r", kind: "asset", name: KEY, partition: "" },
    signal: new AbortController().signal,
    jobs: new Set<string>(),
  } as unknown as Execution;
  const log = { log: () => undefined, redact: () => undefined, disposeAtEnd: () => undefined } as never; // told and forgotten
  const { resources, needs } = made;
  const staging = { table: { dataset: "own", table: "staging" }, fingerprint: "f", inputs: [] };
  return await clientsOf({
    execution,
    resources,
    needs,
    log,
    staging,
    tableOf: tablesOf(execution, made, staging.table),
  });
}

/** The code of the refusal, or `undefined` for what was let through, whatever became of it there. */
async function refusalOf(attempt: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    if (!(error instanceof PermanentError)) return undefined;
    if (error.code !== "undeclared" && error.code !== "accessDenied") return undefined;
    assert.doesNotMatch(error.message, /\n/);
    assert.match(error.message, /declare|add /);
    return error.code;
  }
}

/** Code may use any of its clients: it is refused where each of them refuses it. */
async function locally(clients: Clients, access: Access): Promise<string | undefined> {
  const named = <T>(kind: string): readonly T[] =>
    Object.entries(clients).flatMap(([name, client]) => (name.startsWith(`${kind} `) ? [client as T] : [])); // by its resource
  const first = async (attempts: readonly (() => Promise<unknown>)[]): Promise<string | undefined> => {
    const codes = await Promise.all(attempts.map(refusalOf));
    return codes.length === 0 ? "undeclared" : codes.includes(undefined) ? undefined : codes[0];
  };
  // As the definition above has it.
  const { bigquery: engine, vault } = clients as {
    readonly bigquery: BigQueryResource;
    readonly vault: { open(name: string): Promise<string> };
  };
  switch (access.kind) {
    case "read": {
      const readers = [...named<ReadableObjects>("read"), ...named<WritableObjects>("write")];
      return await first(readers.map((client) => async () => await drain(client.read(access.name))));
    }
    case "load":
      // What is let through fails as soon as it would be a job: of which there is none here.
      return await refusalOf(async () => {
        await engine.load({ format: "CSV", uris: [`gs://drops/${access.name}`] });
      });
    case "write":
      return await first(
        named<WritableObjects>("write").map((client) => async () => await client.write(access.name, [])),
      );
    case "delete":
      return await first(
        named<WritableObjects>("write").map((client) => async () => await client.delete(access.name, "1")),
      );
    case "query":
      return await refusalOf(async () => await engine.dryRun(statementOn(access)));
    case "secret":
      return await refusalOf(async () => await vault.open(access.name));
  }
}

function statementOn({ dataset, quoted }: { readonly dataset: string; readonly quoted: boolean }): SqlTemplate {
  if (quoted) return sql`SELECT a FROM ${sql.table({ dataset, table: "t" })}`;
  return { kind: "sql", strings: [`SELECT a FROM ${dataset}.t`], values: [] };
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream) break;
}

/** Whether a binding of the asset's own account allows it: the role says what, the resource and its condition where. */
function granted(bindings: readonly Binding[], access: Access): boolean {
  const member = "serviceAccount:asset-own-made@own-project.iam.gserviceaccount.com";
  const roles = (kind: string, name: string): readonly Binding[] =>
    bindings.filter(
      ({ resource: { kind: of, name: at }, member: who }) => who === member && of === kind && at === name,
    );
  const has = (found: readonly Binding[], ...wanted: readonly string[]): boolean =>
    found.some(({ role }) => wanted.includes(role.replace("roles/", "")));
  switch (access.kind) {
    case "query":
      // A view is read with the reader's own rights.
      return (
        ["shown", "base"]
          .slice(0, access.dataset === "shown" ? 2 : 0)
          .every((dataset) =>
            has(roles("dataset", dataset), "bigquery.dataViewer", "bigquery.dataEditor", "bigquery.dataOwner"),
          ) && has(roles("dataset", access.dataset), "bigquery.dataViewer", "bigquery.dataEditor", "bigquery.dataOwner")
      );
    case "secret":
      return has(roles("secret", access.name), "secretmanager.secretAccessor");
    default: {
      const reached = roles("bucket", "drops").filter((binding) => holds(binding, access.name));
      const reads = access.kind === "read" || access.kind === "load";
      return has(reached, "storage.objectUser", ...(reads ? ["storage.objectViewer"] : []));
    }
  }
}

/** The two forms of condition that the bindings of buckets have. */
function holds({ condition }: Binding, name: string): boolean {
  if (condition === undefined) return true;
  return condition.expression.split(" || ").some((part) => {
    const [, exact] = /^resource\.name == ("[^"]*")$/.exec(part) ?? [];
    const [, start] = /^resource\.name\.startsWith\(("[^"]*")\)$/.exec(part) ?? [];
    const full = `projects/_/buckets/drops/objects/${name}`;
    if (exact !== undefined) return full === JSON.parse(exact);
    assert.ok(start !== undefined, `unknown condition ${part}`);
    return full.startsWith(String(JSON.parse(start)));
  });
}

const shownAccess = (access: Access): string =>
  access.kind === "query"
    ? `a query of ${access.dataset}.t, ${access.quoted ? "quoted" : "plain"}`
    : `${access.kind} ${access.name}`;

async function compare(declared: Declared, accesses: readonly Access[]): Promise<readonly (string | undefined)[]> {
  const definitions = definitionsWith(declared);
  const { manifest, problems } = compiled(definitions, { accounts: "asset" });
  assert.deepEqual(problems, []);
  const clients = await clientsFor(definitions);
  const outcomes: (string | undefined)[] = [];
  for (const access of accesses) {
    const refusal = await locally(clients, access);
    const what = `${shownAccess(access)}, where ${JSON.stringify(declared)} is declared`;
    assert.equal(refusal === undefined, granted(manifest.bindings, access), what);
    outcomes.push(refusal);
  }
  return outcomes;
}

describe("what is not declared is refused on one machine, and the deployed account lacks the right", () => {
  const query = (dataset: string, quoted: boolean): Access => ({ kind: "query", dataset, quoted });
  const object = (kind: "read" | "load" | "write" | "delete", name: string): Access => ({ kind, name });
  const rows: readonly (readonly [declared: Partial<Declared>, access: Access, refusal: string | undefined])[] = [
    [{ read: ["in"] }, object("read", "in/x"), undefined],
    [{ read: ["in"] }, object("read", "in-side/z"), "undeclared"],
    [{}, object("read", "in/x"), "undeclared"],
    [{ read: ["in"] }, object("write", "in/x"), "undeclared"],
    [{ read: ["in"] }, object("delete", "in/x"), "undeclared"],
    [{ write: ["in/deep"] }, object("write", "in/deep/y"), undefined],
    [{ write: ["in/deep"] }, object("write", "in/x"), "undeclared"],
    [{ write: ["in"] }, object("delete", "in/x"), undefined],
    [{ write: ["in"] }, object("read", "in/x"), undefined],
    [{}, object("load", "in/x"), "undeclared"],
    [{ read: ["in"] }, object("load", "in/x"), undefined],
    [{ write: ["in"] }, object("load", "in/deep/y"), undefined],
    [{ read: ["in"] }, object("load", "other/w"), "undeclared"],
    [{}, query("own", true), undefined],
    [{}, query("own", false), undefined],
    [{}, query("crm", true), "undeclared"],
    [{}, query("crm", false), "accessDenied"],
    [{ deps: ["up"] }, query("up", true), undefined],
    [{ deps: ["up"] }, query("up", false), undefined],
    [{}, query("up", false), "accessDenied"],
    [{ deps: ["shown"] }, query("shown", false), undefined],
    [{}, query("shown", true), "undeclared"],
    [{ log: true }, query("log", false), undefined],
    [{}, query("log", false), "accessDenied"],
    [{ secrets: ["one"] }, { kind: "secret", name: "one" }, undefined],
    [{ secrets: ["one"] }, { kind: "secret", name: "two" }, "undeclared"],
  ];
  for (const [declared, access, expected] of rows) {
    const what = Object.keys(declared).length === 0 ? "nothing" : JSON.stringify(declared);
    test(`${shownAccess(access)}, with ${what} declared`, async () => {
      assert.deepEqual(await compare({ ...NOTHING, ...declared }, [access]), [expected]);
    });
  }

  test("whatever is declared, and whatever is done", async () => {
    const declared = fc.record({
      read: fc.subarray([...PREFIXES]),
      write: fc.subarray([...PREFIXES]),
      deps: fc.subarray(["up", "shown"] as ("up" | "shown")[]),
      log: fc.boolean(),
      secrets: fc.subarray([...SECRETS]),
    });
    const all: readonly Access[] = [
      ...NAMES.flatMap((name) => (["read", "write", "delete"] as const).map((kind): Access => object(kind, name))),
      // What is behind a view is granted, and still no table to name: a test below.
      ...DATASETS.flatMap((dataset) => [query(dataset, false), ...(dataset === "base" ? [] : [query(dataset, true)])]),
      ...SECRETS.map((name): Access => ({ kind: "secret", name })),
    ];
    await fc.assert(
      fc.asyncProperty(declared, async (given) => void (await compare(given, all))),
      { numRuns: 25 },
    );
  });
});

test("a table behind a view is no table to name, here as in a deployed function, which knows nothing of it", async () => {
  const clients = await clientsFor(definitionsWith({ ...NOTHING, deps: ["shown"] }));
  assert.equal(await locally(clients, { kind: "query", dataset: "shown", quoted: true }), undefined);
  assert.equal(await locally(clients, { kind: "query", dataset: "base", quoted: true }), "undeclared");
});

test("objects are cleaned up only where deleting them is declared", async () => {
  const source = {
    bucket: "drops",
    pathBase: "in",
    fileMatch: String.raw`(?P<interval_timestamp>\d\d\d\d-\d\d-\d\d)/x\.csv`,
    interval: "daily",
  } as const;
  const loaded = asset({ key: "own/loaded", source, target: "own.loaded", materialize: async () => undefined });
  const outcome = async (where: `gs://${string}`): Promise<string | undefined> => {
    const made = asset({
      key: KEY,
      resources: { old: gcs.delete(where, loaded) },
      materialize: async (_, { old }: { old: LoadedObjects }) => void old,
    });
    return await refusalOf(() => clientsFor(definitionsOf({ "own.ts": { made, loaded } })));
  };
  assert.equal(await outcome("gs://drops/in"), undefined);
  assert.equal(await outcome("gs://drops"), undefined);
  assert.equal(await outcome("gs://drops/in/deep"), "undeclared");
  assert.equal(await outcome("gs://elsewhere/in"), "undeclared");
});

test("a run that uses what is not declared fails at once, with the remedy in a line", async () => {
  const files = gcs.read("gs://drops/in");
  const vault = resource({ create: ({ secret: open }) => ({ open }) });
  const exports = {
    bucket: asset({
      key: "bad/bucket",
      resources: { files },
      materialize: async (_, { files: objectsOf }) => await drain(objectsOf.read("other/w")),
    }),
    dataset: asset({
      key: "bad/dataset",
      target: "none",
      resources: { bigquery: bigquery() },
      materialize: async (_, { bigquery: engine }) => void (await engine.run(sql`SELECT * FROM crm.people`)),
    }),
    statement: sqlAsset({ key: "bad/statement", sql: sql`SELECT * FROM ${sql.table({ dataset: "crm", table: "t" })}` }),
    held: asset({
      key: "bad/held",
      resources: { vault },
      materialize: async (_, { vault: { open } }) => void (await open("passport")),
    }),
  };
  await using platform = await localPlatform({ exports });
  for (const name of ["bucket", "dataset", "statement", "held"]) await platform.publish(`asset.bad.${name}`, {});
  await platform.quiet();
  const failed = await platform.eventsOf("run.failed");
  assert.deepEqual(failed.map(({ asset: key, code, reason }) => `${key ?? ""} ${code}: ${reason}`).sort(), [
    'bad/bucket undeclared: gs://drops/other/w is outside of gs://drops/in, which is declared: declare gcs.read("gs://drops/…") in the resources of asset bad/bucket',
    'bad/dataset accessDenied: access denied: crm.people is not declared: add its asset to deps (of a table made elsewhere, an externalAsset), or a resource with { kind: "read-dataset", dataset: "crm" } in its needs',
    'bad/held undeclared: the secret passport is not declared: add ...secret("passport").needs to the resource\'s needs',
    'bad/statement undeclared: in a statement of the asset bad/statement: crm.t is not declared: add its asset to deps (of a table made elsewhere, an externalAsset), or a resource with { kind: "read-dataset", dataset: "crm" } in its needs',
  ]);
  assert.deepEqual(await platform.leftovers(), []);
});
