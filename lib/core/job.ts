/** A job: code that runs on request and materializes nothing. */
import type { z } from "zod";
import { checkName } from "./asset-key.ts";
import { brand } from "./definition.ts";
import type { BaseContext, Branded, ResourceClients, ResourceMap, RetryPolicy } from "./definition.ts";
import type { Metadata } from "./events.ts";
import type { MultiDefinition } from "./multi-asset.ts";
import type { Need } from "./needs.ts";
import * as rules from "./option-rules.ts";
import { checkOptions, code, optional, text } from "./options.ts";
import type { Shape } from "./options.ts";
import { poolNameOf } from "./pool.ts";
import type { PoolDefinition } from "./pool.ts";
import { checkRetry } from "./retry.ts";

export interface JobContext<C> extends BaseContext {
  readonly config: C;
}

export interface JobOptions<R extends ResourceMap, C extends z.ZodObject> {
  readonly name: string;
  readonly description?: string;
  readonly resources?: R;
  /** What a request may carry; parsed before the job starts, so that a bad request is one clear line. */
  readonly config?: C;
  readonly retry?: RetryPolicy;
  /** As an asset's. */
  readonly pool?: string | PoolDefinition;
  /** What it returns is the run's metadata. At-least-once: a run that dies is started again from the beginning. */
  run(context: JobContext<z.output<C>>, resources: ResourceClients<R>): Promise<Metadata | undefined | void>;
}

export interface JobDefinition<C extends z.ZodObject = z.ZodObject> extends Branded<"job"> {
  readonly name: string;
  readonly description?: string;
  readonly resources: ResourceMap;
  readonly needs: readonly Need[];
  readonly config?: C;
  readonly retry: RetryPolicy;
  readonly pool?: string;
  /** The outputs that it makes, of a multi-asset. */
  readonly multi?: MultiDefinition;
  run(context: JobContext<never>, resources: ResourceClients<ResourceMap>): Promise<Metadata | undefined | void>;
}

/** The same with what its code takes, for those who call that code themselves, as tests do. */
export interface TypedJob<R extends ResourceMap, C extends z.ZodObject> extends JobDefinition<C> {
  /** Never set: it carries the types. */
  readonly takes?: { readonly resources: R; readonly config: C };
}

const OPTIONS: Shape<keyof JobOptions<ResourceMap, z.ZodObject>> = {
  name: text,
  description: optional(text),
  resources: rules.hands.resources,
  config: rules.work.config,
  retry: rules.work.retry,
  pool: rules.work.pool,
  run: code,
};

/** Defines a job. Throws `DefinitionError` for a bad name, and for an unknown option or one of another type. */
export function job<const R extends ResourceMap = Record<never, never>, C extends z.ZodObject = z.ZodObject>(
  options: JobOptions<R, C>,
): TypedJob<R, C> {
  checkOptions(rules.nameIn("job", options), options, OPTIONS);
  const { run, pool, ...rest } = options;
  return Object.freeze({
    ...rest,
    [brand]: true as const,
    kind: "job" as const,
    name: checkName(options.name, "job"),
    resources: options.resources ?? {},
    needs: Object.values(options.resources ?? {}).flatMap((resource) => resource.needs),
    retry: checkRetry(options.retry ?? {}, `the job ${options.name}`),
    ...(pool === undefined ? {} : { pool: poolNameOf(pool) }),
    // As with assets: the runtime hands in what this definition's own schema and resources describe.
    run,
  });
}
