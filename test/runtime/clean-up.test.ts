import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Decision, PartitionDocument } from "../../lib/core/documents.ts";
import { put, ref } from "../../lib/core/documents.ts";
import { uriOf } from "../../lib/core/inputs.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { intervalGcsImportAsset } from "../../lib/factories/interval-gcs.ts";
import type { ObjectInfo } from "../../lib/ports/object-store.ts";
import {
  BUCKET,
  dayConfig,
  dayImport,
  definitionsOf,
  KEY,
  nameOf,
  perform,
  play,
  scenarios,
  severalFiles,
} from "../support/import-world.ts";
import type { Act } from "../support/import-world.ts";
import { pushOf } from "../support/plain-runtime.ts";
import { fail, invariants, rowOf } from "../support/run-invariants.ts";
import { placeOf } from "../support/single-place.ts";
import { Violation, world } from "../support/simulation.ts";
import type { Sabotage, World } from "../support/simulation.ts";

const RUNS = 20;
const NEIGHBOUR = "data/months";

/** Deleted objects, by URI, and why they were allowed to go. */
function guarded(definitions: Definitions, faults = { jobs: 1, deaths: 3, duplicates: 2 }, sabotage: Sabotage = {}) {
  const rules = invariants();
  const deleted = new Map<string, ObjectInfo>();
  const asset = definitions.assets.get(KEY);
  assert.ok(asset?.target !== undefined);
  const { target, retention } = asset;

  const beforeDelete = ({ documents }: World, object: ObjectInfo): void => {
    const row = rowOf(object);
    const key = dayOf(object.name);
    const loaded = documents.events.some(
      (event) => event.type === "materialized" && event.partition === key && event.inputs.map(rowOf).includes(row),
    );
    const partition = documents.get("partition", partitionRef(KEY, key).id);
    const late = retention?.cleanSuperseded === true && partition?.superseded?.inputs.map(rowOf).includes(row) === true;
    if (!loaded && !late) fail(`${row} is deleted, and was never loaded`);
    if (partition?.seal === undefined) fail(`${row} is deleted without a seal`);
    if (partition?.holder !== undefined) fail(`${row} is deleted under a run`);
    const newest = documents.get("asset", KEY)?.partition ?? "";
    if (Date.parse(key) + 2 * 86_400_000 > Date.parse(newest)) fail(`${row} is deleted before its time, at ${newest}`);
    if (documents.get("slot", "clean.days")?.committed?.partition === key) fail(`${row} is deleted while it is shown`);
    if (definitions.assets.has(NEIGHBOUR)) {
      const head = documents.get("partition", partitionRef(NEIGHBOUR, key.slice(0, 7)).id)?.head;
      if (head?.inputs.map(rowOf).includes(row) !== true) fail(`${row} is deleted, and ${NEIGHBOUR} lacks it`);
    }
    deleted.set(uriOf(object), object);
  };
  const watch = (world: World): void => {
    rules.watch(world);
    if (target.slot !== "partition") return;
    for (const [uri, { name }] of deleted) {
      const shown = world.warehouse.rows({ ...target.table, partition: dayOf(name).replaceAll("-", "") }) ?? [];
      if (!shown.some((row) => row.startsWith(`${uri}#`))) fail(`the rows of ${uri} are lost`);
    }
  };
  const made = world({
    definitions,
    startAt: Date.UTC(2024, 5, 1),
    faults,
    sabotage,
    watch,
    beforeJob: rules.beforeJob,
    beforeDelete,
  });
  return { world: made, deleted, atRest: () => rules.atRest(made) };
}

function startSensor({ documents }: World): void {
  const name = "days_clean_up_sensor";
  documents.apply({}, () => ({
    result: undefined,
    writes: [put(ref("sensor", name), { name, status: "running" })],
    events: [],
  }));
}

function dayOf(name: string): string {
  return /\d{4}-\d\d-\d\d/.exec(name)?.[0] ?? "";
}

describe("under every schedule, a clean-up deletes only what is loaded, past its time and not shown, and loses no row", () => {
  for (const mode of ["overwrite", "incremental"] as const) {
    for (const cleanSuperseded of [false, true]) {
      for (const neighbour of [false, true]) {
        const title = `${mode}${cleanSuperseded ? ", cleaning what came too late" : ""}${neighbour ? ", with a neighbour" : ""}`;
        test(title, async () => {
          const config = { ...dayConfig, ...severalFiles, mode, cleanSuperseded };
          const definitions = definitionsOf({
            days: intervalGcsImportAsset(config),
            ...(neighbour ? { months } : {}),
          });
          let count = 0;
          await fc.assert(
            fc.asyncProperty(
              scenarios({
                days: 5,
                parts: ["a", "b"],
                wishes: ["unseal"],
                cleaning: true,
                acts: 14,
                steps: 300,
              }),
              fc.boolean(),
              async (scenario, sensor) => {
                const { world, deleted, atRest } = guarded(definitions);
                if (sensor) startSensor(world);
                await play(world, scenario);
                atRest();
                count += deleted.size;
              },
            ),
            { numRuns: RUNS, seed: 5 },
          );
          assert.ok(count > 0, `only ${count} objects were deleted in all`);
        });
      }
    }
  }
});

/** The same files as months; it sees an object when the producer's notification reaches it, and not before. */
const months = intervalGcsImportAsset({
  ...dayConfig,
  name: "months",
  fileMatch: String.raw`(?P<interval_timestamp>\d{4}-\d\d)-\d\d/part-[ab]\.parquet`,
  complete: { settle: "10s" },
  interval: "monthly",
  mode: "incremental",
  destinationTable: "months",
});

test("the proof can fail: with a seal that refuses nothing, the same property finds a deletion too many", async () => {
  const sealsAll: Sabotage = {
    decide: (refs, decide, read) => {
      const decision = decide(read);
      const { partition } = read as { readonly partition?: PartitionDocument | undefined };
      const { result } = decision as Decision<unknown>;
      const kept = typeof result === "object" && result !== null && "kind" in result && result.kind === "kept";
      if (!kept || partition === undefined || refs["partition"] === undefined) return decision;
      // The outcome of a seal is this, had it not refused.
      return { ...decision, result: { kind: "sealed", partition } as typeof decision.result };
    },
  };
  const definitions = definitionsOf({ days: intervalGcsImportAsset({ ...dayConfig, ...severalFiles }) });
  const shape = { days: 4, parts: ["a", "b"], cleaning: true, history: true, acts: 10, steps: 150 } as const;
  const property = fc.asyncProperty(scenarios({ ...shape, wishes: ["rollback"] }), async (scenario) => {
    await play(guarded(definitions, undefined, sealsAll).world, scenario);
  });
  const result = await fc.check(property, { numRuns: 300, seed: 1, endOnFailure: true });
  assert.ok(result.failed, `not noticed in ${result.numRuns} runs`);
  assert.ok(result.errorInstance instanceof Violation);
  assert.match(result.errorInstance.message, /is deleted (without a seal|under a run|while it is shown)/);
});

describe("a clean-up", () => {
  const incremental = { ...dayConfig, mode: "incremental" as const };
  const quiet = { jobs: 0, deaths: 0, duplicates: 0 };
  const clean = { do: "clean", dryRun: false } as const;

  /** Days 1 to 3 are loaded; day 1 is past retention. */
  async function loaded(definitions: Definitions) {
    const subject = guarded(definitions, quiet);
    for (const day of [1, 2, 3]) {
      perform(subject.world, { do: "write", day, part: "a" });
      await subject.world.settle();
    }
    return subject;
  }
  const run = async (world: World, act: Act): Promise<void> => {
    perform(world, act);
    await world.settle();
  };
  const report = ({ documents }: World) => {
    const last = documents.events.findLast((event) => event.type === "run.succeeded" && event.kind === "job");
    return last?.type === "run.succeeded" ? last.metadata : undefined;
  };
  const uri = `gs://${BUCKET}/${nameOf(1)}`;
  const first = { dataset: "clean", table: "days", partition: "20240501" };

  test("that is only tried says what would go, and changes nothing", async () => {
    const { world, deleted } = await loaded(definitionsOf({ days: intervalGcsImportAsset(incremental) }));
    const before = world.documents.all("partition").filter(([id]) => id.startsWith(KEY));
    await run(world, { do: "clean", dryRun: true });
    assert.deepEqual(report(world), {
      dryRun: true,
      deletedCount: 1,
      deleted: [uri],
      keptCount: 0,
      kept: [],
      droppedTables: [],
    });
    assert.equal(deleted.size, 0);
    assert.deepEqual(world.documents.all("partition"), before);
  });

  test("leaves the rows; a correction that comes after it is refused, and loses none of them", async () => {
    const { world, deleted } = await loaded(definitionsOf({ days: intervalGcsImportAsset(incremental) }));
    const rows = world.warehouse.rows(first);
    await run(world, clean);
    assert.deepEqual([...deleted.keys()], [uri]);
    await run(world, { do: "write", day: 1, part: "a" });
    for (const wish of ["force", "rollback", undefined] as const) await run(world, { do: "ask", day: 1, wish });
    assert.deepEqual(world.warehouse.rows(first), rows);
    const codes = world.documents.all("run").map(([, { code }]) => code);
    assert.equal(codes.filter((code) => code === "sealed").length, 4);
    await run(world, clean);
    assert.ok(world.objects.has(uri), "what came after the clean-up was never loaded");
    await run(world, { do: "ask", day: 1, wish: "unseal" });
    assert.deepEqual(world.warehouse.rows(first), [`${uri}#${world.objects.get(uri)?.generation ?? ""}`]);
  });

  test("keeps an object that changes between its look and its deletion", async () => {
    const { world, deleted } = await loaded(definitionsOf({ days: intervalGcsImportAsset(incremental) }));
    perform(world, clean);
    const sealed = (): boolean =>
      world.documents.get("partition", partitionRef(KEY, "2024-05-01").id)?.seal !== undefined;
    for (let steps = 0; !sealed() && steps < 100; steps++) await world.step(0);
    world.writeObject(BUCKET, nameOf(1));
    await world.settle();
    assert.equal(deleted.size, 0);
    assert.ok(world.objects.has(uri));
    const kept = world.documents.events.filter(({ type }) => type === "object.kept");
    assert.deepEqual(
      kept.map((event) => event.type === "object.kept" && event.reason),
      ["it changed after it was loaded"],
    );
  });

  test("keeps the whole interval while one of its objects is not loaded", async () => {
    const { world, deleted } = await loaded(
      definitionsOf({ days: intervalGcsImportAsset({ ...incremental, ...severalFiles }) }),
    );
    perform(world, { do: "write", day: 1, part: "b" });
    await world.step(0); // routed, and not yet loaded
    perform(world, clean);
    for (let steps = 0; report(world) === undefined && steps < 200; steps++) await world.step(0);
    assert.equal(deleted.size, 0);
    await world.settle();
    await run(world, clean);
    assert.equal(deleted.size, 2);
  });

  test("keeps what another asset watches and has not loaded as it is, says so, and takes it once it has", async () => {
    const definitions = definitionsOf({ days: intervalGcsImportAsset(incremental), months });
    const { world, deleted } = await loaded(definitions);
    const target = partitionRef(NEIGHBOUR, "2024-05");
    const neighbour = world.documents.get("partition", target.id);
    assert.equal(neighbour?.head?.inputs.length, 3);
    const forget = (value: PartitionDocument | undefined): void =>
      world.documents.apply({}, () => ({
        result: undefined,
        writes: value === undefined ? [{ delete: target }] : [put(target, value)],
        events: [],
      }));
    const { head } = neighbour;
    const older = head.inputs.map((input) => ({ ...input, generation: "0" }));
    for (const state of [undefined, { ...neighbour, head: { ...head, inputs: older } }]) {
      forget(state);
      for (const dryRun of [true, false]) {
        await run(world, { do: "clean", dryRun });
        assert.deepEqual(report(world)?.["kept"], [{ uri, reason: `${NEIGHBOUR} has not loaded it yet` }]);
      }
      assert.equal(world.documents.get("partition", partitionRef(KEY, "2024-05-01").id)?.seal, undefined);
    }
    assert.equal(deleted.size, 0);
    forget(neighbour);
    await run(world, clean);
    assert.deepEqual([...deleted.keys()], [uri]);
  });
});

test("an interval of the future does not put the present past its retention", async () => {
  const { write, send, clock, runtime, objects } = placeOf(dayImport({ mode: "incremental" }));
  assert.equal(new Date(clock.now()).toISOString().slice(0, 10), "2024-05-01");
  const clean = () =>
    clock.runUntil(
      runtime.receive(
        { kind: "job", name: "days_clean_up_job" },
        { body: pushOf({ config: { before: "2999-01-01", dryRun: false } }, undefined, `clean ${clock.now()}`) },
      ),
    );
  for (const day of [1, 9]) {
    write(BUCKET, nameOf(day));
    await send(KEY, { partition: `2024-05-0${day}` });
  }
  await clean();
  assert.equal(objects.size, 2);
  await clock.advance(3 * 86_400_000);
  await clean();
  assert.deepEqual(
    [...objects.values()].map(({ name }) => name),
    [nameOf(9)],
  );
});
