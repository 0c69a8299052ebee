import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Decision, Intent, PartitionDocument, Read, Refs, SlotDocument, Write } from "../../lib/core/documents.ts";
import { appending, dayImport, KEY, play, scenarios, severalFiles } from "../support/import-world.ts";
import type { Scenario, ScenarioShape, Wish } from "../support/import-world.ts";
import { accumulates } from "../../lib/core/target.ts";
import { fail, invariants, watchServed, watchTaken } from "../support/run-invariants.ts";
import { Violation, world } from "../support/simulation.ts";
import type { Sabotage, World } from "../support/simulation.ts";

const WISHES: readonly Wish[] = ["force", "rollback"];
const SHAPE: ScenarioShape = { days: 3, parts: ["a"], wishes: WISHES, acts: 9, steps: 220 };
const OVERWRITE = dayImport({ mode: "overwrite" });
const INCREMENTAL = dayImport({ mode: "incremental" });
const APPENDING = appending(OVERWRITE);

/** Plays a scenario; throws as soon as an invariant does not hold, and when not all is done at the end. */
async function hold(definitions: Definitions, scenario: Scenario, skew: number, sabotage?: Sabotage): Promise<World> {
  const { watch, beforeJob, atRest } = invariants();
  const made = world({
    definitions,
    skews: [0, skew],
    faults: { jobs: 2, deaths: 4, duplicates: 3 },
    watch,
    beforeJob,
    ...(sabotage === undefined ? {} : { sabotage }),
  });
  await play(made, scenario);
  atRest(made);
  const asset = definitions.assets.get(KEY);
  assert.ok(asset !== undefined);
  // A zombie that finds its inputs changed drops the staging that its successor publishes from. The successor's run fails
  // for want of it, and the changed inputs have a run of their own. Nothing else may fail here.
  const failed = made.documents.all("run").filter(([, { status, code }]) => status === "failed" && code !== "notFound");
  if (failed.length > 0) fail(`runs have failed: ${JSON.stringify(failed)}`);
  const wentBack = scenario.acts.some(({ act }) => act.do === "ask" && act.wish === "rollback");
  if (asset.target !== undefined && accumulates(asset.target)) watchTaken(made, asset);
  else if (asset.target?.slot === "partition" || !wentBack) watchServed(made, asset);
  return made;
}

/** A process whose clock is wrong by more than two leases may take over too early or too late, and do no harm. */
const skews = fc.constantFrom(0, -200_000, 200_000);

describe("whoever dies, comes late or twice: what is visible is the last commit or the one intent, and nothing is lost", () => {
  for (const [title, definitions, shape] of [
    ["intervals that take turns in one table", OVERWRITE, SHAPE],
    ["each interval in its own partition", INCREMENTAL, SHAPE],
    ["all intervals in one table, each run's rows once", APPENDING, SHAPE],
    [
      "several files an interval, one table",
      dayImport({ ...severalFiles, mode: "overwrite" }),
      { ...SHAPE, parts: ["a", "b"] },
    ],
    [
      "several files an interval, by partition",
      dayImport({ ...severalFiles, mode: "incremental" }),
      { ...SHAPE, parts: ["a", "b"] },
    ],
  ] as const) {
    test(title, async () => {
      const seen = new Set<string>();
      await fc.assert(
        fc.asyncProperty(scenarios(shape), skews, async (scenario, skew) => {
          const { documents } = await hold(definitions, scenario, skew);
          for (const event of documents.events) seen.add(whatHappened(event));
        }),
        { numRuns: 80, seed: 20_240_501 },
      );
      // A world in which nothing ever goes wrong would prove nothing.
      for (const needed of ["materialized", "coalesced", "taken over", "tried again", "rolled-forward", "closed"]) {
        assert.ok(seen.has(needed), `no schedule has led to: ${needed}`);
      }
    });
  }
});

function whatHappened(event: World["documents"]["events"][number]): string {
  if (event.type === "publish.settled") return event.outcome;
  if (event.type === "run.started")
    return event.tookOver === true ? "taken over" : event.attempt > 1 ? "tried again" : "";
  return event.type === "run.coalesced" ? "coalesced" : event.type;
}

/** Each takes one guard away; the same properties must notice. */
describe("the proof can fail", () => {
  for (const [title, definitions, makeSabotage, expected] of [
    ["when a zombie's token opens an intent", INCREMENTAL, anyToken, /does not hold its partition|committed/],
    [
      "when a dead publish is closed without being prevented",
      OVERWRITE,
      noPrevention,
      /after its intent was settled|shows/,
    ],
    ["when the order of a slot is not looked at with the intent", OVERWRITE, noOrder, /went back from/],
    [
      "when a dead publish that adds rows is not prevented",
      APPENDING,
      noPrevention,
      /after its intent was settled|shows/,
    ],
    ["when a busy partition does not remember who waits", INCREMENTAL, noPending, /shows/],
    ["when a settled intent can be committed", OVERWRITE, commitsClosed, /twice|without|again|shows/],
  ] as const) {
    test(title, async () => {
      const property = fc.asyncProperty(scenarios(SHAPE), skews, async (scenario, skew) => {
        await hold(definitions, scenario, skew, makeSabotage());
      });
      const result = await fc.check(property, { numRuns: 400, seed: 1, endOnFailure: true });
      assert.ok(result.failed, `not noticed in ${result.numRuns} runs`);
      assert.ok(result.errorInstance instanceof Violation);
      assert.match(result.errorInstance.message.split("\n")[0] ?? "", expected);
    });
  }
});

type Documents = Readonly<Record<string, unknown>>;

/** Decides, and decides again on other documents when `unlike` what is wanted. */
function retold<R extends Refs, T>(
  decide: (read: Read<R>) => Decision<T>,
  read: Read<R>,
  refused: (decision: Decision<T>) => boolean,
  versions: readonly Documents[],
): Decision<T> {
  const honest = decide(read);
  if (!refused(honest)) return honest;
  for (const version of versions) {
    const decision = decide({ ...read, ...version });
    if (!refused(decision)) return decision;
  }
  return honest;
}

function kindOf(result: unknown): unknown {
  return typeof result === "object" && result !== null && "kind" in result ? result.kind : undefined;
}

/** The documents that a transaction of the runtime reads, by the names that it gives them. */
interface Known {
  readonly partition?: PartitionDocument | undefined;
  readonly slot?: SlotDocument | undefined;
}

function anyToken(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { partition } = read as Known;
      const holder = partition?.holder;
      const versions = Array.from({ length: partition?.token ?? 0 }, (_, token) => ({
        partition: { ...partition, holder: { runId: "", leaseUntil: 0, ...holder, token: token + 1 } },
      }));
      return retold(decide, read, ({ result }) => kindOf(result) === "lost", versions);
    },
  };
}

function noPrevention(): Sabotage {
  return { skipsSubmit: (labels) => labels["sluice_step"] === "prevent" };
}

function noOrder(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const { slot } = read as Known;
      const committed = slot?.committed;
      const versions = committed === undefined ? [] : [{ slot: { ...slot, committed: { ...committed, order: "" } } }];
      const decision = retold(decide, read, ({ result }) => kindOf(result) === "superseded", versions);
      // What is written must keep the true commit, or the invariants would compare with the lie.
      return { ...decision, writes: decision.writes.map((write) => withCommit(write, committed)) };
    },
  };
}

function withCommit(write: Write, committed: SlotDocument["committed"]): Write {
  if ("delete" in write || write.put.kind !== "slot" || committed === undefined) return write;
  const value = write.value as SlotDocument; // of a slot, as its ref says
  return value.committed?.order === "" ? ({ ...write, value: { ...value, committed } } as Write) : write;
}

function noPending(): Sabotage {
  return {
    decide: (_refs, decide, read) => {
      const decision = decide(read);
      return kindOf(decision.result) === "pending" ? { ...decision, writes: [] } : decision;
    },
  };
}

function commitsClosed(): Sabotage {
  const opened = new Map<string, Intent>();
  return {
    decide: (refs, decide, read) => {
      const { slot } = read as Known;
      const id = refs["slot"]?.id ?? "";
      if (slot?.intent !== undefined) opened.set(`${id} ${slot.intent.sequence}`, slot.intent);
      if (refs["asset"] === undefined || refs["slot"] === undefined) return decide(read);
      const versions = [...opened]
        .filter(([key]) => key.startsWith(`${id} `))
        .map(([, intent]) => ({ slot: { ...slot, intent } }));
      return retold(decide, read, ({ result }) => result === undefined, versions);
    },
  };
}
