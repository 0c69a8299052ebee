/** A plan as people read it: what is done and why, who may do what for which reason, and what others have to grant. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { destroyPlan, plan } from "../../infra/plan.ts";
import type { Plan } from "../../infra/plan.ts";
import { planValue, printDeployPlan } from "../../lib/cli/deploy-plan.ts";
import type { Shell } from "../../lib/cli/shell.ts";
import { emptyWorld, look, manifestOf, performAll, wantedOf } from "../support/planned-world.ts";
import { varied } from "../support/varied-project.ts";

const fields = { buckets: { drops: { location: "EU", project: "their-project" } } };
const manifest = manifestOf(varied(2), fields);
const wanted = wantedOf(manifest);
const first = plan(wanted, look(emptyWorld(), wanted), { prune: false });

function printed(made: Plan, columns?: number): readonly string[] {
  const lines: string[] = [];
  const shell: Shell = {
    home: "/",
    project: "/",
    json: false,
    paint: (_, text) => text,
    columns,
    signal: new AbortController().signal,
    print: (line = "") => void lines.push(line),
    value: () => assert.fail("people read it"),
    warn: () => assert.fail("nothing is wrong"),
  };
  printDeployPlan(shell, made);
  return lines;
}

describe("a plan", () => {
  const lines = printed(first);

  test("has a reason of its own for whatever is made", () => {
    const text = lines.join("\n");
    assert.doesNotMatch(text, /is not there yet/);
    for (const { name, about } of manifest.accounts)
      assert.match(text, new RegExp(`^\\+ account ${name} +${about}$`, "m"));
    for (const { name, reasons } of manifest.buckets)
      assert.ok(lines.some((line) => line.startsWith(`+ bucket ${name} `) && line.endsWith(reasons.join("; "))));
    for (const { name, reasons } of manifest.datasets)
      assert.ok(lines.some((line) => line.startsWith(`+ dataset ${name} `) && line.includes(reasons[0] ?? "?")));
    for (const { name, about } of manifest.schedules)
      assert.ok(lines.some((line) => line.startsWith(`+ schedule ${name} `) && line.endsWith(` ${about}`)));
    assert.match(text, /^\+ function asset-a-n0 +materializes the asset a\/n0$/m);
    assert.match(text, /^\+ topic dead-letters +what was delivered in vain is laid aside there$/m);
  });

  for (const columns of [undefined, 60])
    test(`has each binding with its reason below its policy, ${columns ?? "no"} columns wide`, () => {
      const all = printed(first, columns);
      const below = (policy: string): readonly string[] => {
        const at = all.findIndex((line) => line.startsWith(`+ policy ${policy} `));
        assert.ok(at >= 0, policy);
        const end = all.findIndex((line, index) => index > at && !line.startsWith("    "));
        return all.slice(at + 1, end);
      };
      for (const { resource, role, member, reasons, condition } of manifest.bindings) {
        const who = member.replace("serviceAccount:", "").replace(".iam.gserviceaccount.com", "");
        const found = below(`${resource.kind} ${resource.name}`).some(
          (line) =>
            line.startsWith(`    ${role} for `) &&
            line.includes(who) &&
            line.includes(condition?.title ?? "") &&
            line.includes(`: ${reasons.slice(0, 4).join("; ")}`),
        );
        assert.ok(found, `${role} for ${member} on ${resource.kind} ${resource.name}`);
      }
    });

  test("says what others have to grant, with the command and the reason", () => {
    const at = lines.indexOf("to be granted by the owners of other projects:");
    const command =
      /^ {2}gcloud storage buckets add-iam-policy-binding gs:\/\/drops --member=serviceAccount:\S+ --role=roles\/storage\.legacyBucketReader --condition=None --format=json --project=their-project --quiet {2}# .+/;
    assert.ok(at > 0 && lines.slice(at + 1).some((line) => command.test(line)));
  });

  test("names every reason with --json", () => {
    const value = planValue(first) as { steps: readonly { id: string; grants?: readonly object[] }[] }; // as it is written
    const grants = value.steps.flatMap((step) => step.grants ?? []);
    const expected = manifest.bindings.map(({ role, member, reasons }) => ({ role, member, reasons }));
    const key = (one: unknown): string => JSON.stringify(one);
    assert.deepEqual(grants.map((one) => key({ ...one, condition: undefined })).sort(), expected.map(key).sort());
  });
});

describe("a later plan", () => {
  const world = emptyWorld();
  performAll(world, wanted, first);
  const less = wantedOf(manifestOf(varied(1), fields));

  test("names the roles that differ, and no others", () => {
    const lines = printed(plan(less, look(world, less), { prune: true }));
    const at = lines.findIndex((line) => line.startsWith("~ policy project own-project "));
    const below = lines.slice(at + 1).slice(
      0,
      lines.slice(at + 1).findIndex((line) => !line.startsWith("    ")),
    );
    assert.ok(at >= 0 && below.length > 0, lines.join("\n"));
    for (const line of below) assert.match(line, /^ {4}no longer roles\/\S+ for /);
  });

  test("says why what is deleted is: it is defined no more, or all of it goes", () => {
    const pruned = printed(plan(less, look(world, less), { prune: true })).join("\n");
    assert.match(pruned, /^- function asset-a-n1 +nothing defines it any more$/m);
    const withheld = printed(plan(less, look(world, less), { prune: false })).join("\n");
    assert.match(withheld, /^ {2}function asset-a-n1 \(nothing defines it any more\)$/m);
    const destroyed = printed(destroyPlan(manifest, look(world, wanted))).join("\n");
    assert.match(destroyed, /^- function asset-a-n1 +the environment is taken away$/m);
    assert.match(
      destroyed,
      /^- queue \S+ +the environment is taken away: it is emptied, and kept for its name's sake$/m,
    );
    assert.doesNotMatch(destroyed, /nothing (?:defines|uses) it/);
  });
});
