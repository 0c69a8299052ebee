/** Loads the one function that this process is: its own modules, stubs of what they refer to, and nothing else. */
import { collectDefinitions } from "../core/collect.ts";
import type { LoadedModule } from "../core/collect.ts";
import type { Definitions } from "../core/definitions.ts";
import { PermanentError } from "../core/errors.ts";
import type { Consumer } from "../core/subscriptions.ts";
import type { Unit } from "../core/units.ts";

export interface LoadedUnit extends Omit<Unit, "files"> {
  readonly definitions: Definitions;
}

/** What the build writes for a function. */
interface UnitModule {
  readonly unit: Omit<Unit, "files">;
  readonly modules: readonly LoadedModule[];
  readonly stubs: readonly unknown[];
}

/** `folder` is a URL that ends in a slash. Throws `PermanentError` for a function that was not built, or is broken. */
export async function loadUnit(folder: string, name: string): Promise<LoadedUnit> {
  if (!/^[a-z][a-z0-9-]*$/.test(name))
    throw new PermanentError(`${JSON.stringify(name)} is no function's name: set SLUICE_FUNCTION`, {
      code: "bad-config",
    });
  // The build wrote this file, and this is its shape.
  const built = (await import(new URL(`${name}.mjs`, folder).href).catch((cause: unknown) => {
    throw new PermanentError(`the function ${name} cannot be loaded: build and deploy it again`, {
      code: "bad-config",
      cause,
    });
  })) as UnitModule;
  const stubs: LoadedModule = { file: "stubs", exports: { stubs: built.stubs } };
  const { definitions, problems } = collectDefinitions([...built.modules, stubs], { part: true });
  const [problem] = problems;
  if (problem !== undefined) throw problem;
  return { ...built.unit, definitions };
}

/**
 * Who of this function is meant. Our own subscriptions push to `/<subscription>`; a CloudEvent, and a push to `/`, is for
 * everybody here who listens to its topic, or for the only one there is.
 */
export function consumersOf(unit: LoadedUnit, path: string, topic: string | undefined): readonly Consumer[] {
  const name = nameInPath(path);
  const { subscriptions } = unit;
  if (name !== "") return subscriptions.filter((plan) => plan.name === name).map(({ consumer }) => consumer);
  if (topic !== undefined) return subscriptions.filter((plan) => plan.topic === topic).map(({ consumer }) => consumer);
  return subscriptions.length === 1 ? subscriptions.map(({ consumer }) => consumer) : [];
}

/** `//pubsub.googleapis.com/projects/p/topics/pr-42-asset.x` → `asset.x`; a bucket's own events come from the bucket. */
export function topicOfSource(source: string | undefined, prefix = ""): string | undefined {
  const topic = /\/topics\/([^/]+)$/.exec(source ?? "")?.[1];
  if (topic !== undefined) return topic.startsWith(prefix) ? topic.slice(prefix.length) : topic;
  const bucket = /\/buckets\/([^/]+)$/.exec(source ?? "")?.[1];
  return bucket === undefined ? undefined : `bucket.${bucket}`;
}

/** The subscription that pushes there, by its name in the plan. */
export function nameInPath(path: string): string {
  return decoded(path.replace(/^\/+|\/+$/g, ""));
}

/** A path that is no text names nobody. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
