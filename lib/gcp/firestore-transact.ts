/**
 * One decision, applied whole or not at all: the documents are read in a Firestore transaction, the pure function decides,
 * and everything is written with the commit. Two calls to Firestore, one where nothing is read.
 */
import type { DocumentReference, DocumentSnapshot, Transaction } from "@google-cloud/firestore";
import { backoff } from "../core/backoff.ts";
import type { Decision, Read, Refs } from "../core/documents.ts";
import { keyedLock } from "../core/keyed-lock.ts";
import type { Clock, Random } from "../ports/clock.ts";
import { applyChanges, changesOf, placeOf } from "./firestore-changes.ts";
import type { Changes } from "./firestore-changes.ts";
import { firestoreError } from "./firestore-client.ts";
import type { FirestoreClient, OpenFirestore } from "./firestore-client.ts";
import { decode, manifestsOf } from "./firestore-documents.ts";
import type { Keep } from "./firestore-documents.ts";
import type { Manifests } from "./firestore-manifests.ts";
import { Code, codeOf } from "./grpc-errors.ts";

export interface TransactOptions {
  readonly client: FirestoreClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly keep: Keep;
  readonly manifests: Manifests;
}

/** `firstEvent` is the number of the first event within its commit. */
export type Transact = <R extends Refs, T>(
  refs: R,
  decide: (documents: Read<R>) => Decision<T>,
  firstEvent?: number,
) => Promise<T>;

/** How long a transaction is tried again while others are in its way. */
const PATIENCE_MS = 60_000;
const MIN_PAUSE_MS = 5;
const MAX_PAUSE_MS = 1_000;

const PASSING: ReadonlySet<number> = new Set([
  Code.cancelled,
  Code.unknown,
  Code.deadlineExceeded,
  Code.resourceExhausted,
  Code.aborted,
  Code.internal,
  Code.unavailable,
]);

/** Leaves the transaction, so that no lock is held while objects are read or written; then it begins again. */
class Away extends Error {
  readonly errand: () => Promise<unknown>;
  constructor(errand: () => Promise<unknown>) {
    super("objects are needed first");
    this.errand = errand;
  }
}

/** What `decide` threw, whatever it is, is not for the client to try again. */
class Thrown extends Error {
  readonly error: unknown;
  constructor(error: unknown) {
    super("the decision threw");
    this.error = error;
  }
}

/** One call of `transact`, over all its attempts. */
interface Call<R extends Refs, T> {
  readonly open: OpenFirestore;
  readonly refs: R;
  readonly places: readonly DocumentReference[];
  readonly decide: (documents: Read<R>) => Decision<T>;
  readonly firstEvent: number;
  /** Loaded so far of what lies outside of the documents. */
  readonly texts: Map<string, string>;
  /** The results of attempts whose commit may have happened although its answer was lost, by their marks. */
  readonly unsure: Map<string, T>;
  /** Set once an event turned out to be there already. Reading every event beforehand would cost more. */
  readEvents: boolean;
}

export function firestoreTransact(options: TransactOptions): Transact {
  const { client, clock, random, keep, manifests } = options;
  // Transactions of one process on one document take turns here, which costs nothing, and not in Firestore.
  const lock = keyedLock();

  function decideOn<R extends Refs, T>(
    call: Call<R, T>,
    snapshots: readonly DocumentSnapshot[],
    mark: string,
  ): { readonly result: T; readonly changes: Changes } {
    const entries = Object.entries(call.refs).map(([name, { kind }], at) => {
      const fields = snapshots[at]?.data();
      return [name, fields === undefined ? undefined : decode(kind, fields, call.texts)] as const;
    });
    let decision: Decision<T>;
    try {
      // Every name of `refs` is there, with the document of its own kind or undefined: that is what `Read` says.
      decision = call.decide(Object.fromEntries(entries) as Read<R>);
    } catch (error) {
      throw new Thrown(error);
    }
    const { firstEvent } = call;
    const changes = changesOf(call.open, decision, { keep, outside: manifests.available, mark, firstEvent });
    return { result: decision.result, changes };
  }

  /** Everything outside of the documents is there before they are. */
  function leaveFor({ texts }: Changes): void {
    const missing = new Map([...texts].filter(([key]) => !manifests.isStored(key)));
    if (missing.size > 0) throw new Away(() => manifests.store(missing));
  }

  async function blindly<R extends Refs, T>(call: Call<R, T>, mark: string): Promise<T> {
    const { result, changes } = decideOn(call, [], mark);
    leaveFor(changes);
    const batch = call.open.db.batch();
    applyChanges(batch, changes);
    if (changes.documents.length + changes.events.length > 0) await batch.commit();
    return result;
  }

  async function reading<R extends Refs, T>(call: Call<R, T>, mark: string, transaction: Transaction): Promise<T> {
    const snapshots = call.places.length === 0 ? [] : await transaction.getAll(...call.places);
    for (const snapshot of snapshots) {
      const before: unknown = snapshot.get("mark");
      // An earlier attempt of this very call was committed, so its result stands. It may be undefined.
      if (typeof before === "string" && call.unsure.has(before)) return call.unsure.get(before) as T;
    }
    const keys = snapshots.flatMap((snapshot) => manifestsOf(snapshot.data() ?? {}));
    if (keys.some((key) => !call.texts.has(key))) {
      throw new Away(async () => {
        for (const [key, text] of await manifests.load(keys)) call.texts.set(key, text);
      });
    }
    const { result, changes } = decideOn(call, snapshots, mark);
    leaveFor(changes);
    const { documents, events } = changes;
    const stored = call.readEvents && events.length > 0 ? await transaction.getAll(...events.map(({ at }) => at)) : [];
    applyChanges(transaction, { ...changes, documents, events: events.filter((_, at) => stored[at]?.exists !== true) });
    call.unsure.set(mark, result);
    return result;
  }

  async function attempts<R extends Refs, T>(call: Call<R, T>): Promise<T> {
    const id = random.id();
    const giveUpAt = clock.now() + PATIENCE_MS;
    let failures = 0;
    for (let attempt = 1; ; attempt++) {
      const mark = `${id}-${attempt}`;
      try {
        if (call.places.length === 0 && !call.readEvents) return await blindly(call, mark);
        return await call.open.db.runTransaction((transaction) => reading(call, mark, transaction), { maxAttempts: 1 });
      } catch (error) {
        if (error instanceof Thrown) throw error.error;
        if (error instanceof Away) {
          await error.errand();
          continue;
        }
        if (codeOf(error) === Code.alreadyExists && !call.readEvents) {
          call.readEvents = true;
          continue;
        }
        if (!isPassing(error) || clock.now() >= giveUpAt) throw firestoreError(client, error);
        failures += 1;
        const minMs = codeOf(error) === Code.resourceExhausted ? MAX_PAUSE_MS : MIN_PAUSE_MS;
        await clock.sleep(backoff({ attempt: failures, minMs, maxMs: MAX_PAUSE_MS }, random.next()));
      }
    }
  }

  return async <R extends Refs, T>(refs: R, decide: (documents: Read<R>) => Decision<T>, firstEvent = 0) => {
    const open = await client.open();
    const places = Object.values(refs).map(({ kind, id }) => placeOf(open, kind, id));
    const keys = places.map(({ path }) => path);
    return lock(keys, () =>
      attempts<R, T>({
        open,
        refs,
        places,
        decide,
        firstEvent,
        texts: new Map(),
        unsure: new Map(),
        readEvents: false,
      }),
    );
  };
}

function isPassing(error: unknown): boolean {
  const code = codeOf(error);
  if (code === undefined) return false;
  // A transaction that Firestore has given up meanwhile is an invalid argument of the next call.
  const expired = code === Code.invalidArgument && error instanceof Error && /transaction/i.test(error.message);
  return expired || PASSING.has(code);
}
