/** Calls the code of a function check, confined to what it declares and to reading. */
import { rowCodec } from "../core/row-codec.ts";
import { statementOf } from "../core/check-query.ts";
import type { CheckQuery } from "../core/check-query.ts";
import { PermanentError, messageOf } from "../core/errors.ts";
import { MAX_MESSAGE_CHARS, verdictOf } from "../core/function-check.ts";
import type { CheckContext, FunctionRule, Verdict } from "../core/function-check.ts";
import { placeholderValues } from "../core/placeholders.ts";
import { quoteTable } from "../core/sql.ts";
import type { Staged } from "./audit.ts";
import type { Execution } from "./execution.ts";
import { decoded } from "./read-input.ts";
import { confined } from "./reads.ts";
import { clientsOf } from "./resources.ts";
import { rowStoreOf } from "./row-store.ts";
import { logged } from "./run-log.ts";
import type { RunLog } from "./run-log.ts";
import { isStoredAsset } from "./store-rows.ts";
import { runJob } from "./warehouse-jobs.ts";

type Rows = AsyncIterable<Readonly<Record<string, unknown>>>;

interface NamedRule {
  readonly name: string;
  readonly rule: FunctionRule;
}

/**
 * What the code says, without the secrets that it has read. A `PermanentError` of the code is a check that failed; any other
 * error is the run's.
 */
export async function evaluateFunction(execution: Execution, staged: Staged, check: NamedRule): Promise<Verdict> {
  try {
    return await logged(execution, (log) => call(execution, staged, check, log), `log-check-${check.name}`);
  } catch (error) {
    if (!(error instanceof PermanentError) || execution.signal.aborted) throw error;
    return { passed: false, message: messageOf(error).slice(0, MAX_MESSAGE_CHARS) };
  }
}

async function call(execution: Execution, staged: Staged, check: NamedRule, log: RunLog): Promise<Verdict> {
  const { identity, request, signal } = execution;
  const { name, rule } = check;
  const { asset, partition, table, tableOf } = staged;
  const clients = await clientsOf({
    execution,
    resources: rule.resources,
    needs: Object.values(rule.resources).flatMap(({ needs }) => needs),
    log,
    tableOf,
    fillIn: placeholderValues(partition, undefined),
    jobs: { prefix: `check-${name}-`, inputs: jobInputs(execution, staged, "") },
  });
  let calls = 0;
  const nextStep = (): string => `check-${name}-${++calls}`;
  const context: CheckContext = {
    runId: identity.id,
    asset: asset.key,
    partition,
    table,
    requestedAt: request.requestedAt,
    signal,
    log: log.log,
    query(statement) {
      const step = nextStep();
      const query = statementOf(statement, staged);
      return { [Symbol.asyncIterator]: () => rowsOfQuery(execution, staged, step, query) };
    },
    rows() {
      const step = nextStep();
      return { [Symbol.asyncIterator]: () => rowsOf(execution, staged, check, { step, log }) };
    },
  };
  // The definition's own types meet the rows of its asset's schema and the clients that its resources describe.
  const code = rule.evaluate as (context: unknown, resources: unknown) => unknown;
  const answer = await code(context, clients);
  signal.throwIfAborted();
  const { passed, message, metadata } = verdictOf(name, answer);
  return {
    passed,
    ...(message === undefined ? {} : { message: log.clean(message) }),
    ...(metadata === undefined ? {} : { metadata: log.cleanMetadata(metadata) }),
  };
}

async function* rowsOfQuery(
  execution: Execution,
  staged: Staged,
  step: string,
  { text, parameters }: CheckQuery,
): AsyncGenerator<Readonly<Record<string, unknown>>, void, void> {
  const { jobId } = await runJob(execution, {
    step,
    inputs: jobInputs(execution, staged, text),
    spec: confined(execution, { kind: "query", sql: text, parameters }),
    readsRows: true,
  });
  yield* execution.services.warehouse.rows(jobId, { signal: execution.signal });
}

async function* rowsOf(
  execution: Execution,
  staged: Staged,
  { name, rule }: NamedRule,
  { step, log }: { readonly step: string; readonly log: RunLog },
): AsyncGenerator<Readonly<Record<string, unknown>>, void, void> {
  const { asset, table, stored } = staged;
  const schema = rule.schema ?? asset.schema;
  const columns = schema === undefined ? undefined : rowCodec(schema).columns;
  let rows: Rows;
  if (table !== undefined) {
    const names = columns?.map((column) => `\`${column.name}\``).join(", ") ?? "*";
    rows = rowsOfQuery(execution, staged, step, { text: `SELECT ${names} FROM ${quoteTable(table)}`, parameters: {} });
  } else if (stored !== undefined && isStoredAsset(asset)) {
    const store = await rowStoreOf(execution, asset, asset.ioManager, log);
    const context = {
      asset: asset.key,
      columns: rowCodec(asset.schema).columns,
      signal: execution.signal,
      log: log.log,
    };
    rows = store.read(context, [stored.stored.handle]);
  } else {
    throw new PermanentError(`${asset.key} keeps no rows that the check ${name} could look at`, { code: "no-target" });
  }
  yield* decoded(schema === undefined ? asset : { ...asset, schema }, rows);
}

/**
 * What tells one look of a check from another. A run that waited for a long job finds it again; one that is tried again asks anew,
 * because what the check compares with may have changed, and so does one whose staging was filled again.
 */
export function jobInputs({ identity, run }: Execution, { fingerprint, info, stored }: Staged, text: string): string {
  const shown = info?.etag ?? stored?.stored.version ?? String(run.attempt);
  return `${identity.id} ${run.failures} ${fingerprint} ${shown} ${text}`;
}
