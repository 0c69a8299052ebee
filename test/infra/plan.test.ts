/** Plans, carried out on a project in memory: whole, in part, and again. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { destroyPlan, itemsOf, plan } from "../../infra/plan.ts";
import type { Plan, Wanted } from "../../infra/plan.ts";
import { unitsChosen } from "../../infra/plan/only.ts";
import { emptyWorld, look, manifestOf, perform, performAll, remains, wantedOf } from "../support/planned-world.ts";
import type { Known, World } from "../support/planned-world.ts";
import { varied } from "../support/varied-project.ts";

const KEEP = { prune: false } as const;
const PRUNE = { prune: true } as const;

const EVENTARC = { triggers: "eventarc", buckets: { drops: { location: "EU" } } };
const FORMS = [{}, EVENTARC] as const;

const steps = ({ steps: all }: Plan): string[] => all.map(({ action, id }) => `${action} ${id}`).sort();
const deployed = (wanted: Known): World => {
  const world = emptyWorld();
  performAll(world, wanted, plan(wanted, look(world, wanted), KEEP));
  return world;
};

for (const fields of FORMS) {
  const form = "triggers" in fields ? "gcloud's standard form" : "subscriptions of our own";
  describe(form, () => {
    test("what was carried out is as wanted, also when everything is read again", () => {
      const wanted = wantedOf(manifestOf(varied(7), fields));
      const world = deployed(wanted);
      for (const refresh of [false, true]) {
        const again = plan(wanted, look(world, wanted, refresh), PRUNE);
        assert.deepEqual(again.steps, []);
        assert.deepEqual(again.withheld, []);
        assert.deepEqual(again.notes, []);
        assert.equal(again.seconds, 0);
        assert.equal(again.unchanged.length, Object.keys(world.state?.resources ?? {}).length);
      }
    });

    test("a state that was lost is found again without building anything", () => {
      const wanted = wantedOf(manifestOf(varied(5), fields));
      const world = deployed(wanted);
      const before = remains(world);
      world.state = undefined;
      const again = plan(wanted, look(world, wanted), PRUNE);
      assert.deepEqual(
        again.steps.filter(({ kind }) =>
          ["function", "topic", "subscription", "source", "account", "queue"].includes(kind),
        ),
        [],
      );
      performAll(world, wanted, again);
      assert.deepEqual(remains(world), before);
      assert.deepEqual(plan(wanted, look(world, wanted), PRUNE).steps, []);
    });

    test("cut off after any part, and run again, it ends in the same", () => {
      const wanted = wantedOf(manifestOf(varied(4), fields));
      const whole = deployed(wanted);
      const first = plan(wanted, look(emptyWorld(), wanted), KEEP);
      fc.assert(
        fc.property(
          fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
          fc.integer({ min: 0, max: 9 }),
          fc.boolean(),
          (luck, rate, lost) => {
            const world = emptyWorld();
            const done = new Set<string>();
            const draws = luck[Symbol.iterator]();
            const draw = (): number => {
              const next = draws.next();
              return next.done === true ? 0 : next.value;
            };
            for (const step of first.steps) {
              if (!step.needs.every((need) => done.has(need)) || draw() > rate) continue;
              done.add(step.id);
              // The process may have died before this was recorded.
              perform(world, wanted, step, { recorded: !(lost && draw() > 6) });
            }
            const rest = plan(wanted, look(world, wanted), KEEP);
            performAll(world, wanted, rest);
            assert.deepEqual(remains(world), remains(whole));
            assert.deepEqual(world.state, whole.state);
            assert.deepEqual(plan(wanted, look(world, wanted), PRUNE).steps, []);
          },
        ),
        { numRuns: 15 },
      );
    });

    test("a removal that was cut off ends in the same", () => {
      const [before, after] = [varied(5), varied(3, 2)].map((all) => wantedOf(manifestOf(all, fields)));
      assert.ok(before && after);
      const whole = deployed(before);
      performAll(whole, after, plan(after, look(whole, after), PRUNE));
      fc.assert(
        fc.property(fc.array(fc.boolean(), { minLength: 200, maxLength: 200 }), fc.boolean(), (luck, lost) => {
          const world = deployed(before);
          const done = new Set<string>();
          for (const [at, step] of plan(after, look(world, after), PRUNE).steps.entries()) {
            if (!step.needs.every((need) => done.has(need)) || luck[at] !== true) continue;
            done.add(step.id);
            perform(world, after, step, { recorded: !lost || at % 3 > 0 });
          }
          performAll(world, after, plan(after, look(world, after), PRUNE));
          assert.deepEqual(remains(world), remains(whole));
          assert.deepEqual(plan(after, look(world, after), PRUNE).steps, []);
        }),
        { numRuns: 10 },
      );
    });

    test("touching one asset changes its function, and nothing else", () => {
      const manifest = manifestOf(varied(9), fields);
      const world = deployed(wantedOf(manifest));
      fc.assert(
        fc.property(fc.constantFrom(...manifest.functions), ({ unit, name }) => {
          const edited = wantedOf(manifest, { [unit]: "edited" }, "a2");
          const change = plan(edited, look(world, edited), PRUNE);
          assert.deepEqual(steps(change), ["create source a2", `update function ${name}`]);
          assert.equal(change.steps.at(-1)?.reason, "its code or configuration has changed");
        }),
        { numRuns: 20 },
      );
    });

    test("a new archive alone changes nothing", () => {
      const manifest = manifestOf(varied(3), fields);
      const world = deployed(wantedOf(manifest));
      const same = wantedOf(manifest, {}, "another archive");
      assert.deepEqual(plan(same, look(world, same), PRUNE).steps, []);
    });

    test("what is removed is deleted by pruning alone, and nothing but that", () => {
      const [before, after] = [varied(6), varied(5)].map((all) => wantedOf(manifestOf(all, fields)));
      assert.ok(before && after);
      const world = deployed(before);
      const names = new Set(itemsOf(after).map(({ id }) => id));
      const lost = itemsOf(before)
        .map(({ id }) => id)
        .filter((id) => !names.has(id) && !/^(?:dataset|bucket|index|field|trigger) /.test(id))
        .sort();
      assert.ok(lost.includes("function asset-a-n5") && lost.includes("account fn-a5-account"), lost.join());

      const kept = plan(after, look(world, after), KEEP);
      assert.deepEqual(kept.withheld.map(({ id }) => id).sort(), lost);
      assert.deepEqual(
        kept.steps.filter(({ action }) => action === "delete"),
        [],
      );
      performAll(world, after, kept);
      // Until it is pruned, the old function goes on with what it may do.
      const mayDo = (): boolean => [...world.policies.values()].some((text) => text.includes("fn-a5-account@"));
      assert.ok(mayDo());
      assert.deepEqual(plan(after, look(world, after), KEEP).steps, []);

      const pruned = plan(after, look(world, after), PRUNE);
      assert.deepEqual(
        pruned.steps
          .filter(({ action }) => action === "delete")
          .map(({ id }) => id)
          .sort(),
        lost,
      );
      performAll(world, after, pruned);
      assert.ok(!mayDo());
      assert.deepEqual(plan(after, look(world, after), PRUNE).steps, []);
      assert.deepEqual(remains(world), withData(deployed(after), before));
    });

    test("deletes go backwards: what stands on something else goes first", () => {
      const wanted = wantedOf(manifestOf(varied(5), fields));
      const { steps: all } = destroyPlan(wanted.manifest, look(deployed(wanted), wanted));
      const at = new Map(all.map(({ id }, index) => [id, index]));
      for (const { id, needs } of itemsOf(wanted))
        for (const need of needs) {
          const [own = -1, under = Infinity] = [at.get(id), at.get(need)];
          assert.ok(own < under, `${id} is deleted after ${need}`);
        }
    });

    test("destroying leaves data, and what belongs to it", () => {
      const wanted = wantedOf(manifestOf(varied(5), fields));
      const world = deployed(wanted);
      const all = destroyPlan(wanted.manifest, look(world, wanted));
      for (const { calls } of all.steps)
        for (const call of calls) {
          if ("edit" in call) continue;
          assert.ok(
            !/^(?:storage buckets delete|storage rm|firestore|.* rm )/.test(call.args.join(" ")),
            call.args.join(" "),
          );
        }
      performAll(world, wanted, all);
      const left = [...world.found.values()].map(({ kind }) => kind);
      assert.deepEqual(
        new Set(left),
        new Set(["bucket", "dataset", "database", "index", "field", "images", "apis", "queue"]),
      );
      for (const text of world.policies.values()) assert.ok(!text.includes("@own-project.iam"), text);
      assert.deepEqual(world.state?.resources, {});
      assert.deepEqual(destroyPlan(wanted.manifest, look(world, wanted)).steps, []);
      // And it comes back.
      performAll(world, wanted, plan(wanted, look(world, wanted), KEEP));
      assert.deepEqual(remains(world), remains(deployed(wanted)));
    });

    test("nothing of another environment is touched, nor of a stranger", () => {
      const other = wantedOf(manifestOf(varied(4), { ...fields, namePrefix: "dev-", datasetSuffix: "_dev" }));
      const own = wantedOf(manifestOf(varied(4), fields));
      const world = deployed(own);
      for (const [id, one] of deployed(other).found) world.found.set(id, { ...one, ours: false, owner: "dev" });
      const strange = { id: "topic theirs", kind: "topic", name: "theirs", ours: false, facts: {} } as const;
      world.found.set(strange.id, strange);
      assert.deepEqual(plan(own, look(world, own), PRUNE).steps, []);
      const gone = destroyPlan(own.manifest, look(world, own)).steps;
      assert.deepEqual(
        gone.filter(({ id }) => id.includes("dev-") || id === strange.id),
        [],
      );
    });
  });
}

function withData(world: World, { manifest }: Wanted): unknown {
  const all = emptyWorld();
  const complete = deployed(wantedOf(manifest));
  for (const [id, one] of complete.found) if (/^(?:dataset|bucket|index|field) /.test(id)) all.found.set(id, one);
  for (const [id, one] of world.found) all.found.set(id, one);
  for (const [id, text] of world.policies) all.policies.set(id, text);
  return remains(all);
}

test("drift is put right, with what it is as the reason", () => {
  const wanted = wantedOf(manifestOf(varied(4)));
  const table: readonly (readonly [id: string, field: string, value: string, reason: RegExp, expected: string])[] = [
    ["subscription asset.a.n1", "ack deadline", "10s", /^its ack deadline is 10s and should be 600s$/, "update"],
    ["subscription asset.a.n1", "expiration", "31 days", /expiration is 31 days and should be never/, "update"],
    ["subscription asset.a.n1", "topic", "_deleted-topic_", /topic is _deleted-topic_ .* made anew/, "update"],
    ["function asset-a-n1", "ingress", "ALLOW_ALL", /ingress is ALLOW_ALL and should be ALLOW_INTERNAL_ONLY/, "update"],
    ["function asset-a-n1", "hash", "other", /^somebody else has deployed it$/, "update"],
    ["function asset-a-n1", "state", "FAILED", /state is FAILED/, "update"],
    ["schedule schedule-a-n0", "schedule", "* * * * *", /schedule is \* \* \* \* \*/, "update"],
    ["queue sluice", "attempts", "3", /attempts is 3 and should be -1/, "update"],
    ["notification drops to bucket.drops", "events", "twice", /events is twice/, "update"],
  ];
  for (const [id, field, value, reason, action] of table) {
    const world = deployed(wanted);
    const one = world.found.get(id);
    assert.ok(one, id);
    world.found.set(id, {
      ...one,
      facts: { ...one.facts, [field]: value },
      own: ["projects/_/buckets/drops/notificationConfigs/1"],
    });
    const { steps: all } = plan(wanted, look(world, wanted), KEEP);
    const own = all.filter(({ kind }) => kind !== "source");
    assert.deepEqual(
      own.map((step) => `${step.action} ${step.id}`),
      [`${action} ${id}`],
    );
    assert.match(own[0]?.reason ?? "", reason);
  }
});

test("what was deleted by hand is made again, with all that stood on it", () => {
  const wanted = wantedOf(manifestOf(varied(3)));
  const world = deployed(wanted);
  world.found.delete("topic asset.a.n1");
  const stale = world.found.get("subscription asset.a.n1");
  assert.ok(stale);
  world.found.set(stale.id, { ...stale, facts: { ...stale.facts, topic: "_deleted-topic_" } });
  const again = plan(wanted, look(world, wanted), KEEP);
  assert.deepEqual(steps(again), [
    "create policy topic asset.a.n1",
    "create topic asset.a.n1",
    "update subscription asset.a.n1",
  ]);
  const [remake] = again.steps.filter(({ kind }) => kind === "subscription");
  assert.deepEqual(
    remake?.calls.map((call) => ("args" in call ? call.args.slice(0, 3).join(" ") : "")),
    ["pubsub subscriptions delete", "pubsub subscriptions create"],
  );
});

test("data that is in another place is told of, and left", () => {
  const wanted = wantedOf(manifestOf(varied(2)));
  const world = deployed(wanted);
  const dataset = world.found.get("dataset set0");
  assert.ok(dataset);
  world.found.set(dataset.id, { ...dataset, facts: { location: "US" } });
  const { steps: none, notes } = plan(wanted, look(world, wanted), PRUNE);
  assert.deepEqual(none, []);
  assert.deepEqual(notes, ["dataset set0: its location is US and should be EU, which cannot be changed"]);
});

test("a role that somebody has added to our accounts is taken back, and others' are left", () => {
  const wanted = wantedOf(manifestOf(varied(2)));
  const world = deployed(wanted);
  const id = "policy project own-project";
  const text = world.policies.get(id);
  assert.ok(text);
  const policy = JSON.parse(text) as { bindings: unknown[] };
  const added = {
    role: "roles/owner",
    members: ["user:ada@example.com", "serviceAccount:fn-a0-account@own-project.iam.gserviceaccount.com"],
  };
  world.policies.set(id, JSON.stringify({ ...policy, bindings: [...policy.bindings, added] }));
  const again = plan(wanted, look(world, wanted), KEEP);
  assert.deepEqual(steps(again), [`update ${id}`]);
  assert.match(again.steps[0]?.reason ?? "", /^has roles\/owner for serviceAccount:fn-a0-account@.* too much$/);
  performAll(world, wanted, again);
  assert.match(world.policies.get(id) ?? "", /"user:ada@example.com"/);
  assert.deepEqual(plan(wanted, look(world, wanted), KEEP).steps, []);
});

for (const toEventarc of [true, false]) {
  const name = toEventarc ? "to gcloud's triggers" : "to subscriptions of our own";
  test(`moved ${name}, every function is sent its messages at every moment`, () => {
    const [push, standard] = [wantedOf(manifestOf(varied(4))), wantedOf(manifestOf(varied(4), EVENTARC))];
    const [before, after] = toEventarc ? [push, standard] : [standard, push];
    // What the trigger of a function stands for.
    const own = push.manifest.subscriptions.filter(({ name: id }) => !standard.items.has(`subscription ${id}`));
    const ways = [
      ...own.map((one) => [one.push.function, `subscription ${one.name}`] as const),
      ...push.manifest.notifications.map(
        ({ bucket, topic }) => [`sensor-${bucket}`, `notification ${bucket} to ${topic}`] as const,
      ),
    ];
    assert.deepEqual(
      ways.map(([made]) => `trigger ${made}`).sort(),
      [...standard.items.keys()].filter((id) => id.startsWith("trigger ")).sort(),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { minLength: 50, maxLength: 50 }), (luck) => {
        const world = deployed(before);
        const left = [...plan(after, look(world, after), PRUNE).steps];
        const waiting = new Set(left.map(({ id }) => id));
        for (let turn = 0; left.length > 0; turn++) {
          const ready = left.filter(({ needs }) => !needs.some((need) => waiting.has(need)));
          const step = ready[(luck[turn % luck.length] ?? 0) % ready.length];
          assert.ok(step !== undefined, `each waits for another: ${left.map(({ id }) => id).join()}`);
          left.splice(left.indexOf(step), 1);
          waiting.delete(step.id);
          perform(world, after, step);
          for (const [made, instead] of ways)
            assert.ok(
              world.found.has(instead) || world.found.has(`trigger ${made}`),
              `nobody tells ${made} after ${step.id}`,
            );
        }
        assert.deepEqual([...world.found.keys()].sort(), [...deployed(after).found.keys()].sort());
        assert.deepEqual(plan(after, look(world, after), PRUNE).steps, []);
      }),
      { numRuns: 15 },
    );
  });
}

test("a stranger's function, or another environment's topic, is not taken over", () => {
  const wanted = wantedOf(manifestOf(varied(2)));
  const strange = { name: "asset-a-n0", ours: false, facts: {} };
  const world = emptyWorld();
  world.found.set("function asset-a-n0", { id: "function asset-a-n0", kind: "function", ...strange });
  assert.throws(
    () => plan(wanted, look(world, wanted), KEEP),
    /function asset-a-n0 is there already, and is not Sluice's: rename it, or give prod a namePrefix/,
  );
  const other = emptyWorld();
  other.found.set("topic asset.a.n0", { ...strange, id: "topic asset.a.n0", kind: "topic", owner: "dev" });
  assert.throws(() => plan(wanted, look(other, wanted), KEEP), /topic asset.a.n0 belongs to the environment dev/);
});

test("a part of it is its functions, and what these need", () => {
  const definitions = varied(6);
  const wanted = wantedOf(manifestOf(definitions));
  const only = unitsChosen("a/n3", definitions);
  assert.deepEqual([...only], ["asset a/n3"]);
  const world = emptyWorld();
  const part = plan(wanted, look(world, wanted), { prune: true, only });
  const functions = part.steps.filter(({ kind }) => kind === "function").map(({ name }) => name);
  assert.deepEqual(functions, ["asset-a-n3"]);
  const ids = new Set(part.steps.map(({ id }) => id));
  for (const id of [
    "topic asset.a.n3",
    "subscription asset.a.n3",
    "schedule schedule-a-n3",
    "policy function asset-a-n3",
  ])
    assert.ok(ids.has(id), id);
  assert.ok(!ids.has("subscription asset.a.n1"));
  performAll(world, wanted, part);
  // The rest comes later, and nothing of it is deleted meanwhile.
  const again = plan(wanted, look(world, wanted), { prune: true, only });
  assert.deepEqual(again.steps, []);
  performAll(world, wanted, plan(wanted, look(world, wanted), KEEP));
  assert.deepEqual(remains(world), remains(deployed(wanted)));
  assert.deepEqual([...unitsChosen("m/*", definitions)], ["job pair"]);
});

test("an environment that moved is refused", () => {
  const wanted = wantedOf(manifestOf(varied(2)));
  const world = deployed(wanted);
  const moved = wantedOf(manifestOf(varied(2), { region: "europe-west4" }));
  assert.throws(
    () => plan(moved, look(world, moved), KEEP),
    /was deployed with region "europe-west1", which is "europe-west4" now/,
  );
});

test("a plan of 200 assets is linear work", () => {
  const count = (all: number): number => {
    const wanted = wantedOf(manifestOf(varied(all), { quotas: { serviceAccounts: 300 } }));
    return plan(wanted, look(emptyWorld(), wanted), KEEP).steps.reduce((sum, { needs }) => sum + needs.length + 1, 0);
  };
  const [small, large] = [count(50), count(200)];
  assert.ok(large < small * 4.5, `${small} and ${large}`);
});
