/** Runs the checks of an asset on its staged rows, before anything is visible. */
import type { CheckRule, InlineCheck } from "../core/check.ts";
import { checkQuery } from "../core/check-query.ts";
import { eventOf } from "../core/run-identity.ts";
import { PermanentError } from "../core/errors.ts";
import type { CheckResult, SluiceEvent } from "../core/events.ts";
import type { Partition } from "../core/partitions.ts";
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
  throw new PermanentError(`not published, blocking check failed: ${what}; correct the data, or the check`, {
    code: "check-failed",
  });
}

type Verdict = Pick<CheckResult, "passed" | "message" | "metadata">;

async function evaluate(execution: Execution, staged: Staged, check: InlineCheck): Promise<Verdict> {
  const { rule } = check;
  if (rule.kind === "row-count") return rowCount(rule, staged.info.rows);
  const { text, parameters } = checkQuery(rule, {
    ...staged,
    ...staged.info,
    requestedAt: execution.request.requestedAt,
  });
  const status = await runJob(execution, {
    step: `check-${check.name}`,
    // Asked anew in every attempt: what a check compares with may have changed since the last.
    inputs: `${execution.identity.id} ${execution.run.attempt} ${staged.fingerprint} ${text}`,
    spec: { kind: "query", sql: text, parameters },
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
