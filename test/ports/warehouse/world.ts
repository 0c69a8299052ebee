/** What a scenario works with: the warehouse under test, and short ways to fill it and to look at it. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import type { Column, ColumnType, TableRef } from "../../../lib/core/table.ts";
import type {
  JobSpec,
  JobStatus,
  LoadOptions,
  QueryParameter,
  TableHistory,
  Warehouse,
} from "../../../lib/ports/warehouse.ts";

export interface WarehouseUnderTest {
  readonly warehouse: Warehouse & TableHistory;
  /** Puts an object where the warehouse finds it by its `gs://` URI, replacing what was there. */
  readonly writeObject: (uri: string, bytes: Uint8Array) => Promise<void>;
  /** From now on jobs are accepted and do not start, until the returned function is called. */
  readonly holdJobs: () => () => void;
  /** Moves the warehouse's clock. */
  readonly advance: (ms: number) => void;
  readonly close: () => Promise<void>;
}

export type Scenario = (world: World) => Promise<void>;
export type World = ReturnType<typeof worldOf>;

export const minute = 60_000;

export function worldOf(subject: WarehouseUnderTest) {
  const { warehouse, writeObject } = subject;
  let count = 0;

  const fresh = (what: string): string => `${what}_${++count}`;

  async function put(text: string | Uint8Array, name = fresh("object")): Promise<string> {
    const uri = `gs://drops/${name}`;
    await writeObject(uri, typeof text === "string" ? Buffer.from(text) : text);
    return uri;
  }

  /** Submits a job and waits for its end. */
  async function run(spec: JobSpec, id = fresh("job")): Promise<JobStatus> {
    assert.equal(await warehouse.submit(id, spec, {}), "accepted");
    return await warehouse.wait(id, { timeoutMs: minute });
  }

  async function succeed(spec: JobSpec): Promise<JobStatus> {
    const status = await run(spec);
    assert.equal(status.state, "succeeded", `${spec.kind}: ${JSON.stringify(status.error)}`);
    return status;
  }

  /** A job that must fail for this reason, in one line that contains each of `words`. */
  async function fail(spec: JobSpec, reason: string, ...words: readonly string[]): Promise<void> {
    const { state, error } = await run(spec);
    assert.equal(state, "failed", `${spec.kind} should have failed`);
    assert.ok(error !== undefined);
    assert.equal(error.reason, reason, error.message);
    for (const word of words)
      assert.ok(error.message.includes(word), `${JSON.stringify(word)} is not in ${JSON.stringify(error.message)}`);
    assert.ok(!error.message.includes("\n"), "an error is one line");
    assert.ok(!error.message.includes(tmpdir()), `a local path is in ${JSON.stringify(error.message)}`);
  }

  /** A table of rows, by a load of newline JSON. */
  async function fill(
    table: string,
    schema: readonly Column[],
    rows: readonly object[],
    more: Partial<Extract<JobSpec, { kind: "load" }>> = {},
  ): Promise<void> {
    const uris = [await put(rows.map((row) => `${JSON.stringify(row)}\n`).join(""))];
    await succeed({ kind: "load", uris, format: "NEWLINE_DELIMITED_JSON", schema, destination: ref(table), ...more });
  }

  async function select(
    sql: string,
    parameters?: Readonly<Record<string, QueryParameter>>,
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { jobId } = await succeed({ kind: "query", sql, ...(parameters === undefined ? {} : { parameters }) });
    return await Array.fromAsync(warehouse.rows(jobId));
  }

  /** The values of one column, in its own order. */
  async function values(table: string, column = "n"): Promise<readonly unknown[]> {
    return (await select(`SELECT ${column} AS v FROM \`shop.${table}\` ORDER BY 1`)).map((row) => row["v"]);
  }

  return { ...subject, fresh, put, run, succeed, fail, fill, select, values };
}

/** A table of the dataset that the scenarios use. */
export function ref(table: string): TableRef {
  return { dataset: "shop", table };
}

export function column(name: string, type: ColumnType, mode: Column["mode"] = "NULLABLE"): Column {
  return { name, type, mode };
}

export const n: readonly Column[] = [column("n", "INT64")];

export function csvLoad(
  uri: string | readonly string[],
  table: string,
  schema: readonly Column[] | undefined,
  options: LoadOptions = {},
): JobSpec {
  const uris = typeof uri === "string" ? [uri] : uri;
  return {
    kind: "load",
    uris,
    format: "CSV",
    options,
    destination: ref(table),
    ...(schema === undefined ? {} : { schema }),
  };
}

export function parquetLoad(uri: string | readonly string[], table: string): Extract<JobSpec, { kind: "load" }> {
  return { kind: "load", uris: typeof uri === "string" ? [uri] : uri, format: "PARQUET", destination: ref(table) };
}

/** A Parquet file of the rows of a DuckDB query. */
export async function parquet(sql: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "parquet-"));
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const file = join(folder, "rows.parquet");
    await connection.run(`SET TimeZone = 'UTC'`);
    await connection.run(`COPY (${sql}) TO '${file}' (FORMAT parquet)`);
    return await readFile(file);
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(folder, { recursive: true });
  }
}
