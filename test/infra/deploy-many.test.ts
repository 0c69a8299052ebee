/** The real plan of 200 assets, carried out by the runner in virtual time: a first deployment within the quotas, and one that changes nothing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deploy } from "../../infra/deploy.ts";
import type { DeployEvent, DeployOptions, DeployResult, Planner } from "../../infra/deploy.ts";
import { deployPlanner } from "../../infra/deploy/planner.ts";
import type { ToolResult, Tools } from "../../infra/gcloud.ts";
import { plan } from "../../infra/plan.ts";
import type { Plan } from "../../infra/plan.ts";
import { LIMITS } from "../../infra/plan/limits.ts";
import type { ResourceKind } from "../../infra/plan/step.ts";
import { printDeployPlan } from "../../lib/cli/deploy-plan.ts";
import { emptyWorld, look, manifestOf, perform, wantedOf } from "../support/planned-world.ts";
import { varied } from "../support/varied-project.ts";
import { seededRandom, virtualClock } from "../support/virtual-clock.ts";

const MINUTE_MS = 60_000;
/** What Google takes of functions in a minute, and builds at once. */
const FUNCTION_WRITES = 60;
const BUILDS = 10;

const wanted = wantedOf(manifestOf(varied(200), { quotas: { serviceAccounts: 300 } }));

/** Answers what a deployment reads: the state, and for the rest something empty of the right form. */
function stage() {
  const clock = virtualClock();
  const world = emptyWorld();
  const object = { text: "", generation: 0 };
  const files = new Map<string, string>();
  let calls = 0;

  function answer(args: readonly string[]): ToolResult {
    const words = args.join(" ");
    const told = (stdout: string, stderr = ""): ToolResult => ({ code: 0, stdout, stderr });
    const failed = (stderr: string): ToolResult => ({
      code: 1,
      stdout: "",
      stderr: `ERROR: (gcloud.storage) ${stderr}`,
    });
    if (words.startsWith("storage objects describe"))
      return object.generation === 0
        ? failed("NOT_FOUND: 404")
        : told(JSON.stringify({ generation: String(object.generation) }));
    if (words.startsWith("storage cat")) return told(object.text);
    const match = /^storage cp (\S+) (gs:\S+\.json) --if-generation-match=(\d+)/.exec(words);
    if (match !== null) {
      if (match[3] !== String(object.generation)) return failed("HTTPError 412: a pre-condition did not hold");
      object.text = files.get(match[1] ?? "") ?? assert.fail(`there is no file ${match[1]}`);
      object.generation += 1;
      return told("", `Created: ${match[2]}#${object.generation}\n`);
    }
    if (words.startsWith("functions deploy"))
      return told(JSON.stringify({ serviceConfig: { uri: `https://${args[2]}.run.app` } }));
    return told(words.includes(" list") || words.includes(" ls") ? "[]" : "{}");
  }

  const tools: Tools = {
    async run({ args }) {
      calls += 1;
      await clock.sleep(args[0] === "functions" && args[1] === "deploy" ? 120_000 : 2_000);
      return answer(args);
    },
  };
  // The plan is the real one; what is there is the world in memory, and not what the lists above say.
  const planner: Planner = {
    ...deployPlanner(wanted, { prune: false, refresh: false }),
    plan: (state) => plan(wanted, { ...look(world, wanted), state }, { prune: false }),
  };

  async function play(): Promise<{
    result: DeployResult;
    told: readonly (DeployEvent & { at: number })[];
    calls: number;
  }> {
    const before = calls;
    const told: (DeployEvent & { at: number })[] = [];
    const options: DeployOptions = {
      planner,
      caller: {
        tools,
        clock,
        random: seededRandom(1),
        values: new Map([["archive:a1", "/tmp/source.zip"]]),
        async file(name, text) {
          const path = `/files/${files.size}-${name}`;
          files.set(path, text);
          return path;
        },
      },
      deployer: { holder: "ada@laptop", token: "token" },
      programs: 12,
      wait: false,
      isDead: async () => false,
      dryRun: false,
      confirm: async () => true,
      tell(event) {
        told.push({ ...event, at: clock.now() });
        if (event.type === "done") perform(world, wanted, event.step, { recorded: false });
      },
      signal: new AbortController().signal,
    };
    const result = await clock.runUntil(deploy(options), 6 * 60 * MINUTE_MS);
    return { result, told, calls: calls - before };
  }
  return { play, world };
}

function printed(made: Plan): string {
  const lines: string[] = [];
  printDeployPlan(
    {
      home: "/",
      project: "/",
      json: false,
      paint: (_, text) => text,
      columns: undefined,
      signal: new AbortController().signal,
      print: (line = "") => void lines.push(line),
      value: () => undefined,
      warn: () => undefined,
    },
    made,
  );
  return lines.join("\n");
}

test("200 assets: a first deployment keeps the quotas and takes as long as it says; the next one makes at most 15 calls", async () => {
  const { play, world } = stage();
  const { result, told } = await play();
  assert.equal(result.outcome, "done");
  assert.equal(
    [...world.found.values()].filter(({ kind }) => kind === "function").length,
    wanted.manifest.functions.length,
  );

  const starts = new Map<ResourceKind, number[]>();
  const atOnce = new Map<ResourceKind, number>();
  for (const event of told) {
    if (event.type !== "started" && event.type !== "done") continue;
    const { kind } = event.step;
    const now = (atOnce.get(kind) ?? 0) + (event.type === "started" ? 1 : -1);
    atOnce.set(kind, now);
    assert.ok(now <= LIMITS[kind].parallel && (kind !== "function" || now <= BUILDS), `${now} ${kind} at once`);
    if (event.type === "started") starts.set(kind, [...(starts.get(kind) ?? []), event.at]);
  }
  for (const [kind, times] of starts) {
    const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + MINUTE_MS).length));
    assert.ok(
      most <= LIMITS[kind].perMinute && (kind !== "function" || most <= FUNCTION_WRITES),
      `${most} ${kind} a minute`,
    );
  }

  const begun = told.find(({ type }) => type === "begun")?.at ?? NaN;
  const ended = Math.max(...told.flatMap((event) => (event.type === "done" ? [event.at] : [])));
  const took = (ended - begun) / 1_000;
  const { seconds } = result.plan;
  assert.ok(Math.abs(took - seconds) <= 0.1 * took, `said ${seconds} s, and took ${took} s`);
  assert.match(printed(result.plan), /^\d+ to create, 0 unchanged; about (?:\d+ h )?\d+ min/m);

  const again = await play();
  assert.equal(again.result.outcome, "unchanged");
  assert.ok(again.calls <= 15, `${again.calls} calls`);
});
