/** Statements of authors, kept to the datasets that the definition of their run declares. */
import { PermanentError } from "../core/errors.ts";
import { assetReads, datasetsIn, namedReads, undeclaredIn } from "../core/reads.ts";
import type { DatasetRef } from "../core/reads.ts";
import type { JobSpec } from "../ports/warehouse.ts";
import type { Execution } from "./execution.ts";

/**
 * The statement with the datasets that it may read. Throws `PermanentError` (`undeclared`) where it names a table elsewhere in
 * quotes; any other way to name one only the warehouse understands, which refuses it.
 */
export function confined<S extends Extract<JobSpec, { kind: "query" }>>(execution: Execution, spec: S): S {
  const named = readsOf(execution, namedReads);
  const reads = readsOf(execution, assetReads);
  if (named === undefined || reads === undefined) return spec;
  const undeclared = undeclaredIn(spec.sql, [...named, ...(spec.writes ?? [])]);
  if (undeclared === undefined) return { ...spec, reads };
  const { kind, name } = execution.identity;
  throw new PermanentError(`in a statement of the ${kind} ${name}: ${undeclared}`, { code: "undeclared" });
}

/** `undefined` for a definition that is gone. */
function readsOf(
  { services, identity: { kind, name } }: Execution,
  needsOf: typeof assetReads,
): readonly DatasetRef[] | undefined {
  const definitions = services.definitions();
  if (kind === "asset") {
    const asset = definitions.assets.get(name);
    return asset === undefined ? undefined : datasetsIn(needsOf(definitions, asset));
  }
  const definition = kind === "job" ? definitions.jobs.get(name) : definitions.sensors.get(name);
  if (definition === undefined) return undefined;
  const outputs = "multi" in definition ? Object.values(definition.multi?.outputs ?? {}) : [];
  return datasetsIn([...definition.needs, ...outputs.flatMap((asset) => needsOf(definitions, asset))]);
}
