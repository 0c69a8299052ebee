/** The code of jobs, sensors and checks, run in a test by itself: what it is told and its clients are what the test gives. */
import type { z } from "zod";
import type { InlineCheck } from "../core/check.ts";
import { DefinitionError, PermanentError } from "../core/errors.ts";
import type { Metadata } from "../core/events.ts";
import { verdictOf } from "../core/function-check.ts";
import type { CheckContext, TakenByCheck } from "../core/function-check.ts";
import type { TypedJob } from "../core/job.ts";
import type { Partition } from "../core/partitions.ts";
import type { ResourceClients, ResourceMap } from "../core/resources.ts";
import { readAnswer } from "../core/sensor-answer.ts";
import type {
  FinalizedObject,
  MaterializationEvent,
  SensorAnswer,
  SensorRequest,
  TypedSensor,
} from "../core/sensor.ts";
import type { SqlTemplate } from "../core/sql.ts";
import { again, parsedConfig, surroundings } from "./surroundings.ts";
import type { Common, Given, GivenConfig, LogLine, Wanted } from "./surroundings.ts";

export type JobInMemory<R extends ResourceMap, C extends z.ZodObject> = Wanted<
  "resources",
  keyof R,
  ResourceClients<R>
> &
  GivenConfig<C> &
  Common;

export interface JobResult {
  /** What the code has returned. */
  readonly metadata: Metadata;
  readonly logs: readonly LogLine[];
}

/** Runs a job's code once, its config read by its schema. Throws what the code throws, and `PermanentError` (`bad-config`). */
export async function runJobInMemory<R extends ResourceMap, C extends z.ZodObject>(
  job: TypedJob<R, C>,
  given: JobInMemory<R, C>,
): Promise<JobResult> {
  const { context, logs } = surroundings(given);
  const config = parsedConfig(job.config, given.config);
  // The job's own types meet the clients that the test gives.
  const code = job.run as (context: unknown, resources: unknown) => ReturnType<typeof job.run>;
  const metadata = await code({ ...context, config }, given.resources ?? {});
  return { metadata: metadata ?? {}, logs };
}

/** What the sensor is told of. */
type Told<N> = N extends "event" ? { readonly event: MaterializationEvent } : { readonly object: FinalizedObject };

export type SensorInMemory<N, R extends ResourceMap> = Told<N> &
  Wanted<"resources", keyof R, ResourceClients<R>> &
  Common & {
    /** What the last tick has stored. */
    readonly cursor?: string;
  };

export interface SensorResult<C extends z.ZodObject> {
  /** The configs are as the job, or the asset, will read them. */
  readonly requests: readonly (Omit<SensorRequest<unknown>, "config"> & { readonly config: z.output<C> })[];
  readonly skipReason?: string;
  /** What the next tick would find as its cursor. */
  readonly cursor?: string;
  readonly logs: readonly LogLine[];
}

/**
 * Asks a sensor once. Throws what the code throws, and `PermanentError` (`bad-config`) for a request that what it requests would
 * not take.
 */
export async function evaluateSensor<N extends "event" | "object", R extends ResourceMap, C extends z.ZodObject>(
  sensor: TypedSensor<N, R, C>,
  given: SensorInMemory<N, R>,
): Promise<SensorResult<C>> {
  const { context, logs } = surroundings(given);
  const told: unknown = "event" in given ? given.event : "object" in given ? given.object : undefined;
  // The sensor's own types meet what the test gives.
  const code = sensor.evaluate as (
    context: unknown,
    told: unknown,
    resources: unknown,
  ) => SensorAnswer<unknown> | Promise<SensorAnswer<unknown>>;
  const answer = await code({ ...context, cursor: given.cursor }, told, given.resources ?? {});
  const { requests, skipReason, next } = readAnswer(answer);
  return {
    requests: requests.map((request) => ({
      ...request,
      // What the schema has read is of its type; without a schema, any config is.
      config: parsedConfig(sensor.config, request.config, `the config of ${request.runKey}`) as z.output<C>,
    })),
    ...(skipReason === undefined ? {} : { skipReason }),
    ...(next === undefined ? {} : { cursor: next }),
    logs,
  };
}

type AnyRow = Readonly<Record<string, unknown>>;

export type CheckInMemory<R extends ResourceMap, Row> = Wanted<"resources", keyof R, ResourceClients<R>> &
  Common & {
    /** The staged rows. */
    readonly rows: Given<Row>;
    /** The rows of a query of the check: there is no warehouse here. */
    readonly query?: (statement: SqlTemplate) => Given<AnyRow>;
    readonly partition?: Partition;
  };

export interface CheckInMemoryResult {
  readonly passed: boolean;
  readonly message?: string;
  readonly metadata: Metadata;
  readonly logs: readonly LogLine[];
}

/**
 * Asks a function check once, of an asset with a table. A `PermanentError` of its code is a check that failed, as in a run; any
 * other error is thrown. Throws `DefinitionError` for a check without code, and for a query without its rows.
 */
export async function evaluateCheck<R extends ResourceMap, Row>(
  check: InlineCheck & TakenByCheck<R, Row>,
  given: CheckInMemory<R, Row>,
): Promise<CheckInMemoryResult> {
  const { name, rule } = check;
  if (rule.kind !== "function") {
    throw new DefinitionError(`the check ${name} is a query, which takes a warehouse`, {
      remedy: "run its asset on this machine",
    });
  }
  const { context: base, logs } = surroundings(given);
  const context: CheckContext<unknown> = {
    ...base,
    asset: "asset" in check && typeof check.asset === "string" ? check.asset : "test/asset",
    partition: given.partition,
    table: { dataset: "test", table: "staging" },
    rows: () => again(given.rows),
    query(statement) {
      if (given.query !== undefined) return again(given.query(statement));
      throw new DefinitionError(`the check ${name} asks a query, and the test has no rows for it`, {
        remedy: "give evaluateCheck a query: () => [{ … }]",
      });
    },
  };
  // The check's own types meet the rows and clients that the test gives.
  const code = rule.evaluate as (context: unknown, resources: unknown) => unknown;
  try {
    const { metadata = {}, ...verdict } = verdictOf(name, await code(context, given.resources ?? {}));
    return { ...verdict, metadata, logs };
  } catch (error) {
    if (!(error instanceof PermanentError)) throw error;
    return { passed: false, message: error.message, metadata: {}, logs };
  }
}
