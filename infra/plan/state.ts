/**
 * What was deployed last: one JSON object in the deployment's bucket. It is written with the generation that it was read at, so that of
 * two deployers one fails; and it holds the lock between them. A step is recorded after it was done: what a deployment that was cut
 * off has made without recording it is made again, by commands that bear that.
 */
import { z } from "zod";
import { DefinitionError, PermanentError } from "../../lib/core/errors.ts";
import type { Manifest } from "../manifest.ts";
import type { ToolCall } from "./step.ts";

export const STATE_VERSION = 1;

/** A role of somebody on a resource, as it was granted. */
const grantSchema = z.strictObject({
  role: z.string(),
  member: z.string(),
  condition: z.strictObject({ title: z.string(), expression: z.string() }).exactOptional(),
});

const recordSchema = z.strictObject({
  /** Of its wanted form. */
  hash: z.string(),
  /** Of a function: the service account that it runs as. */
  account: z.string().exactOptional(),
  /** Of a function: the hash of the author's own code in it. */
  code: z.string().exactOptional(),
  /** Ids of what it stands on: it is deleted before them. */
  on: z.array(z.string()).exactOptional(),
  /** Of a policy: what was granted. */
  grants: z.array(grantSchema).exactOptional(),
});

/** Milliseconds since 1970. */
const instant = z.int().nonnegative();

const lockSchema = z.strictObject({
  /** Who deploys, for people: `ada@laptop`, `CI run 4711`. */
  holder: z.string().min(1),
  /** Tells one deployment from every other one. */
  token: z.string().min(1),
  since: instant,
  expires: instant,
});

const stateSchema = z.strictObject({
  version: z.literal(STATE_VERSION),
  environment: z.strictObject({
    name: z.string(),
    project: z.string(),
    region: z.string(),
    location: z.string(),
    namePrefix: z.string(),
  }),
  /** Projects' numbers, by their ids. */
  numbers: z.record(z.string(), z.string()),
  lock: lockSchema.exactOptional(),
  /** By the resource's id: `function asset-gitcoin-passport-scores`. */
  resources: z.record(z.string(), recordSchema),
});

export type State = z.output<typeof stateSchema>;
export type Recorded = z.output<typeof recordSchema>;
export type Grant = z.output<typeof grantSchema>;
export type Lock = z.output<typeof lockSchema>;

export function emptyState({ environment }: Manifest): State {
  const { name, project, region, location, namePrefix } = environment;
  return {
    version: STATE_VERSION,
    environment: { name, project, region, location, namePrefix },
    numbers: {},
    resources: {},
  };
}

/** Reads the object's text; `where` is its address. Throws `PermanentError` for what is no state, or one of a later version. */
export function parseState(text: string, where: string): State {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PermanentError(
      `${where} is not JSON: put an earlier generation of it back, or delete it, and the next deployment adopts what is there`,
    );
  }
  const version = z.object({ version: z.int() }).safeParse(value).data?.version;
  if (version !== undefined && version > STATE_VERSION)
    throw new PermanentError(`${where} was written by a later Sluice (version ${version}): update this one`);
  const result = stateSchema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new PermanentError(
    `${where} is no state (${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}): put an earlier generation of it back, or delete it, and the next deployment adopts what is there`,
  );
}

/** Sorted, so that equal states are equal bytes. */
export function stateText(state: State): string {
  const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
  return `${JSON.stringify({ ...state, numbers: sorted(state.numbers), resources: sorted(state.resources) }, undefined, 1)}\n`;
}

/** What a step, or the plan, has to have recorded: a record, or `null` for what is gone. */
export type Records = Readonly<Record<string, Recorded | null>>;

export function withRecords(state: State, ...all: readonly Records[]): State {
  const resources = { ...state.resources };
  for (const records of all)
    for (const [id, record] of Object.entries(records)) {
      if (record === null) delete resources[id];
      else resources[id] = record;
    }
  return { ...state, resources };
}

/** Throws `DefinitionError` where the environment was deployed to another place: its resources would be left behind there. */
export function checkPlace({ environment: then }: State, { environment: now }: Manifest): void {
  const moved = (["project", "region", "location", "namePrefix"] as const).find((field) => then[field] !== now[field]);
  if (moved === undefined) return;
  throw new DefinitionError(
    `${now.name} was deployed with ${moved} ${JSON.stringify(then[moved])}, which is ${JSON.stringify(now[moved])} now`,
    {
      where: `environment ${now.name}`,
      remedy: "destroy it as it was before you move it, or give the new one a name of its own",
    },
  );
}

export interface LockRequest {
  readonly holder: string;
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly ttlMs: number;
}

export type LockAnswer =
  | { readonly kind: "taken"; readonly state: State; /** Whose lock had run out. */ readonly stolenFrom?: Lock }
  | { readonly kind: "held"; readonly lock: Lock; /** One line. */ readonly message: string };

/**
 * Takes the lock, or renews one's own. It counts only once the state was written with the generation that it was read at. One that has
 * run out belongs to a deployer that died: whoever holds a lock renews it long before.
 */
export function takeLock(state: State, { holder, token, now, ttlMs }: LockRequest): LockAnswer {
  const { lock } = state;
  const own = lock?.token === token;
  if (lock !== undefined && !own && lock.expires > now) return { kind: "held", lock, message: heldText(lock, now) };
  const since = own ? lock.since : now;
  const taken = { ...state, lock: { holder, token, since, expires: now + ttlMs } };
  return { kind: "taken", state: taken, ...(lock === undefined || own ? {} : { stolenFrom: lock }) };
}

/** The state without the lock, if that is one's own; somebody else's stays. */
export function releaseLock(state: State, token: string): State {
  const { lock, ...rest } = state;
  return lock?.token === token ? rest : state;
}

function heldText({ holder, since, expires }: Lock, now: number): string {
  const minutes = (ms: number): string => `${Math.max(1, Math.ceil(ms / 60_000))} min`;
  return `${holder} has been deploying for ${minutes(now - since)}: wait for it; if it has died, its lock runs out in ${minutes(expires - now)}`;
}

/** The calls that read and write the state: see state-calls.ts. */
export interface StateCalls {
  /** `gs://…/sluice/state/prod.json`. */
  readonly url: string;
  /** Prints JSON with `generation`. That it is not there, or its bucket, means that nothing was deployed. */
  readonly describe: ToolCall;
  read(generation: string): ToolCall;
  /** Fails with 412 where somebody was quicker; generation "0" for an object that is not there yet. */
  write(state: State, generation: string): ToolCall;
  /** What has to be there before anything can be written; safe to repeat. */
  readonly bootstrap: readonly ToolCall[];
}
