/** Looks at the objects that a partition would be loaded from, as they are now. */
import type { AssetDefinition } from "../core/asset.ts";
import type { Definitions } from "../core/definitions.ts";
import type { Head, InputObject } from "../core/documents.ts";
import { PermanentError } from "../core/errors.ts";
import { decideInputs, uriOf } from "../core/inputs.ts";
import type { InputDecision, ListedObject } from "../core/inputs.ts";
import { compileObjectSource } from "../core/object-source.ts";
import type { ObjectMatcher, ObjectSource } from "../core/object-source.ts";
import { parseWindow } from "../core/interval.ts";
import type { Window } from "../core/interval.ts";
import type { ObjectStore } from "../ports/object-store.ts";
import type { Execution } from "./execution.ts";
import { EndRun, Park } from "./interruptions.ts";
import type { Services } from "./services.ts";

/** An object that is being replaced may be absent for a moment, so absence is believed only when it lasts. */
const ABSENCE_MS = 1_000;
/** A run can be quicker than the listing: the object that it was asked for is looked for again until so long after its beginning. */
const UNLISTED_MS = 2_000;

/**
 * The inputs of the partition, when it can be loaded; otherwise the run ends, sleeps, or fails. `head`: what the partition holds,
 * read once its slot has no open intent. Until the run's own commit, nobody who may commit changes it.
 */
export async function lookAtInputs(
  execution: Execution,
  source: ObjectSource,
  head: Head | undefined,
): Promise<readonly InputObject[]> {
  const { services, identity, signal } = execution;
  let decision = await decide(execution, source, head);
  if (decision.kind === "missing") {
    await services.clock.sleep(ABSENCE_MS, signal);
    decision = await decide(execution, source, head);
  }
  return inputsOf(decision, identity.partition, source);
}

async function decide(execution: Execution, source: ObjectSource, head: Head | undefined): Promise<InputDecision> {
  const { services, identity, request } = execution;
  const matcher = matcherOf(services.definitions(), identity.name, source);
  const window = parseWindow(source.interval, identity.partition);
  const objects = await listInterval(services.objects, matcher, window);
  waitForListing(execution, objects);
  return decideInputs({
    matcher,
    partition: window.key,
    objects,
    loadedBefore: head?.inputs,
    allowMissing: request.allowMissing,
    now: services.clock.now(),
  });
}

/** The pattern is compiled already, where the asset is defined as it was a moment ago. */
export function matcherOf({ watchers }: Definitions, asset: string, source: ObjectSource): ObjectMatcher {
  const known = watchers.get(source.bucket)?.find((watcher) => watcher.asset === asset);
  return known?.matcher.source === source ? known.matcher : compileObjectSource(source);
}

/**
 * Whoever ends without the object that it was asked for is not asked again. A file that has only just been written may not be
 * listed yet, so that a young run sleeps; after that the object is gone, or has been replaced and has a run of its own.
 */
function waitForListing({ request: { cause }, run, services }: Execution, objects: readonly ListedObject[]): void {
  const until = run.createdAt + UNLISTED_MS;
  if (cause.kind !== "object" || services.clock.now() >= until) return;
  if (objects.some((object) => uriOf(object) === cause.uri)) return;
  throw new Park("not-listed", `${cause.uri} is not listed yet`, until);
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
export async function newestInterval(
  { definitions, objects }: Pick<Services, "definitions" | "objects">,
  { key, source }: AssetDefinition,
): Promise<string | undefined> {
  if (source === undefined) return undefined;
  const { pattern } = matcherOf(definitions(), key, source);
  let newest: string | undefined;
  for await (const object of objects.list(source.bucket, { prefix: pattern.literalPrefix })) {
    const match = pattern.match(object.name);
    if (match.kind === "match" && (newest === undefined || match.window.key > newest)) newest = match.window.key;
  }
  return newest;
}
