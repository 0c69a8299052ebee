/** A plan in words, and how long it takes. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { plan } from "../../../infra/plan.ts";
import type { Plan, Step } from "../../../infra/plan.ts";
import { commandText, describePlan, durationText, summaryLine } from "../../../infra/plan/describe.ts";
import { estimate, LIMITS } from "../../../infra/plan/limits.ts";
import { emptyWorld, look, manifestOf, performAll, wantedOf } from "../../support/planned-world.ts";
import { varied } from "../../support/varied-project.ts";

const fields = { buckets: { drops: { location: "EU", project: "their-project" } } };
const manifest = manifestOf(varied(2), fields);
const wanted = wantedOf(manifest);

function words(made: Plan, verbose = false): string {
  return describePlan(made, { bindings: manifest.bindings, verbose }).join("\n");
}

test("what it does, with reasons; and what others have to grant, with the command", () => {
  const text = words(plan(wanted, look(emptyWorld(), wanted), { prune: false }), true);
  assert.match(text, /^7 functions\n {2}\+ asset-a-n0: is not there yet$/m);
  assert.match(
    text,
    /^ {6}roles\/run\.invoker for sluice-push@own-project\.iam\.gserviceaccount\.com: messages are pushed to it$/m,
  );
  assert.match(text, /^to be granted by the owners of other projects:$/m);
  const command =
    /gcloud storage buckets add-iam-policy-binding gs:\/\/drops --member=serviceAccount:\S+ --role=roles\/storage\.legacyBucketReader --condition=None --format=json --project=their-project --quiet/;
  assert.match(text, command);
  // Every binding is there, with each of its reasons.
  for (const { role, reasons } of manifest.bindings)
    for (const reason of reasons) assert.ok(text.includes(role) && text.includes(reason));
});

test("what is unchanged is counted, what is no longer defined is named", () => {
  const world = emptyWorld();
  performAll(world, wanted, plan(wanted, look(world, wanted), { prune: false }));
  const none = words(plan(wanted, look(world, wanted), { prune: false }));
  assert.match(none, /^nothing to do: \d+ unchanged$/m);
  const less = wantedOf(manifestOf(varied(1), fields));
  const text = words(plan(less, look(world, less), { prune: false }));
  assert.match(text, /no longer defined, and left \(--prune deletes them\):\n(?: {2}.*\n)* {2}function asset-a-n1$/m);
  assert.match(
    words(plan(less, look(world, less), { prune: true })),
    /^ {2}- asset-a-n1: nothing defines it any more$/m,
  );
});

test("commands can be pasted into a shell", () => {
  assert.equal(
    commandText({ tool: "gcloud", args: ["a", "it's", "--x=$HOME", "(default)"] }),
    "gcloud a 'it'\\''s' '--x=$HOME' '(default)'",
  );
});

describe("how long", () => {
  const functions = (count: number): Step[] =>
    Array.from({ length: count }, (_, index) => ({
      id: `function f${index}`,
      kind: "function",
      name: `f${index}`,
      action: "create",
      reason: "",
      needs: [],
      calls: [],
      seconds: 120,
      records: {},
    }));
  const { parallel } = LIMITS.function;
  const table: readonly (readonly [number, number])[] = [
    [0, 0],
    [1, 120],
    [parallel, 120],
    [parallel + 1, 240],
    [200, (200 / parallel) * 120],
  ];
  for (const [count, seconds] of table)
    test(`${count} functions take ${seconds} s`, () => assert.equal(estimate(functions(count)), seconds));

  test("what needs another one comes after it, and a minute has its limit", () => {
    const [first, second] = functions(2);
    assert.ok(first && second);
    assert.equal(estimate([first, { ...second, needs: [first.id] }]), 240);
    const { perMinute } = LIMITS.function;
    const quick = functions(perMinute + 1).map((step) => ({ ...step, seconds: 0 }));
    assert.equal(estimate(quick), 60);
  });

  test("is said in what people count in", () => {
    assert.deepEqual([0, 5, 89, 150, 5_000, 9_000].map(durationText), [
      "1 s",
      "5 s",
      "89 s",
      "3 min",
      "83 min",
      "2 h 30 min",
    ]);
    const made = plan(wanted, look(emptyWorld(), wanted), { prune: false });
    assert.match(summaryLine(made), /^\d+ to create; about \d+ min$/);
  });
});
