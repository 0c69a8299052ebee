/** The run of an asset without a managed table: its rows are kept elsewhere, or its code does all by itself. */
import { commitUnmanaged, unmanagedRefs } from "../core/commit.ts";
import { allChecks } from "../core/definitions.ts";
import { decided } from "../core/documents.ts";
import type { Decision, RunDocument } from "../core/documents.ts";
import { RetryableError } from "../core/errors.ts";
import type { Metadata, SluiceEvent } from "../core/events.ts";
import { fingerprintOf } from "../core/inputs.ts";
import { eventOf, partitionRef } from "../core/run-identity.ts";
import { audit } from "./audit.ts";
import type { Ending } from "./execution.ts";
import { Canceled, ClaimLost, EndRun } from "./interruptions.ts";
import { lookAtInputs } from "./look.ts";
import { materialize } from "./materialize.ts";
import type { Materialized, Plan } from "./materialize.ts";
import { tablesOf } from "./resources.ts";
import { hasInputs, headOf, inputsChanged } from "./run-basis.ts";
import { noteRange } from "./single-run.ts";
import { isStoredAsset } from "./store-rows.ts";
import { definitionHash, definitionOf } from "./versions.ts";

export async function materializeUnmanaged(plan: Plan): Promise<Ending> {
  const { execution, asset } = plan;
  const { services, identity, token, request } = execution;
  const before = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
  const inputs = asset.source === undefined ? [] : await lookAtInputs(execution, asset.source, before?.head);
  const kept = isStoredAsset(asset);
  const { single } = plan;
  const range = single?.kind === "makes" ? await noteRange(execution, asset, single.keys) : "";
  const fingerprint = fingerprintOf({
    inputs,
    upstreams: plan.upstreams,
    definition: definitionOf(plan),
    codeVersion: asset.codeVersion,
    nonce: kept && request.force !== true && hasInputs(asset) ? undefined : `${identity.id}${range}`,
  });
  if (before?.head?.fingerprint === fingerprint)
    throw new EndRun("unchanged", "the partition already holds these inputs");

  const definition = definitionHash(asset, definitionOf(plan));
  const material = { inputs, fingerprint, definition, before: before?.head };
  const {
    result,
    metadata,
    kept: rows,
  }: Materialized = single?.kind === "made"
    ? { result: {}, metadata: { madeByRun: single.by } }
    : await materialize(plan, material);
  if (rows !== undefined && (await inputsChanged(plan, inputs, before?.head)))
    throw new RetryableError(`the inputs of ${asset.key} changed while its rows were stored`);
  const stored = rows === undefined ? {} : { stored: rows.stored };
  const head = { ...headOf(plan, material, result), ...stored };
  // None of them can block: the data is where it is, or becomes visible with this commit.
  const tableOf = tablesOf(execution, asset, undefined);
  const looked = { asset, stored: rows, partition: plan.partition, fingerprint, tableOf };
  const events = await audit(execution, looked, allChecks(services.definitions(), asset));
  const now = services.clock.now();
  const event: SluiceEvent = {
    ...eventOf(identity, "materialized", now),
    type: "materialized",
    materializationId: head.materializationId,
    ...(rows === undefined ? {} : { rows: rows.rows, schema: rows.columns }),
    fingerprint,
    inputs,
    metadata: { ...rangeText(plan), ...metadata, ...result.metadata },
  };
  const run = await services.events.transact(unmanagedRefs(identity), (state): Decision<CommitOutcome> =>
    // Stored rows become visible here; what an author's code does by itself is done by now.
    rows !== undefined && state.partition?.holder?.token === token && state.partition.holder.cancel === true
      ? decided("canceled" as const)
      : commitUnmanaged(state, { identity, token, now, order: plan.order, head, events: [...events, event] }),
  );
  if (run === "canceled") throw new Canceled(identity.id);
  if (run === undefined) throw new ClaimLost(identity.id);
  return { kind: "ended", run };
}

function rangeText({ single }: Plan): Metadata {
  if (single?.kind !== "makes") return {};
  const { keys } = single;
  return { madePartitions: `${keys[0] ?? ""} to ${keys.at(-1) ?? ""}` };
}

type CommitOutcome = RunDocument | "canceled" | undefined;
