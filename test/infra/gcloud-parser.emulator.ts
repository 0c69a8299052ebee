/**
 * Every command of a plan is one that gcloud and bq would take: their own parsers read them, in bulk. A machine without the tools skips
 * this with a line that says so.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { compile } from "../../infra/compile.ts";
import { parseEnvironments } from "../../infra/environments.ts";
import type { Manifest } from "../../infra/manifest.ts";
import { destroyPlan, plan } from "../../infra/plan.ts";
import type { Plan, ToolCall } from "../../infra/plan.ts";
import { observations } from "../../infra/plan/observe.ts";
import { stateCalls } from "../../infra/plan/state-calls.ts";
import { emptyState } from "../../infra/plan/state.ts";
import { isPolicyCall } from "../../infra/plan/step.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { FIRESTORE } from "../support/infra.ts";
import { emptyWorld, look, manifestOf, performAll, wantedOf } from "../support/planned-world.ts";
import { ROOT } from "../support/tree.ts";
import { varied } from "../support/varied-project.ts";

/** The SDK's own Python, or what it lacks. */
function findSdk(): { readonly sdk: string; readonly python: string } | { readonly missing: string } {
  try {
    const [sdk = "", ...more] = execFileSync(
      "gcloud",
      ["info", "--format=csv[no-heading,separator='\n'](installation.sdk_root,basic.python_location)"],
      { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
    )
      .trim()
      .split("\n");
    const bundled = globSync(join(sdk, "platform/bundledpythonunix/bin/python3"))[0];
    const python = bundled ?? more[0];
    return python === undefined ? { missing: "gcloud does not say which Python it runs on" } : { sdk, python };
  } catch {
    return { missing: "gcloud is not on the PATH: install the Google Cloud CLI" };
  }
}

const found = findSdk();
const required = process.env["CI_EMULATORS"] === "required";
if ("missing" in found) {
  test("gcloud's parser is there", { skip: required ? false : found.missing }, () => {
    throw new Error(`CI_EMULATORS=required, but ${found.missing}`);
  });
} else {
  const { sdk, python } = found;
  describe("gcloud's own parser takes every command", () => {
    let folder = "";
    before(() => void (folder = mkdtempSync(join(tmpdir(), "sluice-parser-"))));
    after(() => rmSync(folder, { recursive: true, force: true }));

    /** What is wrong, one line for each command that has something. */
    const faults = (calls: readonly ToolCall[]): string[] => {
      const distinct = [...new Map(calls.map((call) => [JSON.stringify(call), call])).values()];
      const vectors = distinct.map((call, index) => {
        const args = call.args.map((arg) => filledIn(folder, index, call, arg));
        return { tool: call.tool, args };
      });
      return (["gcloud", "bq"] as const).flatMap((tool) => {
        const own = vectors.filter((one) => one.tool === tool).map(({ args }) => args);
        const script = join(ROOT, `test/support/${tool}-parser.py`);
        const library = [join(sdk, "lib"), join(sdk, "lib/third_party")].join(":");
        const { status, stdout, stderr } = spawnSync(python, [script], {
          input: JSON.stringify(own),
          encoding: "utf8",
          maxBuffer: 64e6,
          env: {
            PATH: process.env["PATH"],
            HOME: folder,
            CLOUDSDK_CONFIG: folder,
            CLOUDSDK_CORE_DISABLE_PROMPTS: "1",
            BQ_FOLDER: join(sdk, "platform/bq"),
            ...(tool === "gcloud" ? { PYTHONPATH: library } : {}),
          },
        });
        assert.equal(status, 0, stderr);
        // The helper prints one entry for each vector.
        const told = JSON.parse(stdout) as readonly (string | null)[];
        assert.equal(told.length, own.length);
        return told.flatMap((fault, index) =>
          fault === null ? [] : [`${tool} ${own[index]?.join(" ") ?? ""}: ${fault}`],
        );
      });
    };

    test("and refuses what is none", () => {
      const call = (tool: ToolCall["tool"], ...args: string[]): ToolCall => ({ tool, args });
      const wrong = [
        call("gcloud", "functions", "deploy", "f", "--gen3"),
        call("gcloud", "functions", "deploy", "f", "--ingress-settings=some"),
        call("gcloud", "pubsub", "topics"),
        call("gcloud", "pubsub", "subscriptions", "create", "s"),
        call("gcloud", "pubsub", "tropics", "create", "t"),
        call("bq", "--project_id=p", "mk", "--data"),
        call("bq", "--project_id=p", "make", "d"),
        call("bq", "--projectid=p", "ls"),
      ];
      assert.equal(faults(wrong).length, wrong.length, faults(wrong).join("\n"));
    });

    test("of the example project, in all its environments", async () => {
      const file = "infra/environments.json";
      const value = JSON.parse(readFileSync(join(ROOT, file), "utf8")) as { environments: Record<string, object> };
      const prod = value.environments["prod"];
      const watched = { "oso-dataset-transfer-bucket": { location: "EU" }, "flight-drops": { location: "EU" } };
      value.environments["triggered"] = {
        ...prod,
        triggers: "eventarc",
        namePrefix: "t-",
        datasetSuffix: "_t",
        buckets: watched,
      };
      const environments = parseEnvironments(value, file);
      const { definitions } = await functionsLoader(ROOT).load();
      for (const name of ["prod", "staging", "pr-42", "triggered"]) {
        const environment = environments.find(name);
        const { manifest, problems } = compile({ definitions, environment, firestore: FIRESTORE });
        assert.deepEqual(problems, [], name);
        assert.deepEqual(faults(everyCall(manifest)), [], name);
      }
    });

    for (const triggers of ["push", "eventarc"]) {
      test(`of 200 assets, in the form of ${triggers}`, () => {
        const fields = {
          triggers,
          buckets: { drops: { location: "EU" } },
          accounts: "file",
          quotas: { serviceAccounts: 300 },
        };
        const calls = everyCall(manifestOf(varied(200), fields), manifestOf(varied(180), fields));
        assert.ok(calls.length > 3_000, String(calls.length));
        assert.deepEqual(faults(calls), []);
      });
    }
  });
}

/** Of a first deployment, one on top of what is there, one with less, and the end; with what is read and written beside. */
function everyCall(manifest: Manifest, less: Manifest = manifest): ToolCall[] {
  const wanted = wantedOf(manifest);
  const world = emptyWorld();
  const first = plan(wanted, look(world, wanted), { prune: false });
  performAll(world, wanted, first);
  const edited = wantedOf(
    { ...manifest, delivery: { ...manifest.delivery, ackDeadlineSeconds: 599 } },
    Object.fromEntries(manifest.functions.map(({ unit }) => [unit, "edited"])),
  );
  const all: Plan[] = [first, plan(edited, look(world, wanted), { prune: false })];
  // Everything is there, and nothing was recorded.
  all.push(plan(wanted, { ...look(world, wanted), state: undefined }, { prune: true }));
  all.push(plan(wantedOf(less), look(world, wanted), { prune: true }), destroyPlan(manifest, look(world, wanted)));
  const state = stateCalls(manifest);
  return [
    ...all.flatMap(({ steps, foreign }) => [
      ...steps.flatMap(({ calls }) =>
        calls.flatMap((call) => (isPolicyCall(call) ? [call.read, withPolicy(call.write)] : [call])),
      ),
      ...foreign.map(({ command }) => command),
    ]),
    ...observations({ manifest, state: undefined, refresh: true }).map(({ call }) => call),
    state.describe,
    state.read("1"),
    state.write(emptyState(manifest), "0"),
    ...state.bootstrap,
  ].flatMap(withOthers);
}

function withPolicy(call: ToolCall): ToolCall {
  return { ...call, files: { "policy.json": "{}" } };
}

function withOthers(call: ToolCall): ToolCall[] {
  return [call, ...[...(call.ifExists ?? []), ...(call.ifMissing ?? [])].flatMap(withOthers)];
}

/** Placeholders with something in their place, files with files. */
function filledIn(folder: string, index: number, { files = {} }: ToolCall, arg: string): string {
  return arg.replaceAll(/\{([a-z-]+):([^{}]+)\}/g, (_, kind: string, name: string) => {
    if (kind === "number") return "4711";
    if (kind === "url") return `https://${name}.run.app`;
    if (kind === "trigger") return `projects/p/locations/europe-west1/triggers/${name}`;
    if (kind === "trigger-subscription") return `projects/p/subscriptions/${name}`;
    if (kind === "etag") return "abc=";
    if (kind === "archive") return "/tmp/source.zip";
    assert.equal(kind, "file");
    const text = files[name];
    assert.ok(text !== undefined, `there is no file ${name}`);
    const path = join(folder, `${index}-${name}`);
    writeFileSync(path, text);
    return path;
  });
}
