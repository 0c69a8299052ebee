/**
 * One decision, applied whole or not at all: the documents are read, the pure function decides, and everything is written in
 * one batch, on condition that what was read is still so; otherwise it is read and decided again. Two calls to Firestore, one
 * where nothing is read or nothing is written.
 *
 * Not by Firestore's own transactions: those lock what they read, and whoever dies before the commit keeps everybody else
 * waiting for as long as a lease lasts. Here nothing is held by anybody, so the dead delay nobody.
 */
import type { DocumentReference, DocumentSnapshot } from "@google-cloud/firestore";
import { backoff } from "../core/backoff.ts";
import type { Decision, Read, Refs } from "../core/documents.ts";
import { RetryableError } from "../core/errors.ts";
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

/** How long a decision is tried again while others are in its way. */
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

/** What lies outside of the documents is read or written first; then the attempt begins again. */
class Away extends Error {
  readonly errand: () => Promise<unknown>;
  constructor(errand: () => Promise<unknown>) {
    super("objects are needed first");
    this.errand = errand;
  }
}

/** What was read has changed since. */
class Overtaken extends Error {
  constructor(cause: unknown) {
    super("others were faster", { cause });
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
  // Decisions of one process on one document take turns here, which costs nothing; in Firestore only one would get through.
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

  async function tryOnce<R extends Refs, T>(call: Call<R, T>, mark: string): Promise<T> {
    const { open, places, texts, unsure } = call;
    const snapshots = places.length === 0 ? [] : await open.db.getAll(...places);
    for (const snapshot of snapshots) {
      const before: unknown = snapshot.get("mark");
      // An earlier attempt of this very call was committed, so its result stands. It may be undefined.
      if (typeof before === "string" && unsure.has(before)) return unsure.get(before) as T;
    }
    const keys = snapshots.flatMap((snapshot) => manifestsOf(snapshot.data() ?? {}));
    if (keys.some((key) => !texts.has(key))) {
      throw new Away(async () => {
        for (const [key, text] of await manifests.load(keys)) texts.set(key, text);
      });
    }
    const { result, changes } = decideOn(call, snapshots, mark);
    leaveFor(changes);
    const { documents, events } = changes;
    const stored = call.readEvents && events.length > 0 ? await open.db.getAll(...events.map(({ at }) => at)) : [];
    const news = events.filter((_, at) => stored[at]?.exists !== true);
    if (documents.length + news.length === 0 && areOfOneMoment(snapshots)) return result;
    const batch = open.db.batch();
    applyChanges(open, batch, { documents, events: news }, snapshots);
    unsure.set(mark, result);
    await batch.commit().catch((error: unknown) => {
      throw isOvertaken(error, snapshots) ? new Overtaken(error) : error;
    });
    return result;
  }

  async function attempts<R extends Refs, T>(call: Call<R, T>): Promise<T> {
    const id = random.id();
    const giveUpAt = clock.now() + PATIENCE_MS;
    let failures = 0;
    for (let attempt = 1; ; attempt++) {
      const mark = `${id}-${attempt}`;
      try {
        return await tryOnce(call, mark);
      } catch (error) {
        if (error instanceof Thrown) throw error.error;
        if (error instanceof Away) {
          await error.errand();
          continue;
        }
        const overtaken = error instanceof Overtaken;
        if (overtaken && codeOf(error.cause) === Code.alreadyExists) call.readEvents = true;
        if (overtaken && clock.now() >= giveUpAt) throw tooBusy(client, call);
        if (clock.now() >= giveUpAt || !(overtaken || isPassing(error))) throw firestoreError(client, error);
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
    return await lock(keys, () =>
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

function tooBusy({ name }: FirestoreClient, call: Pick<Call<Refs, unknown>, "refs">): Error {
  const documents = Object.values(call.refs).map(({ kind, id }) => `${kind} ${id}`);
  return new RetryableError(
    `${name}: others change ${documents.join(" or ")} all the time; send less at once what concerns them`,
  );
}

/** Documents that one answer brought are all as they were at the moment of its last one; a broken answer is gone on with later. */
function areOfOneMoment([first, ...others]: readonly DocumentSnapshot[]): boolean {
  return first === undefined || others.every(({ readTime }) => readTime.isEqual(first.readTime));
}

/** Whether a commit was refused because of its conditions: an event or a document is there by now, or is not what it was. */
function isOvertaken(error: unknown, read: readonly DocumentSnapshot[]): boolean {
  const code = codeOf(error);
  if (code === Code.alreadyExists) return true;
  return read.length > 0 && (code === Code.failedPrecondition || code === Code.notFound);
}

function isPassing(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && PASSING.has(code);
}
