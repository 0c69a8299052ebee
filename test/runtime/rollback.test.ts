/** A table goes back to an older interval, at any moment, while processes die, jobs run late and messages come twice. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { topicOf } from "../../lib/core/asset-key.ts";
import type { SlotCommit } from "../../lib/core/documents.ts";
import type { StoredEvent } from "../../lib/core/events.ts";
import type { Cause } from "../../lib/core/request.ts";
import { rolledBackTo } from "../../lib/core/slot.ts";
import { BUCKET, KEY, dayImport, nameOf, perform, play, scenarios } from "../support/import-world.ts";
import { invariants } from "../support/run-invariants.ts";
import { world } from "../support/simulation.ts";
import type { World, WorldOptions } from "../support/simulation.ts";

const SLOT = "clean.days";
const calm = { jobs: 0, deaths: 0, duplicates: 0 };
const rough = { jobs: 2, deaths: 3, duplicates: 3 };

function placeWith(faults: typeof calm, before: WorldOptions["beforeJob"] = () => undefined) {
  const rules = invariants();
  const place = world({
    definitions: dayImport(),
    watch: rules.watch,
    beforeJob(now, job) {
      rules.beforeJob(now, job);
      before(now, job);
    },
    faults,
  });
  return { place, rules };
}

type Materialized = Extract<StoredEvent, { readonly type: "materialized" }>;

function materialized({ documents }: World): readonly Materialized[] {
  return documents.events.filter((event): event is StoredEvent & Materialized => event.type === "materialized");
}

const shown = ({ documents }: World): string | undefined => documents.get("slot", SLOT)?.committed?.partition;
const isRestored = ({ metadata = {} }: Materialized): boolean => metadata["restored_from"] !== undefined;

describe("a rollback", () => {
  const dayOf = (day: number): string => `2024-05-0${day}`;

  async function loaded(days = [1, 2, 3], beforeJob: WorldOptions["beforeJob"] = () => undefined): Promise<World> {
    const { place } = placeWith(calm, beforeJob);
    for (const day of days) {
      perform(place, { do: "write", day, part: "a" });
      await place.settle();
    }
    assert.equal(shown(place), dayOf(3));
    return place;
  }
  async function ask(place: World, day: number, more: object): Promise<Materialized | undefined> {
    const before = materialized(place).length;
    place.publish(topicOf(KEY), { partition: dayOf(day), ...more });
    await place.settle();
    const [made, ...others] = materialized(place).slice(before);
    assert.deepEqual(others, []);
    return made;
  }

  test("shows the interval as it was from its raw table, and says so", async () => {
    const place = await loaded();
    const rows = place.warehouse.rows({ dataset: "raw", table: "days__20240501" });
    const made = await ask(place, 1, { rollback: true });
    assert.ok(made !== undefined);
    assert.equal(made.rolledBackFrom, dayOf(3));
    assert.equal(made.metadata?.["restored_from"], "raw.days__20240501");
    assert.equal(shown(place), dayOf(1));
    assert.deepEqual(place.warehouse.rows({ dataset: "clean", table: "days" }), rows);
    const [first] = materialized(place);
    assert.deepEqual(made.inputs, first?.inputs);
    assert.equal(made.fingerprint, first?.fingerprint);
    // Back to what is shown is no rollback, and nothing to do.
    assert.equal(await ask(place, 1, { rollback: true }), undefined);
  });

  test("loads the objects where the raw table is gone, or was never finished", async () => {
    const gone = await loaded();
    assert.equal(gone.warehouse.drop({ dataset: "raw", table: "days__20240501" }), true);
    const made = await ask(gone, 1, { rollback: true });
    assert.ok(made !== undefined && !isRestored(made));
    assert.equal(made.rolledBackFrom, dayOf(3));
    assert.equal(shown(gone), dayOf(1));

    // The second version of day 2 never became its raw table, which is that of the first.
    const rawJobs: string[] = [];
    const other = await loaded([1, 2, 2, 3], (now, job) => {
      if (!job.id.startsWith("raw-") || job.spec.kind !== "copy") return;
      if (rawJobs.push(job.id) === 3) now.warehouse.drop(job.spec.source);
    });
    const loadedAgain = await ask(other, 2, { rollback: true });
    assert.ok(loadedAgain !== undefined && !isRestored(loadedAgain));
    assert.deepEqual(
      loadedAgain.inputs.map(({ generation }) => generation),
      materialized(other)
        .filter(({ partition }) => partition === dayOf(2))[1]
        ?.inputs.map(({ generation }) => generation),
    );
  });

  test("is what the slot says of itself: an older interval in another table is none", () => {
    const committed = { partition: dayOf(1), order: dayOf(1) };
    const to = (mark: object, order: string, kind: "reconcile" | "manual" = "reconcile"): string | undefined =>
      rolledBackTo({ sequence: 2, committed: { ...committed, ...mark } as SlotCommit }, order, { kind }); // the rest is not looked at
    assert.equal(to({}, dayOf(3)), undefined);
    const mark = { rolledBackFrom: dayOf(3) };
    for (const day of [2, 3]) assert.equal(to(mark, dayOf(day)), dayOf(1));
    assert.equal(to(mark, dayOf(1)), undefined, "what is shown");
    assert.equal(to(mark, dayOf(4)), undefined, "newer than all that was shown");
    assert.equal(to(mark, dayOf(3), "manual"), undefined);
    assert.equal(rolledBackTo(undefined, dayOf(3), { kind: "reconcile" }), undefined);
  });

  test("stays, whatever tells again of what was shown before; new data and people end it", async () => {
    const place = await loaded();
    await ask(place, 1, { rollback: true });
    const causes: readonly Cause[] = [
      { kind: "reconcile" },
      { kind: "object", uri: `gs://${BUCKET}/${nameOf(3)}`, generation: "again" },
      { kind: "schedule" },
    ];
    for (const [index, cause] of causes.entries()) {
      const runKey = `told again ${index}`;
      assert.equal(await ask(place, 3, { runKey, cause }), undefined, JSON.stringify(cause));
    }
    const codes = place.documents.all("run").map(([, { code }]) => code);
    assert.equal(codes.filter((code) => code === "rolled-back").length, causes.length);
    assert.equal(shown(place), dayOf(1));

    perform(place, { do: "write", day: 2, part: "a" });
    await place.settle();
    assert.equal(shown(place), dayOf(2), "a corrected file of a newer interval");
    assert.equal(await ask(place, 3, { runKey: "told once more", cause: { kind: "reconcile" } }), undefined);
    assert.equal(shown(place), dayOf(2), "which is no way to the newest one");
    const again = await ask(place, 3, {});
    assert.ok(again !== undefined && again.rolledBackFrom === undefined);
    assert.equal(shown(place), dayOf(3), "a person");
    assert.equal(place.documents.get("slot", SLOT)?.committed?.rolledBackFrom, undefined);
    await ask(place, 1, { rollback: true });
    perform(place, { do: "write", day: 4, part: "a" });
    await place.settle();
    assert.equal(shown(place), dayOf(4), "a new interval");
  });
});

const reached = { restored: 0, loaded: 0, refused: 0 };

test("it takes effect once, whenever processes die, and nothing but it goes back", async () => {
  const shape = { days: 3, parts: ["a"], wishes: ["rollback"], history: true, acts: 5, steps: 70 } as const;
  await fc.assert(
    fc.asyncProperty(scenarios(shape), async (scenario) => {
      const { place, rules } = placeWith(rough);
      await play(place, scenario);
      rules.atRest(place);
      const made = materialized(place);
      assert.equal(new Set(made.map(({ run }) => run)).size, made.length, "a run has materialized twice");
      for (const event of made) {
        // By the time of its publish, another rollback may have gone further back.
        if (event.rolledBackFrom !== undefined || isRestored(event))
          assert.equal(place.documents.get("run", event.run ?? "")?.request.rollback, true);
        if (event.rolledBackFrom !== undefined) reached[isRestored(event) ? "restored" : "loaded"] += 1;
      }
      for (const [, { code }] of place.documents.all("run")) if (code === "superseded") reached.refused += 1;
    }),
    { numRuns: Number(process.env["SLUICE_RUNS"] ?? 100) },
  );
});

test("the stories above came past rollbacks from raw tables", (t) => {
  t.diagnostic(JSON.stringify(reached));
  assert.ok(reached.restored > 0);
});
