/** What is said when a deployment is over. */
import type { Caller } from "../../infra/deploy/calling.ts";
import { commandLines } from "../../infra/deploy/dry-run.ts";
import { shellLine } from "../../infra/gcloud.ts";
import type { DeployResult } from "../../infra/deploy.ts";
import type { Environment } from "../../infra/environments.ts";
import type { Manifest } from "../../infra/manifest.ts";
import type { ToolCall } from "../../infra/plan/step.ts";
import { topicOf } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import type { Definitions } from "../core/definitions.ts";
import type { ExitCode } from "./command.ts";
import { planValue } from "./deploy-plan.ts";
import { plain } from "./shell.ts";
import type { Shell } from "./shell.ts";
import { countText, durationText } from "./tables.ts";

/** What running it took. */
export interface Effort {
  readonly ms: number;
  readonly calls: number;
}

export function printOutcome(shell: Shell, verb: string, result: DeployResult, { ms, calls }: Effort): void {
  const effort = `${durationText(ms)}, ${countText(calls, "call")}`;
  const { plan } = result;
  if (!("steps" in result)) {
    if (result.outcome === "declined") shell.print("nothing was changed");
    if (result.outcome === "unchanged") shell.print(`${plan.environment} is as wanted (${effort})`);
    return;
  }
  const { done, failed, blocked, left } = result.steps;
  const counts = [
    `${done.length} of ${plan.steps.length} done`,
    ...(failed.length === 0 ? [] : [`${failed.length} failed`]),
    ...(blocked.length === 0 ? [] : [`${blocked.length} left out, because they need those`]),
    ...(left.length === 0 ? [] : [`${left.length} not begun`]),
  ];
  if (result.outcome === "done") shell.print(`${plan.environment} is ${verb}: ${counts.join(", ")} (${effort})`);
  else shell.warn(`${plan.environment} is not all ${verb}: ${counts.join(", ")} (${effort})`, "red");
  for (const { step, fault, command, tries } of failed) {
    shell.warn(`${step.id}: ${plain(fault.reason)}${tries > 1 ? ` (tried ${tries} times)` : ""}`, "red");
    shell.warn(`  by hand: ${plain(command)}`);
  }
  if (result.unwritten !== undefined)
    shell.warn(
      `what was done could not be written down (${plain(result.unwritten)}): the next deployment finds it out`,
    );
  if (result.outcome !== "done") shell.warn("running it again continues with what is left");
}

/** What would be done, as commands; `before` are those for the state of a first deployment. */
export async function printCommands(
  shell: Shell,
  result: DeployResult,
  effort: Effort,
  {
    caller,
    folder,
    before,
  }: { readonly caller: Caller; readonly folder: string; readonly before: readonly ToolCall[] },
): Promise<void> {
  const commands = await commandLines(caller, result.plan, before);
  for (const line of commands) shell.print(line);
  shell.print(`# ${filesNote(folder)}`);
  shell.value({ ...resultValue(result, effort), commands, files: folder });
}

export function isAsWanted({ outcome }: DeployResult): boolean {
  return outcome === "done" || outcome === "unchanged";
}

/** Throws where it was interrupted: that is what counts, even if a tool was ended by the same key just as it began. */
export function exitCodeOf({ signal }: Shell, result: DeployResult): ExitCode {
  if (isAsWanted(result)) return 0;
  signal.throwIfAborted();
  return 1;
}

/** Where the files are that commands name; they stay until the next deployment of the same project. */
export function filesNote(folder: string): string {
  return `the files of these commands are in ${folder}, until the next deployment from here`;
}

export function resultValue(result: DeployResult, { ms, calls }: Effort): object {
  const about = { outcome: result.outcome, seconds: Math.round(ms / 1_000), calls, plan: planValue(result.plan) };
  if (!("steps" in result)) return about;
  const { done, failed, blocked, left } = result.steps;
  return {
    ...about,
    done: done.map(({ id }) => id),
    failed: failed.map(({ step, fault, command, tries }) => ({ id: step.id, reason: fault.reason, command, tries })),
    blocked: blocked.map(({ id }) => id),
    left: left.map(({ id }) => id),
    ...(result.unwritten === undefined ? {} : { unwritten: result.unwritten }),
  };
}

export interface TryIt {
  readonly asset: string;
  readonly publish: string;
  readonly query?: string;
}

/** How to ask for one asset, and to look at its table. */
export function tryIt({ project, namePrefix }: Environment, asset: AssetDefinition): TryIt {
  const { key, target } = asset;
  const topic = `${namePrefix}${topicOf(key)}`;
  const publish = ["pubsub", "topics", "publish", topic, `--project=${project}`, "--message={}"];
  if (target === undefined) return { asset: key, publish: shellLine({ tool: "gcloud", args: publish }) };
  const { table } = target;
  const sql = `SELECT * FROM \`${table.project ?? project}.${table.dataset}.${table.table}\` LIMIT 10`;
  const query = ["query", `--project_id=${project}`, "--use_legacy_sql=false", sql];
  return {
    asset: key,
    publish: shellLine({ tool: "gcloud", args: publish }),
    query: shellLine({ tool: "bq", args: query }),
  };
}

/** Those that have a topic of their own in this environment. */
export function askable({ topics, environment }: Manifest, { assets }: Definitions): readonly AssetDefinition[] {
  const names = new Set(topics.map(({ name }) => name));
  return [...assets.values()].filter(({ key }) => names.has(`${environment.namePrefix}${topicOf(key)}`));
}

/** So many topics are named. */
const TOPICS = 10;

export function printTryIt(shell: Shell, environment: Environment, assets: readonly AssetDefinition[]): void {
  const [first] = assets;
  if (first === undefined) return;
  const { publish, query } = tryIt(environment, first);
  const topics = assets.map(({ key }) => `${environment.namePrefix}${topicOf(key)}`);
  const more = topics.length > TOPICS ? ` and ${topics.length - TOPICS} more` : "";
  shell.print();
  shell.print(`a message to its topic materializes an asset: ${topics.slice(0, TOPICS).join(", ")}${more}`);
  shell.print(`  ${publish}`);
  if (query !== undefined) shell.print(`  ${query}`);
}
