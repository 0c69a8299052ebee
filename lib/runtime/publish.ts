/**
 * Steps 5 and 6 of a run's life: the intent, the atomic warehouse step under its job id, and the commit; and what to do about
 * an intent that somebody else left open.
 */
import { partitionRef } from "../core/run-identity.ts";
import { commitIntent, commitRefs } from "../core/commit.ts";
import type { Intent, RunDocument } from "../core/documents.ts";
import { PermanentError, RetryableError, messageOf } from "../core/errors.ts";
import { mergeStatement, viewStatement } from "../core/publish-job.ts";
import type { Statement } from "../core/publish-job.ts";
import type { TableRef } from "../core/table.ts";
import { formatTable } from "../core/table.ts";
import { accumulates } from "../core/target.ts";
import type { Target } from "../core/target.ts";
import { closeIntent, maySettle, openIntent, slotRef } from "../core/slot.ts";
import type { OpenRequest } from "../core/slot.ts";
import type { JobSpec, JobStatus } from "../ports/warehouse.ts";
import { haveParted } from "./align-schema.ts";
import { announce } from "./execution.ts";
import type { Execution } from "./execution.ts";
import { Canceled, ClaimLost, EndRun, Park } from "./interruptions.ts";
import type { Services } from "./services.ts";
import { labelsOf } from "./warehouse-jobs.ts";

/** How often a live stranger's publish is looked at in place, and for how long each time. */
const LOOKS = 20;
const LOOK_MS = 250;

/** What the intent's job does. Only the run itself needs it: a stranger who settles the intent needs no more than its id. */
export interface Publication {
  readonly target: Target;
  /** The statement that becomes a view. */
  readonly statement?: Statement | undefined;
}

/** Publishes in the slot and commits. The result is the ended run. */
export async function publish(
  execution: Execution,
  wish: Omit<OpenRequest, "now" | "token" | "identity" | "accumulates">,
  publication: Publication,
): Promise<RunDocument> {
  const request = { ...wish, accumulates: accumulates(publication.target) };
  const { services, identity, token, signal } = execution;
  const refs = { partition: partitionRef(identity.name, identity.partition), slot: slotRef(request.destination) };
  for (;;) {
    signal.throwIfAborted();
    const now = services.clock.now();
    const opened = await services.events.transact(refs, (state) =>
      openIntent(state, { ...request, identity, token, now }),
    );
    switch (opened.kind) {
      case "lost":
        throw new ClaimLost(identity.id);
      case "canceled":
        throw new Canceled(identity.id);
      case "superseded":
        throw new EndRun("superseded", `the table already shows ${opened.by}`, request.head.inputs);
      case "occupied": {
        const settled = await settle(execution, opened.intent);
        if (settled?.id === identity.id) return settled;
        break;
      }
      case "open": {
        const run = await carryOut(execution, opened.intent, publication);
        if (run !== undefined) return run;
      }
    }
  }
}

async function carryOut(
  execution: Execution,
  intent: Intent,
  publication: Publication,
): Promise<RunDocument | undefined> {
  const { services, identity } = execution;
  const { destination } = intent;
  const status = await runPublish(execution, intent, publication);
  if (status.state === "succeeded" && isPublish(status, intent)) {
    const run = await commit(services, intent, false);
    if (run === undefined) throw new ClaimLost(identity.id); // a stranger has settled it; the claim is gone with it
    return run;
  }
  // A stranger took the id, or the copy failed: either way this publish can never happen any more.
  await close(services, intent);
  const { message, reason = "", retryable = true, afterMs } = isPublish(status, intent) ? (status.error ?? {}) : {};
  const what = `publishing in ${formatTable(destination)}`;
  // A staging that is gone was taken for another run's leftover: the next try fills it again.
  if (!retryable && reason !== "stopped" && reason !== "notFound") {
    const { target } = publication;
    const joins = destination.partition !== undefined || accumulates(target);
    if (joins && (await haveParted(services, { staging: intent.staging, table: target.table })))
      throw new Park("columns-changed", `${what} failed: another run has added columns`, services.clock.now());
    throw new PermanentError(`${what} failed: ${message}`, { code: reason });
  }
  const cutOff = `${what} was cut off: ${message ?? "its job id was taken"}`;
  if (afterMs !== undefined) throw new Park("quota", cutOff, services.clock.now() + afterMs);
  throw new RetryableError(cutOff);
}

/**
 * While the intent is open, the run must not end: a warehouse out of reach is asked again later, and that counts as no
 * failure of the run.
 */
async function runPublish(execution: Execution, intent: Intent, publication: Publication): Promise<JobStatus> {
  const { services, identity, signal } = execution;
  const { warehouse, clock, settings } = services;
  const labels = { ...labelsOf(identity), sluice_step: "publish" };
  try {
    await warehouse.submit(intent.jobId, await publishJob(services, intent, publication), labels);
    return await waitForEnd(services, intent.jobId, signal);
  } catch (error) {
    if (error instanceof Park || signal.aborted) throw error;
    throw new Park("publish-unsettled", messageOf(error), clock.now() + settings.lookAgainMs);
  }
}

/** The intent is open: nobody else publishes in this table now, so what is there says what is to be done. */
async function publishJob(
  { warehouse }: Services,
  { staging: source, destination }: Intent,
  { target, statement }: Publication,
): Promise<JobSpec> {
  const { publish: mode = "replace", partitioning } = target;
  const copy = { kind: "copy" as const, source, destination, ...(partitioning === undefined ? {} : { partitioning }) };
  if (mode === "replace") return copy;
  if (mode === "append") return { ...copy, append: true };
  if (mode === "view") {
    if (statement === undefined)
      throw new PermanentError("there is no statement to make a view of", { code: "no-data" });
    return query(viewStatement(destination, statement), destination);
  }
  const there = await warehouse.describe(destination);
  const staged = await warehouse.describe(source);
  // Without a staging, the copy fails, and the next try fills it again.
  if (there === undefined || staged === undefined) return { ...copy, append: true };
  const [table, rows] = [
    { ref: destination, schema: there.schema },
    { ref: source, schema: staged.schema },
  ];
  return query(mergeStatement(table, rows, mode.merge), destination);
}

function query({ text: sql, parameters }: Statement, table: TableRef): JobSpec {
  return { kind: "query", sql, parameters, writes: [table] };
}

/**
 * Makes sure what became of an open intent before anything else happens to its slot. A live stranger's is waited for; a dead
 * one's is settled. The result is the ended run where a publish was rolled forward.
 */
export async function settle(execution: Execution, intent: Intent): Promise<RunDocument | undefined> {
  const { services, identity, signal } = execution;
  const { events, clock, settings } = services;
  for (let look = 0; look < LOOKS; look++) {
    signal.throwIfAborted();
    const slot = await events.get("slot", slotRef(intent.destination).id);
    if (slot?.intent?.sequence !== intent.sequence) return undefined;
    const owner = await events.get("partition", partitionRef(intent.name, intent.partition).id);
    const executing = services.holdLeases() && services.executing.has(intent.runId) && intent.runId !== identity.id;
    if (!executing && maySettle(intent, owner, clock.now())) return await settleDead(execution, intent);
    await clock.sleep(LOOK_MS, signal);
  }
  throw new Park(
    "slot-busy",
    `another publish into ${formatTable(intent.destination)} is under way`,
    clock.now() + settings.lookAgainMs,
  );
}

/**
 * Settles the run's own publish, which is not wanted any more. Only for an execution whose work has ended, so that nothing of
 * its own is on its way to the warehouse. The result is the run, should the publish have happened.
 */
export async function settleUnwanted(execution: Execution, intent: Intent): Promise<RunDocument | undefined> {
  const settled = await settleDead(execution, intent, { wanted: false });
  return settled?.id === execution.identity.id ? settled : undefined;
}

/**
 * A no-op under the publish's own id. Accepted: the id is taken, so that publish can never happen. Refused: the publish
 * was submitted, so it is stopped or waited for, and its end decides.
 */
async function settleDead(
  execution: Execution,
  intent: Intent,
  { wanted } = { wanted: intent.runId === execution.identity.id },
): Promise<RunDocument | undefined> {
  const { services, identity, signal } = execution;
  const { warehouse } = services;
  const labels = { sluice_run: intent.runId, sluice_step: "prevent" };
  const taken = await warehouse.submit(intent.jobId, { kind: "query", sql: "SELECT 1" }, labels);
  if (taken === "duplicate") {
    // A run that slept while its own publish went on wants it to succeed.
    if (!wanted) await warehouse.cancel(intent.jobId);
    const status = await waitForEnd(services, intent.jobId, signal);
    if (status.state === "succeeded" && isPublish(status, intent)) {
      const run = await commit(services, intent, true);
      if (run !== undefined && run.id !== identity.id) await announce(services, run, run);
      return run;
    }
  }
  await close(services, intent);
  return undefined;
}

async function waitForEnd(services: Services, jobId: string, signal: AbortSignal): Promise<JobStatus> {
  const { warehouse, clock, settings } = services;
  const status = await warehouse.wait(jobId, { timeoutMs: settings.waitMs, signal });
  if (status.state === "succeeded" || status.state === "failed") return status;
  throw new Park("waiting-for-job", `the warehouse job ${jobId} is still running`, clock.now() + settings.lookAgainMs);
}

/** A job met by the intent's id is its publish only if it says so: it may be a prevention, or of somebody who knows of no intents. */
function isPublish({ labels }: JobStatus, { runId }: Intent): boolean {
  return labels["sluice_step"] === "publish" && labels["sluice_run"] === runId;
}

function commit(services: Services, intent: Intent, rolledForward: boolean): Promise<RunDocument | undefined> {
  const now = services.clock.now();
  return services.events.transact(commitRefs(intent), (state) => commitIntent(state, { intent, now, rolledForward }));
}

function close(services: Services, intent: Intent): Promise<void> {
  const now = services.clock.now();
  return services.events.transact({ slot: slotRef(intent.destination) }, (state) =>
    closeIntent(state, { intent, now }),
  );
}
