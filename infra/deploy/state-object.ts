/**
 * The state object as a deployment holds it: read once, written with the generation that it was read at, and written again as steps
 * are done, a few at a time. Whoever has written the lock keeps it by that; whoever finds another generation has lost it.
 */
import { messageOf, PermanentError } from "../../lib/core/errors.ts";
import type { Clock } from "../../lib/ports/clock.ts";
import type { ToolResult } from "../gcloud.ts";
import { parseState, releaseLock, stateText, takeLock, withRecords } from "../plan/state.ts";
import type { Lock, Records, State, StateCalls } from "../plan/state.ts";
import { callTool } from "./calling.ts";
import type { Caller } from "./calling.ts";

export interface ReadState {
  /** `undefined`: nothing was deployed yet. */
  readonly state: State | undefined;
  /** "0" for an object that is not there. */
  readonly generation: string;
}

/** No lock lives longer without its holder. */
export const LOCK_MS = 10 * 60_000;
const RENEW_MS = LOCK_MS / 4;
/** Between two records: one object bears one write a second, and 200 functions are not worth 200 writes. */
const RECORD_MS = 10_000;

export interface HeldState {
  /** As it will be once all is written. */
  readonly state: State;
  /** Notes down what was done; it is written within seconds. */
  record(records: Records, numbers?: Readonly<Record<string, string>>): void;
  /** Aborted when the lock is somebody else's, or can no longer be kept. Its reason says so. */
  readonly lost: AbortSignal;
  /** Writes what is left and gives the lock back. Never rejects: the result is why it could not, if so. */
  release(): Promise<string | undefined>;
}

export type Taken =
  | { readonly kind: "taken"; readonly held: HeldState; readonly stolenFrom?: Lock }
  | { readonly kind: "held"; readonly lock: Lock; readonly message: string }
  /** Somebody has written since it was read. */
  | { readonly kind: "changed" };

export interface Deployer {
  /** For people: `ada@laptop`. */
  readonly holder: string;
  /** Of this deployment alone. */
  readonly token: string;
}

export interface StateObject {
  read(): Promise<ReadState>;
  /** Takes the lock on what was read. `begin` is what a first deployment begins with. */
  take(read: ReadState, begin: State, deployer: Deployer): Promise<Taken>;
  /** Writes without a lock, for what needs no steps. `false` where somebody was quicker. */
  write(state: State, read: ReadState): Promise<boolean>;
}

export function stateObject(caller: Caller, calls: StateCalls): StateObject {
  const { clock } = caller;

  const read = async (): Promise<ReadState> => {
    const described = await callTool(caller, calls.describe, ["missing"]);
    if (described.fault !== undefined) return { state: undefined, generation: "0" };
    const generation = generationIn(described.stdout);
    const content = await callTool(caller, calls.read(generation), ["missing"]);
    // It was written anew between the two.
    return content.fault === undefined ? { state: parseState(content.stdout, calls.url), generation } : await read();
  };

  /** The generation that it has now; `undefined` where somebody was quicker. */
  const put = async (state: State, generation: string): Promise<string | undefined> => {
    const call = calls.write(state, generation);
    const written = await callTool(caller, call, ["precondition"]);
    if (written.fault === undefined) return await writtenGeneration(written, read);
    // An earlier try may have been written, although its answer was lost.
    const now = await read();
    if (now.state !== undefined && stateText(now.state) === stateText(state)) return now.generation;
    const own = now.state?.lock?.token;
    return own !== undefined && own === state.lock?.token ? await put(state, now.generation) : undefined;
  };

  return {
    read,
    write: async (state, { generation }) => (await put(state, generation)) !== undefined,
    async take(found, begin, { holder, token }) {
      const answer = takeLock(found.state ?? begin, { holder, token, now: clock.now(), ttlMs: LOCK_MS });
      if (answer.kind === "held") return answer;
      if (found.state === undefined) for (const call of calls.bootstrap) await callTool(caller, call);
      const generation = await put(answer.state, found.generation);
      if (generation === undefined) return { kind: "changed" };
      const held = holdState({ clock, url: calls.url, put, state: answer.state, generation, holder, token });
      return { kind: "taken", held, ...(answer.stolenFrom === undefined ? {} : { stolenFrom: answer.stolenFrom }) };
    },
  };
}

interface Holding extends Deployer {
  readonly clock: Clock;
  readonly url: string;
  put(state: State, generation: string): Promise<string | undefined>;
  readonly state: State;
  readonly generation: string;
}

function holdState({ clock, url, put, state: first, generation: began, holder, token }: Holding): HeldState {
  const lost = new AbortController();
  const over = new AbortController();
  let state = first;
  let generation = began;
  let dirty = false;
  let writtenAt = clock.now();
  /** One write at a time. */
  const write = async (next: State): Promise<void> => {
    dirty = false;
    const then = await put(next, generation);
    if (then === undefined) throw new PermanentError(`another deployment has taken ${url}`, { code: "lock-lost" });
    generation = then;
    writtenAt = clock.now();
  };
  const keep = async (): Promise<void> => {
    while (!over.signal.aborted) {
      try {
        await clock.sleep(RECORD_MS, over.signal);
      } catch {
        return;
      }
      if (!dirty && clock.now() - writtenAt < RENEW_MS) continue;
      const answer = takeLock(state, { holder, token, now: clock.now(), ttlMs: LOCK_MS });
      if (answer.kind === "held") return;
      state = answer.state;
      await write(state);
    }
  };
  const keeping = keep().catch((error: unknown) => lost.abort(error));
  return {
    get state() {
      return state;
    },
    lost: lost.signal,
    record(records, numbers = {}) {
      state = { ...withRecords(state, records), numbers: { ...state.numbers, ...numbers } };
      dirty = true;
    },
    async release() {
      over.abort();
      await keeping;
      if (lost.signal.aborted) return messageOf(lost.signal.reason);
      try {
        await write(releaseLock(state, token));
        return undefined;
      } catch (error) {
        return messageOf(error);
      }
    },
  };
}

function generationIn(text: string): string {
  const found = /"generation":\s*"?(\d+)"?/.exec(text)?.[1];
  if (found === undefined) throw new PermanentError(`gcloud has described an object without its generation: ${text}`);
  return found;
}

/** gcloud names what it has made, where it is asked to: `Created: gs://bucket/state.json#123`. */
async function writtenGeneration({ stdout, stderr }: ToolResult, read: () => Promise<ReadState>): Promise<string> {
  return /gs:\/\/\S+#(\d+)/.exec(`${stdout}\n${stderr}`)?.[1] ?? (await read()).generation;
}
