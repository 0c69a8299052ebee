/** Runs the checks of an asset on its staged rows, before anything is visible. */
import type { CheckRule, InlineCheck } from "../core/check.ts";
import { eventOf } from "../core/claim.ts";
import { PermanentError } from "../core/errors.ts";
import type { CheckResult, SluiceEvent } from "../core/events.ts";
import type { Partition } from "../core/partitions.ts";
import { quoteTable, renderSql } from "../core/sql.ts";
import type { QueryParameter } from "../core/sql.ts";
import type { TableRef } from "../core/table.ts";
import type { TableInfo } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";
import type { TableOf } from "./resources.ts";
import { runJob } from "./warehouse-jobs.ts";

export interface Staged {
  readonly table: TableRef;
  readonly info: TableInfo;
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
  throw new PermanentError(`not published, blocking check failed: ${what}`, { code: "check-failed" });
}

type Verdict = Pick<CheckResult, "passed" | "message" | "metadata">;

async function evaluate(execution: Execution, staged: Staged, check: InlineCheck): Promise<Verdict> {
  const { rule } = check;
  if (rule.kind === "row-count") return rowCount(rule, staged.info.rows);
  const { text, parameters } =
    rule.kind === "no-rows" ? renderSql(rule.sql, staged.tableOf) : outsideQuery(rule.column, staged);
  const status = await runJob(execution, {
    step: `check-${check.name}`,
    inputs: `${staged.fingerprint} ${text}`,
    spec: { kind: "query", sql: text, parameters },
    usable: () => Promise.resolve(true),
  });
  const count = status.rows ?? 0;
  if (count === 0) return { passed: true };
  const samples: string[] = [];
  for await (const row of execution.services.warehouse.rows(status.jobId, { signal: execution.signal })) {
    samples.push(JSON.stringify(row).slice(0, 200));
    if (samples.length === SAMPLES) break;
  }
  return { passed: false, message: `${count} rows, such as ${samples.join(", ")}`, metadata: { rows: count, samples } };
}

function rowCount({ min, max }: Extract<CheckRule, { kind: "row-count" }>, rows: number): Verdict {
  const passed = rows >= (min ?? 0) && rows <= (max ?? Infinity);
  const bounds = [min === undefined ? "" : `at least ${min}`, max === undefined ? "" : `at most ${max}`].filter(
    (b) => b !== "",
  );
  return {
    passed,
    metadata: { rows },
    ...(passed ? {} : { message: `${rows} rows, expected ${bounds.join(" and ")}` }),
  };
}

/** Rows whose partition column is empty, or lies outside of the partition's window. */
function outsideQuery(column: string, staged: Staged): { text: string; parameters: Record<string, QueryParameter> } {
  const found = staged.info.schema.find(({ name }) => name.toLowerCase() === column.toLowerCase());
  if (found === undefined) {
    throw new PermanentError(`the files have no column ${column}, which the table is partitioned by`, {
      code: "bad-input",
    });
  }
  if (found.type !== "DATE" && found.type !== "TIMESTAMP" && found.type !== "DATETIME") {
    throw new PermanentError(`the partition column ${column} is ${found.type}, not DATE, DATETIME or TIMESTAMP`, {
      code: "bad-input",
    });
  }
  const { type } = found;
  const at = (ms: number | undefined): QueryParameter => {
    const iso = new Date(ms ?? 0).toISOString();
    return { type, value: type === "DATE" ? iso.slice(0, 10) : type === "DATETIME" ? iso.slice(0, -1) : iso };
  };
  const name = `\`${found.name}\``;
  return {
    text: `SELECT ${name} FROM ${quoteTable(staged.table)} WHERE ${name} IS NULL OR ${name} < @start OR ${name} >= @end LIMIT 100`,
    parameters: { start: at(staged.partition?.start), end: at(staged.partition?.end) },
  };
}
