/** The very commands of a first deployment of the example project, as they are committed: whoever changes one sees it in the review. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { shellLine } from "../../infra/gcloud.ts";
import { manifestSchema } from "../../infra/manifest.ts";
import { destroyPlan, plan } from "../../infra/plan.ts";
import type { Call, Plan, Step } from "../../infra/plan.ts";
import { observations } from "../../infra/plan/observe.ts";
import { stateCalls } from "../../infra/plan/state-calls.ts";
import { emptyState } from "../../infra/plan/state.ts";
import { isPolicyCall } from "../../infra/plan/step.ts";
import { emptyWorld, look, performAll, wantedOf } from "../support/planned-world.ts";
import { ROOT } from "../support/tree.ts";

const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(ROOT, "infra/manifest.json"), "utf8")));

/** Compares with the committed file, or writes it where GOLDEN=write. */
function assertGolden(name: string, lines: readonly string[]): void {
  const file = join(ROOT, "test/infra/golden", name);
  const text = `${lines.join("\n")}\n`;
  if (process.env["GOLDEN"] === "write") writeFileSync(file, text);
  const remedy = `test/infra/golden/${name} is out of date: run GOLDEN=write node --test test/infra/plan-golden.test.ts, and review it`;
  assert.ok(readFileSync(file, "utf8") === text, remedy);
}

function callLines(call: Call): string[] {
  if (isPolicyCall(call)) {
    const grants = call.edit.wanted.map(({ role, member, condition }) => {
      const when = condition === undefined ? "" : ` where ${condition.expression}`;
      return `      ${role} ${member}${when}`;
    });
    return [shellLine(call.read), shellLine(call.write)].map((line) => `  ${line}`).concat(grants);
  }
  const files = Object.entries(call.files ?? {}).map(
    ([name, text]) => `      ${name}: ${JSON.stringify(tryJson(text))}`,
  );
  const others = [
    ...(call.ifExists ?? []).flatMap(callLines).map((line) => `    if it exists:${line}`),
    ...(call.ifExists?.length === 0 ? ["    if it exists: well"] : []),
    ...(call.ifMissing?.length === 0 ? ["    if it is missing: well"] : []),
  ];
  return [`  ${shellLine(call)}`, ...files, ...others];
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Of the many indexes and fields, those of one collection. */
const isShown = ({ kind, name }: Step): boolean =>
  (kind !== "index" && kind !== "field") || name.startsWith("sluice_runs");

const planLines = ({ steps }: Plan): string[] =>
  steps
    .filter(isShown)
    .flatMap(({ action, id, needs, calls }) => [
      `${action} ${id}${needs.length > 0 ? ` after ${needs.join(", ")}` : ""}`,
      ...calls.flatMap(callLines),
    ]);

test("a first deployment", () => {
  const wanted = wantedOf(manifest, {}, "0".repeat(64));
  const { describe, bootstrap, read, write } = stateCalls(manifest);
  const reads = observations({ manifest, state: undefined, refresh: false }).map(({ call }) => call);
  assertGolden("first-deployment.txt", [
    "before it",
    ...[describe, read("17"), ...bootstrap, write(emptyState(manifest), "17")].flatMap(callLines),
    "what is there",
    ...reads.flatMap(callLines),
    ...planLines(plan(wanted, look(emptyWorld(), wanted), { prune: false })),
  ]);
});

test("taking it away", () => {
  const wanted = wantedOf(manifest, {}, "0".repeat(64));
  const world = emptyWorld();
  performAll(world, wanted, plan(wanted, look(world, wanted), { prune: false }));
  assertGolden("destroying.txt", planLines(destroyPlan(manifest, look(world, wanted))));
});
