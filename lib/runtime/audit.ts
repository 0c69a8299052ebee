/** Runs the checks of an asset on its staged rows, before anything is visible. */
import type { AssetDefinition } from "../core/asset.ts";
import type { CheckRule, InlineCheck } from "../core/check.ts";
import { checkQuery, statementOf } from "../core/check-query.ts";
import type { CheckQuery } from "../core/check-query.ts";
import { eventOf } from "../core/run-identity.ts";
import { PermanentError } from "../core/errors.ts";
import type { CheckResult, SluiceEvent } from "../core/events.ts";
import type { Verdict } from "../core/function-check.ts";
import type { Partition } from "../core/partitions.ts";
import { quoteTable } from "../core/sql.ts";
import type { TableRef } from "../core/table.ts";
import type { TableInfo } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";
import { evaluateFunction, jobInputs } from "./function-check.ts";
import { confined } from "./reads.ts";
import type { TableOf } from "./resources.ts";
import type { StoredRows } from "./store-rows.ts";
import { runJob } from "./warehouse-jobs.ts";

export interface Staged {
  readonly asset: AssetDefinition;
  /** Both `undefined` for an asset without a table. */
  readonly table?: TableRef;
  readonly info?: TableInfo;
  /** The rows of an I/O manager that keeps no table. */
  readonly stored?: StoredRows | undefined;
  readonly partition: Partition | undefined;
  readonly fingerprint: string;
  readonly tableOf: TableOf;
}

/** How many failing rows are shown. */
const SAMPLES = 3;

/**
 * One event for each check. Throws `PermanentError` (`check-failed`), after recording the results, when a blocking check
 * failed: the staging is never published.
 */
export async function audit(
  execution: Execution,
  staged: Staged,
  checks: readonly InlineCheck[],
): Promise<readonly SluiceEvent[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const verdict = await evaluate(execution, staged, check);
    results.push({ check: check.name, blocking: check.blocking, severity: check.severity, ...verdict });
  }
  const { identity, run, services } = execution;
  const now = services.clock.now();
  const events = results.map((result): SluiceEvent => ({
    ...eventOf(identity, `check-${result.check}-${run.attempt}`, now),
    type: "check.evaluated",
    result,
  }));
  const failed = results.filter((result) => result.blocking && !result.passed);
  if (failed.length === 0) return events;
  await services.events.append(events);
  const what = failed.map((result) => `${result.check}: ${result.message ?? "failed"}`).join("; ");
  throw new PermanentError(`not published, blocking check failed: ${what}; correct the data, or the check`, {
    code: "check-failed",
  });
}

async function evaluate(execution: Execution, staged: Staged, check: InlineCheck): Promise<Verdict> {
  const { rule, name } = check;
  if (rule.kind === "function") return await evaluateFunction(execution, staged, { name, rule });
  if (rule.kind === "row-count") return rowCount(rule, await rowsIn(execution, staged, name));
  const { text, parameters } = queryOf(execution, staged, rule);
  const status = await runJob(execution, {
    step: `check-${name}`,
    inputs: jobInputs(execution, staged, text),
    spec: confined(execution, { kind: "query", sql: text, parameters }),
    readsRows: true,
  });
  const { rows } = status;
  if (rows === 0) return { passed: true };
  const samples: string[] = [];
  for await (const row of execution.services.warehouse.rows(status.jobId, { signal: execution.signal })) {
    samples.push(JSON.stringify(row).slice(0, 200));
    if (samples.length === SAMPLES) break;
  }
  // Where the warehouse does not say how many there are, the rows themselves do; what cannot be read has not passed.
  if (rows === undefined && samples.length === 0) return { passed: true };
  const count = rows ?? samples.length;
  return {
    passed: false,
    message: `${rows === undefined ? "at least " : ""}${rowsText(count)}, such as ${samples.join(", ")}`,
    metadata: { rows: count, samples },
  };
}

function queryOf(
  { request: { requestedAt } }: Execution,
  staged: Staged,
  rule: Exclude<CheckRule, { kind: "row-count" | "function" }>,
): CheckQuery {
  const { table, info, asset } = staged;
  if (table !== undefined && info !== undefined) return checkQuery(rule, { ...staged, ...info, table, requestedAt });
  if (rule.kind === "no-rows") return statementOf(rule.sql, staged);
  throw new PermanentError(`${asset.key} has no table that a check could look at`, { code: "no-target" });
}

/** A view has no number of rows of its own: they are counted by a query. */
async function rowsIn(execution: Execution, staged: Staged, check: string): Promise<number> {
  const { asset, table, info, stored } = staged;
  if (stored !== undefined) return stored.rows;
  if (table === undefined || info === undefined)
    throw new PermanentError(`${asset.key} has no rows that a check could count`, { code: "no-target" });
  if (info.view !== true) return info.rows;
  const sql = `SELECT COUNT(*) AS n FROM ${quoteTable(table)}`;
  const status = await runJob(execution, {
    step: `check-${check}`,
    inputs: jobInputs(execution, staged, sql),
    spec: { kind: "query", sql },
    readsRows: true,
  });
  for await (const row of execution.services.warehouse.rows(status.jobId, { signal: execution.signal })) {
    return Number(row["n"]);
  }
  return 0;
}

function rowsText(count: number): string {
  return count === 1 ? "1 row" : `${count} rows`;
}

function rowCount({ min, max }: Extract<CheckRule, { kind: "row-count" }>, rows: number): Verdict {
  const passed = rows >= (min ?? 0) && rows <= (max ?? Infinity);
  const bounds = [min === undefined ? "" : `at least ${min}`, max === undefined ? "" : `at most ${max}`].filter(
    (b) => b !== "",
  );
  return {
    passed,
    metadata: { rows },
    ...(passed ? {} : { message: `${rowsText(rows)}, expected ${bounds.join(" and ")}` }),
  };
}
