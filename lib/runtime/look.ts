/** Looks at the objects that a partition would be loaded from, as they are now. */
import type { AssetDefinition } from "../core/asset.ts";
import { partitionRef } from "../core/run-identity.ts";
import type { InputObject } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { decideInputs } from "../core/inputs.ts";
import type { InputDecision, ListedObject } from "../core/inputs.ts";
import { compileObjectSource } from "../core/object-source.ts";
import type { ObjectMatcher, ObjectSource } from "../core/object-source.ts";
import { parseWindow } from "../core/interval.ts";
import type { Window } from "../core/interval.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Execution } from "./execution.ts";
import { EndRun, Park } from "./interruptions.ts";

/** An object that is being replaced may be absent for a moment, so absence is believed only when it lasts. */
const ABSENCE_MS = 1_000;

/** The inputs of the partition, when it can be loaded; otherwise the run ends, sleeps, or fails. */
export async function lookAtInputs(execution: Execution, source: ObjectSource): Promise<readonly InputObject[]> {
  const { services, identity, signal } = execution;
  let decision = await decide(execution, source);
  if (decision.kind === "missing") {
    await services.clock.sleep(ABSENCE_MS, signal);
    decision = await decide(execution, source);
  }
  return inputsOf(decision, identity.partition, source);
}

async function decide({ services, identity, request }: Execution, source: ObjectSource): Promise<InputDecision> {
  const matcher = compileObjectSource(source);
  const window = parseWindow(source.interval, identity.partition);
  const objects = await listInterval(services.objects, matcher, window);
  // Read anew each time: the head may have been rolled forward since the claim.
  const partition = await services.events.get("partition", partitionRef(identity.name, identity.partition).id);
  return decideInputs({
    matcher,
    partition: window.key,
    objects,
    loadedBefore: partition?.head?.inputs,
    allowMissing: request.allowMissing,
    now: services.clock.now(),
  });
}

function inputsOf(decision: InputDecision, partition: string, source: ObjectSource): readonly InputObject[] {
  switch (decision.kind) {
    case "ready":
      return decision.inputs;
    case "none":
      throw new EndRun("no-inputs", `no object of ${partition} is in gs://${source.bucket}/${source.pathBase}`);
    case "wait":
      if (decision.until !== undefined) throw new Park("incomplete", decision.reason, decision.until);
      throw new EndRun("incomplete", `${partition} is not whole yet: ${decision.reason}`);
    case "missing":
      throw new PermanentError(
        `${decision.names.length} objects that were loaded before are gone (${decision.names.slice(0, 3).join(", ")}): put them back, or run with --allow-missing`,
        { code: "inputs-missing" },
      );
    case "refused":
      throw new PermanentError(decision.reason, { code: "bad-input" });
  }
}

/** The objects whose names begin as those of the interval do. */
async function listInterval(objects: ObjectStore, matcher: ObjectMatcher, window: Window): Promise<ListedObject[]> {
  const listed: ListedObject[] = [];
  const { bucket } = matcher.source;
  for await (const object of objects.list(bucket, { prefix: matcher.pattern.prefixOf(window) })) listed.push(object);
  return listed;
}

/** The newest interval that has an object in the asset's bucket, if it is loaded from objects and there is any. */
export async function newestInterval(asset: AssetDefinition, objects: ObjectStore): Promise<string | undefined> {
  const { source } = asset;
  if (source === undefined) return undefined;
  const { pattern } = compileObjectSource(source);
  let newest: string | undefined;
  for await (const object of objects.list(source.bucket, { prefix: pattern.literalPrefix })) {
    const match = pattern.match(object.name);
    if (match.kind === "match" && (newest === undefined || match.window.key > newest)) newest = match.window.key;
  }
  return newest;
}
