/** Query jobs: one statement, or a script, with its end in one commit; and what it would do, without doing it. */
import type { PermanentError } from "../../core/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { DryRun } from "../../ports/warehouse.ts";
import { checkLimit, type Costs } from "./bytes.ts";
import { dropPhysical, keyOf, type Catalog } from "./catalog.ts";
import { explain } from "./engine-errors.ts";
import { endJob, failJob, jobErrorOf } from "./job-table.ts";
import type { Outcome } from "./jobs.ts";
import type { QuerySpec } from "./query.ts";
import { checkedScript, runScript, ScriptFailure, type ScriptRan } from "./script.ts";
import type { Session, Transaction } from "./session.ts";
import { invalidQuery } from "./sql.ts";
import { checkAuthority, prepareStatement, runStatement } from "./statement.ts";
import type { keyedLock } from "../../core/keyed-lock.ts";
import type { Statement, Step } from "../googlesql/ast.ts";
import { Refusal } from "../googlesql/lexer.ts";
import { isSingle, parseScript } from "../googlesql/parse-script.ts";
import { changeOf, refused, refusalText, type Change } from "../googlesql/translate.ts";

export interface QueryJobsOptions {
  readonly session: Session;
  readonly tables: Catalog;
  readonly costs: Costs;
  readonly clock: Clock;
  readonly lockTables: ReturnType<typeof keyedLock>;
  /** Drops physical tables that nothing refers to any more. */
  readonly release: (physical: string | undefined) => Promise<void>;
  /** How long results are kept. */
  readonly keptMs: number;
}

export interface QueryJobs {
  /** Runs a job and commits its end. `digest` names what it makes. Throws `PermanentError` with BigQuery's reason as its code. */
  readonly execute: (id: string, spec: QuerySpec, digest: string, signal: AbortSignal) => Promise<Outcome>;
  readonly dryRun: (spec: QuerySpec) => Promise<DryRun>;
}

export function queryJobs(options: QueryJobsOptions): QueryJobs {
  const { session, tables, costs, clock, lockTables, release, keptMs } = options;

  async function execute(id: string, spec: QuerySpec, digest: string, signal: AbortSignal): Promise<Outcome> {
    const steps = parsed(spec);
    const job: Job = { id, spec, digest, signal };
    const { outcome, before } = await lockTables((spec.writes ?? []).map(keyOf), () =>
      isSingle(steps) ? executeStatement(steps[0].statement, job) : executeScript(steps, job),
    );
    for (const physical of before) await release(physical);
    return outcome;
  }

  interface Ended {
    readonly outcome: Outcome;
    /** Physical tables that lost a reference. */
    readonly before: readonly (string | undefined)[];
  }

  interface Job {
    readonly id: string;
    readonly spec: QuerySpec;
    readonly digest: string;
    readonly signal: AbortSignal;
  }

  async function executeStatement(statement: Statement, { id, spec, digest, signal }: Job): Promise<Ended> {
    const change = allowed(statement, spec);
    return await session.transaction(async (link) => {
      const { maximumBytesBilled } = spec;
      const now = clock.now();
      const ran = await runStatement(
        link,
        statement,
        { change, spec },
        { tables, costs, digest, now, maximumBytesBilled },
      );
      return { outcome: await succeed(link, id, ran), before: [ran.before] };
    }, signal);
  }

  /**
   * The whole script is one transaction, so that a process that dies in the middle leaves nothing half done and the next one
   * runs it again. Where a statement fails, those before it have taken effect in BigQuery: they run again, up to that one.
   */
  async function executeScript(steps: readonly Step[], { id, spec, digest, signal }: Job): Promise<Ended> {
    checkedScript(steps, spec, { tables, digest, now: clock.now() });
    let failure: PermanentError | undefined;
    let limit = Number.POSITIVE_INFINITY;
    for (;;) {
      try {
        return await session.transaction(async (link) => {
          const ran = await runScript(link, steps, spec, { tables, costs, digest, now: clock.now(), limit });
          if (failure === undefined) return { outcome: await succeed(link, id, ran), before: ran.before };
          const error = jobErrorOf(failure);
          await failJob(link, id, error);
          if (ran.kept.columns.length > 0) await dropPhysical(link, ran.kept.table);
          return { outcome: { state: "failed", error }, before: ran.before };
        }, signal);
      } catch (error) {
        if (!(error instanceof ScriptFailure) || signal.aborted) throw error;
        failure ??= error.cause;
        if (error.done === 0) throw failure;
        limit = error.done;
      }
    }
  }

  async function succeed(
    link: Transaction,
    id: string,
    { rows, kept, bytesBilled }: Pick<ScriptRan, "rows" | "kept" | "bytesBilled">,
  ): Promise<Outcome> {
    await endJob(link, id, { rows, kept, bytesBilled, keptUntil: clock.now() + keptMs });
    return { state: "succeeded", rows, bytesBilled };
  }

  async function dryRun(spec: QuerySpec): Promise<DryRun> {
    const now = clock.now();
    const steps = parsed(spec);
    if (!isSingle(steps)) {
      const scans = checkedScript(steps, spec, { tables, now, digest: "dry" });
      const { bytesProcessed, bytesBilled } = await session.use((link) => costs(link, scans, tables, now));
      checkLimit(bytesBilled, spec.maximumBytesBilled);
      return { schema: [], bytesProcessed };
    }
    const [{ statement }] = steps;
    allowed(statement, spec);
    const { effect, sql, scans } = prepareStatement(statement, spec, { tables, now });
    return await session.use(async (link) => {
      try {
        if (sql !== "") (await link.connection.prepare(sql)).destroySync();
      } catch (error) {
        throw explain(error);
      }
      const { bytesProcessed, bytesBilled } = await costs(link, scans, tables, now);
      checkLimit(bytesBilled, spec.maximumBytesBilled);
      return { schema: effect.kind === "select" ? effect.schema : [], bytesProcessed };
    });
  }

  return { execute, dryRun };
}

function parsed({ sql }: QuerySpec): readonly Step[] {
  try {
    return parseScript(sql);
  } catch (error) {
    throw error instanceof Refusal ? invalidQuery(refusalText(refused(sql, error))) : error;
  }
}

/** What a single statement would change, which the job may. */
function allowed(statement: Statement, { sql, writes = [] }: QuerySpec): Change | undefined {
  try {
    const change = changeOf(statement, sql);
    if (change !== undefined) checkAuthority(change, writes);
    return change;
  } catch (error) {
    throw error instanceof Refusal ? invalidQuery(refusalText(refused(sql, error))) : error;
  }
}
