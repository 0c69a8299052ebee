/**
 * The guards of the runtime, each with a way to switch it off from outside: by lying to a decision or to a port. What the
 * simulator then finds shows that the guard is needed, and that the proof can fail.
 */
import type { Intent, SlotDocument, Write } from "../../lib/core/documents.ts";
import type { JobSpec, Warehouse } from "../../lib/ports/warehouse.ts";
import type { TableRef } from "../../lib/core/table.ts";
import { kindOf, knownIn, putsInstead, retold } from "./lies.ts";
import type { Guard, Known } from "./lies.ts";
import { guardsOfPeople } from "./people-guards.ts";
import type { Sabotage } from "./sabotage.ts";

export const guards: readonly Guard[] = [
  { name: "fencing token", without: "whoever asks holds the partition", sabotage: anyToken },
  { name: "intent", without: "an open intent of somebody else is not seen", sabotage: unseenIntents },
  {
    name: "settlement of an intent",
    without: "a dead run's publish is closed without being prevented",
    sabotage: noPrevention,
  },
  { name: "commit of the open intent only", without: "a settled intent can be committed", sabotage: commitsClosed },
  { name: "slot order", without: "an older interval may replace a newer one", sabotage: noOrder },
  { name: "job-id attempt counter", without: "a failed job is submitted again under its own id", sabotage: oneAttempt },
  {
    name: "label check of a step's job",
    without: "whatever job has the id is ours",
    sabotage: () => anyLabels("step"),
  },
  {
    name: "label check of a publish",
    without: "whatever job has the intent's id is its publish",
    sabotage: () => anyLabels("publish"),
  },
  { name: "staging fingerprint", without: "all runs of a partition share one staging table", sabotage: sharedStaging },
  { name: "second look at inputs", without: "what was listed before the load is what was loaded", sabotage: oneLook },
  { name: "outbox", without: "what a commit sends is in the memory of its process alone", sabotage: noOutbox },
  { name: "lease expiry", without: "a lease never runs out", sabotage: endlessLeases },
  { name: "pending mark", without: "a busy partition forgets who asked", sabotage: noPending },
  { name: "seal", without: "a clean-up does not close the interval", sabotage: noSeal },
  {
    name: "generation condition of a delete",
    without: "a clean-up deletes whatever is under the name",
    sabotage: anyGeneration,
  },
  {
    name: "blocking check",
    without: "a check finds nothing",
    sabotage: blindChecks,
  },
  {
    name: "deadline of a run",
    without: "nothing is due",
    sabotage: noDeadlines,
  },
  {
    name: "second telling of news",
    without: "who missed a materialization is not asked again",
    sabotage: () => ({
      events: (port) => ({
        ...port,
        history: (query) => (query.order === "oldest" ? Promise.resolve({ items: [] }) : port.history(query)),
      }),
    }),
  },
  {
    name: "revision of a backfill",
    without: "whoever has looked at an older state of it decides as well",
    sabotage: anyRevision,
  },
  {
    name: "asking again of a backfill",
    without: "what it has asked for once is not asked for again",
    sabotage: asksOnce,
  },
  {
    name: "mark of a rename",
    without: "an older deployment claims under the old name what nobody has moved",
    sabotage: unmarkedRenames,
  },
  ...guardsOfPeople,
  {
    name: "reconcile",
    without: "nothing is swept",
    sabotage: () => ({ neverSweeps: true }),
  },
];

function anyToken(): Sabotage {
  return {
    decide: (refs, decide, read) => {
      const { partition } = knownIn(read);
      if (partition === undefined) return decide(read);
      const lies = Array.from({ length: partition.token }, (_, token): Known => {
        const holder = { runId: "", leaseUntil: 0, ...partition.holder, token: token + 1 };
        return { partition: { ...partition, holder } };
      });
      return retold(decide, read, ({ result }) => kindOf(result) === "lost", refs["slot"] === undefined ? [] : lies);
    },
  };
}

function unseenIntents(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { slot } = knownIn(read);
      if (slot === undefined) return decide(read);
      const { intent, ...free } = slot;
      return retold(
        decide,
        read,
        ({ result }) => kindOf(result) === "occupied",
        intent === undefined ? [] : [{ slot: free }],
      );
    },
  };
}

function noPrevention(): Sabotage {
  return {
    warehouse: (port) => ({
      ...port,
      submit: (id, spec, labels) =>
        labels["sluice_step"] === "prevent" ? Promise.resolve("accepted") : port.submit(id, spec, labels),
    }),
  };
}

function commitsClosed(): Sabotage {
  const opened = new Map<string, Intent>();
  return {
    decide: (refs, decide, read) => {
      const { slot } = knownIn(read);
      const id = refs["slot"]?.id ?? "";
      if (slot?.intent !== undefined) opened.set(`${id} ${slot.intent.sequence}`, slot.intent);
      if (slot === undefined || refs["asset"] === undefined || refs["run"] === undefined) return decide(read);
      const lies = [...opened]
        .filter(([key]) => key.startsWith(`${id} `))
        .map(([, intent]) => ({ slot: { ...slot, intent } }));
      return retold(decide, read, ({ result }) => result === undefined, lies);
    },
  };
}

function noOrder(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { slot } = knownIn(read);
      const committed = slot?.committed;
      if (committed === undefined) return decide(read);
      const lies = [{ slot: { ...slot, sequence: slot?.sequence ?? 0, committed: { ...committed, order: "" } } }];
      if (kindOf(decide(read).result) !== "superseded") return decide(read);
      const decision = retold(decide, read, ({ result }) => kindOf(result) === "superseded", lies);
      // What is written keeps the true commit, or the watcher would compare with the lie.
      return { ...decision, writes: decision.writes.map((write) => withCommit(write, committed)) };
    },
  };
}

function withCommit(write: Write, committed: NonNullable<SlotDocument["committed"]>): Write {
  if ("delete" in write || write.put.kind !== "slot") return write;
  const value = write.value as SlotDocument; // of a slot, as its ref says
  return value.committed?.order === "" ? ({ ...write, value: { ...value, committed } } as Write) : write;
}

/** Every attempt is made under the id of the first. */
function oneAttempt(): Sabotage {
  const first = (id: string): string => id.replace(/-a\d+$/, "-a1");
  return {
    warehouse: (port) => ({
      ...port,
      submit: (id, spec, labels) => port.submit(first(id), spec, labels),
      inspect: (id) => port.inspect(first(id)),
      wait: (id, options) => port.wait(first(id), options),
      rows: (id, options) => port.rows(first(id), options),
    }),
  };
}

function anyLabels(of: "step" | "publish"): Sabotage {
  const asked = new Map<string, Readonly<Record<string, string>>>();
  return {
    warehouse: (port) => ({
      ...port,
      submit: (id, spec, labels) => {
        const kind = labels["sluice_step"] === "publish" ? "publish" : "step";
        if (kind === of && labels["sluice_step"] !== "prevent" && !asked.has(id)) asked.set(id, labels);
        return port.submit(id, spec, labels);
      },
      wait: async (id, options) => {
        const status = await port.wait(id, options);
        const labels = asked.get(id);
        return labels === undefined || status.labels["sluice_step"] === "prevent" ? status : { ...status, labels };
      },
    }),
  };
}

/** The names of staging tables end without what tells one content from another. */
function sharedStaging(): Sabotage {
  const plain = <T extends TableRef>(ref: T): T => ({ ...ref, table: ref.table.replace(FINGERPRINT, "$1x") });
  const specOf = (spec: JobSpec): JobSpec => {
    if (spec.kind === "load") return { ...spec, destination: plain(spec.destination) };
    if (spec.kind === "copy") return { ...spec, source: plain(spec.source), destination: plain(spec.destination) };
    const writes = spec.writes === undefined ? {} : { writes: spec.writes.map(plain) };
    return { ...spec, sql: spec.sql.replaceAll(/(__staging\w*_)[0-9a-f]{12}`/g, "$1x`"), ...writes };
  };
  return {
    warehouse: (port): Warehouse => {
      /** By which of its names this process knows a table. */
      const known = new Map<string, string>();
      const learn = <T extends TableRef>(ref: T): T => {
        const shared = plain(ref);
        known.set(shared.table, ref.table);
        return shared;
      };
      return {
        ...port,
        submit: (id, spec, labels) => port.submit(id, specOf(spec), labels),
        describe: (table) => port.describe(learn(table)),
        extend: (table, columns, etag) => port.extend(plain(table), columns, etag),
        drop: (table) => port.drop(plain(table)),
        async *list(dataset, prefix) {
          for await (const { table, ...rest } of port.list(dataset, prefix))
            yield { ...rest, table: known.get(table) ?? table.replace(/_x$/, "_000000000000") };
        },
      };
    },
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      const writes = decision.writes.map((write) => {
        if ("delete" in write || write.put.kind !== "slot") return write;
        const value = write.value as SlotDocument; // of a slot, as its ref says
        if (value.intent === undefined) return write;
        const intent = { ...value.intent, staging: plain(value.intent.staging) };
        return { ...write, value: { ...value, intent } } as Write;
      });
      return { ...decision, writes };
    },
  };
}

const FINGERPRINT = /(__staging.*_)[0-9a-f]{12}$/;

/** Every second listing of the same objects repeats the one before it. */
function oneLook(): Sabotage {
  return {
    objects: (port) => {
      const seen = new Map<string, Awaited<ReturnType<typeof port.stat>>[]>();
      return {
        ...port,
        async *list(bucket, options = {}) {
          const key = `${bucket} ${options.prefix ?? ""}`;
          const before = options.prefix === undefined || options.prefix === "" ? undefined : seen.get(key);
          seen.delete(key);
          if (before !== undefined) {
            for (const object of before) if (object !== undefined) yield object;
            return;
          }
          const found = await Array.fromAsync(port.list(bucket, options));
          seen.set(key, found);
          yield* found;
        },
      };
    },
  };
}

/** The messages of an end go out only if the process that ended the run lives on. */
function noOutbox(): Sabotage {
  return putsInstead("run", (value) => (value.outbox.length === 0 ? value : { ...value, outbox: [] }));
}

function endlessLeases(): Sabotage {
  return {
    decide: (refs, decide, read) => {
      const { partition } = knownIn(read);
      if (partition?.holder === undefined || partition.holder.parked === true || refs["slot"] !== undefined)
        return decide(read);
      const holder = { ...partition.holder, leaseUntil: Number.MAX_SAFE_INTEGER };
      return decide({ ...read, partition: { ...partition, holder } });
    },
  };
}

function anyRevision(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { backfill } = knownIn(read);
      if (backfill === undefined) return decide(read);
      const lies = Array.from({ length: backfill.revision }, (_, revision): Known => ({
        backfill: { ...backfill, revision },
      }));
      return retold(decide, read, ({ result }) => kindOf(result) === "stale", lies);
    },
  };
}

function asksOnce(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { backfill } = knownIn(read);
      if (backfill === undefined) return decide(read);
      const underWay = backfill.underWay.map((each) => ({
        ...each,
        askedAt: Number.MAX_SAFE_INTEGER,
      }));
      return decide({ ...read, backfill: { ...backfill, underWay } });
    },
  };
}

function unmarkedRenames(): Sabotage {
  return {
    decide: (_refs, decide, read) =>
      knownIn(read).pause?.movedTo === undefined ? decide(read) : decide({ ...read, pause: undefined }),
  };
}

function noPending(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      return kindOf(decision.result) === "pending" ? { ...decision, writes: [] } : decision;
    },
  };
}

function noSeal(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      return kindOf(decision.result) === "sealed" ? { ...decision, writes: [] } : decision;
    },
  };
}

function anyGeneration(): Sabotage {
  return {
    objects: (port) => ({
      ...port,
      delete: async (bucket, name, generation) => {
        const there = await port.stat(bucket, name);
        return await port.delete(bucket, name, there?.generation ?? generation);
      },
    }),
  };
}

function blindChecks(): Sabotage {
  return {
    warehouse: (port) => ({
      ...port,
      wait: async (id, options) => {
        const status = await port.wait(id, options);
        return id.startsWith("check-") ? { ...status, rows: 0 } : status;
      },
    }),
  };
}

function noDeadlines(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      const writes = decision.writes.filter((write) => "delete" in write || write.put.kind !== "due");
      return { ...decision, writes };
    },
  };
}
