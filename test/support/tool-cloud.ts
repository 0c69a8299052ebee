/**
 * A very small cloud behind the tools' port, for tests of the runner: one bucket's objects with their generations, and things that
 * are made, listed and taken away. Real commands and their parsing are tested with the real gcloud elsewhere.
 */
import assert from "node:assert/strict";
import type { ToolResult, ToolRun, Tools } from "../../infra/gcloud.ts";
import type { Planner } from "../../infra/deploy.ts";
import { emptyState } from "../../infra/plan/state.ts";
import type { State, StateCalls } from "../../infra/plan/state.ts";
import type { Plan, Step, ToolCall } from "../../infra/plan/step.ts";
import type { Manifest } from "../../infra/manifest.ts";
import type { VirtualClock } from "./virtual-clock.ts";

const URL = "gs://bucket/state.json";

export interface ToolCloud {
  /** What a process sees of it. */
  tools(): Tools;
  /** Files as a deployer writes them, by their paths; they cost no time. */
  readonly file: (name: string, text: string) => Promise<string>;
  /** Resolves when a process was killed by trouble. */
  readonly death: () => Promise<void>;
  /** Things by their names. */
  readonly things: Map<string, string>;
  readonly object: { text: string; generation: number };
  /** Of each command: what it answers instead, before or after it took effect. */
  trouble: (words: string, count: number) => Trouble | undefined;
  /** Every command, in order. */
  readonly calls: string[];
  /** No process that was started before has any effect, or an answer, any more. */
  kill(): void;
}

export type Trouble =
  { readonly when: "before" | "after"; readonly stderr: string } | { readonly when: "dead"; readonly effect: boolean };

const OK: ToolResult = { code: 0, stdout: "", stderr: "" };
const failed = (stderr: string): ToolResult => ({ code: 1, stdout: "", stderr: `ERROR: (gcloud.x) ${stderr}\n` });

export function toolCloud(clock: VirtualClock, takesMs = 1_000): ToolCloud {
  const things = new Map<string, string>();
  const object = { text: "", generation: 0 };
  const calls: string[] = [];
  const files = new Map<string, string>();
  let age = 0;
  let died = Promise.withResolvers<void>();
  const cloud: ToolCloud = {
    file(name, text) {
      const path = `/files/${files.size}/${name}`;
      files.set(path, text);
      return Promise.resolve(path);
    },
    death: () => died.promise,
    things,
    object,
    calls,
    trouble: () => undefined,
    kill() {
      age += 1;
      died.resolve();
      died = Promise.withResolvers();
    },
    tools() {
      const born = age;
      return {
        async run(call) {
          const words = `${call.tool} ${call.args.join(" ")}`;
          calls.push(words);
          const trouble = cloud.trouble(words, calls.length);
          await clock.sleep(takesMs);
          if (trouble?.when === "dead") {
            if (trouble.effect) answer(call);
            cloud.kill();
          }
          if (born !== age) return await new Promise(() => undefined);
          if (trouble?.when === "before") return failed(trouble.stderr);
          const result = answer(call);
          return trouble?.when === "after" ? failed(trouble.stderr) : result;
        },
      };
    },
  };

  function answer({ args }: ToolRun): ToolResult {
    const [verb = "", name = "", value = ""] = args;
    switch (verb) {
      case "describe":
        return object.generation === 0
          ? failed("NOT_FOUND: 404")
          : { ...OK, stdout: JSON.stringify({ generation: String(object.generation) }) };
      case "read":
        return name === String(object.generation) ? { ...OK, stdout: object.text } : failed("NOT_FOUND: 404");
      case "write":
        if (name !== String(object.generation))
          return failed("HTTPError 412: At least one of the pre-conditions you specified did not hold.");
        object.text = files.get(value) ?? assert.fail(`no file ${value}`);
        object.generation += 1;
        return { ...OK, stderr: `Created: ${URL}#${object.generation}\n` };
      case "make":
        things.set(name, value);
        return OK;
      case "drop":
        return things.delete(name) ? OK : failed("NOT_FOUND: it is not there");
      case "list":
        return { ...OK, stdout: JSON.stringify(Object.fromEntries(things)) };
      default:
        return assert.fail(`the cloud knows no ${verb}`);
    }
  }
  return cloud;
}

const gcloud = (args: readonly string[], more: Partial<ToolCall> = {}): ToolCall => ({ tool: "gcloud", args, ...more });

const PLACE = { name: "prod", project: "own-project", region: "europe-west1", location: "EU", namePrefix: "" };
// A state begins with the environment alone, whatever else the manifest has.
export const BEGIN: State = emptyState({
  environment: { ...PLACE, triggers: "push", datasetSuffix: "" },
} as unknown as Manifest);

export interface Thing {
  readonly value: string;
  readonly needs?: readonly string[];
}

/** Things as they are wanted; those that are there besides go away. `after` are calls that follow the one that makes a thing. */
export function thingsPlanner(wanted: Readonly<Record<string, Thing>>, after: readonly ToolCall[] = []): Planner {
  const stateCalls: StateCalls = {
    url: URL,
    describe: gcloud(["describe"]),
    read: (generation) => gcloud(["read", generation]),
    write: (state, generation) =>
      gcloud(["write", generation, "{file:state.json}"], { files: { "state.json": JSON.stringify(state) } }),
    bootstrap: [],
  };
  return {
    stateCalls,
    begin: BEGIN,
    limitOf: () => ({ parallel: 10, perMinute: 60 }),
    observations: () => [{ id: "list", call: gcloud(["list"]) }],
    plan(state, outputs) {
      // The list above prints just that.
      const there = JSON.parse(outputs.get("list") ?? "{}") as Readonly<Record<string, string>>;
      const steps = Object.entries(wanted).flatMap(([name, thing]): Step[] => {
        const isRecorded = state?.resources[`topic ${name}`]?.hash === thing.value;
        if (there[name] === thing.value && isRecorded) return [];
        return [stepOf(name, there[name] === undefined ? "create" : "update", thing, after)];
      });
      const ids = new Set(steps.map(({ id }) => id));
      const gone = Object.keys(there).filter((name) => wanted[name] === undefined);
      const forgotten = Object.keys(state?.resources ?? {}).filter(
        (id) => !gone.includes(id.slice(6)) && wanted[id.slice(6)] === undefined,
      );
      const plan: Plan = {
        environment: "prod",
        steps: [
          ...steps.map((step) => ({ ...step, needs: step.needs.filter((id) => ids.has(id)) })),
          ...gone.map((name) => stepOf(name, "delete", { value: "" }, [])),
        ],
        unchanged: [],
        withheld: [],
        foreign: [],
        records: Object.fromEntries(forgotten.map((id) => [id, null])),
        notes: [],
        values: new Map(),
        seconds: steps.length,
      };
      return plan;
    },
  };
}

function stepOf(name: string, action: Step["action"], { value, needs = [] }: Thing, after: readonly ToolCall[]): Step {
  const id = `topic ${name}`;
  return {
    id,
    kind: "topic",
    name,
    action,
    reason: "it is so",
    needs: needs.map((other) => `topic ${other}`),
    calls:
      action === "delete" ? [gcloud(["drop", name], { ifMissing: [] })] : [gcloud(["make", name, value]), ...after],
    seconds: 1,
    records: { [id]: action === "delete" ? null : { hash: value } },
  };
}
