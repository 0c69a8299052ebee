/** Publishes a request as anybody would, and follows its run to the end. */
import { systemRandom } from "../local/system-clock.ts";
import type { RunDocument } from "../core/documents.ts";
import type { Cause } from "../core/request.ts";
import type { AssetEntry } from "./catalog.ts";
import { goesOn } from "./elsewhere.ts";
import { endOfHistory, follow, runResult } from "./follow.ts";
import type { Shell } from "./shell.ts";
import type { Workbench } from "./workbench.ts";

export type Requested =
  { readonly kind: "run"; readonly run: RunDocument } | { readonly kind: "refused"; readonly reason: string };

/** `wishes` is the rest of the request. */
export async function requestRun(
  shell: Shell,
  bench: Workbench,
  asset: Pick<AssetEntry, "key" | "topic">,
  wishes: Readonly<Record<string, unknown>>,
): Promise<Requested> {
  const request = { name: asset.key, topic: asset.topic, wishes };
  const { refusal, runs } = await requestAndFollow(shell, bench, request);
  if (refusal !== undefined) return { kind: "refused", reason: refusal };
  const ended = runs.find((run) => run.endedAt !== undefined);
  if (ended === undefined) throw new Error(`the run of ${asset.key} has gone`);
  return { kind: "run", run: ended };
}

export interface Request {
  /** Of what is requested. */
  readonly name: string;
  readonly topic: string;
  readonly wishes: Readonly<Record<string, unknown>>;
  /** Default: one of its own, by hand. */
  readonly as?: { readonly runKey: string; readonly cause: Cause };
  /** The run keys of runs that belong to the one that is asked for, by its own. */
  readonly with?: (runKey: string) => readonly string[];
  /** Whether all of them are over. Default: one has ended. */
  readonly areOver?: (runs: readonly RunDocument[]) => boolean;
}

/** The run key tells the runs among all others. That the request was refused is left to the caller to say. */
export async function requestAndFollow(
  shell: Shell,
  bench: Workbench,
  request: Request,
): Promise<{ readonly refusal: string | undefined; readonly runs: readonly RunDocument[] }> {
  const { name, topic, wishes } = request;
  const from = await endOfHistory(bench.store);
  const { runKey, cause } = request.as ?? { runKey: `manual:${systemRandom().id()}`, cause: { kind: "manual" } };
  const body = { ...wishes, runKey, cause };
  const data = Buffer.from(JSON.stringify(body)).toString("base64");
  const messageId = await bench.publish(topic, { data, attributes: {} });
  const runKeys = [runKey, ...(request.with?.(runKey) ?? [])];
  const follower = follow(shell, bench, from, { runKeys, messageId }, { tellsRefusal: true });
  try {
    await follower.untilEnded(request.areOver);
    // What follows from it, sensors for example, is for whoever runs on: this process, unless dev does the work.
    if (!bench.remote) await follower.untilSettled();
  } catch (error) {
    if (shell.signal.aborted) shell.warn(`${name}: left alone; it goes on ${goesOn(bench)}`);
    throw error;
  }
  return { refusal: follower.refusal(), runs: await follower.runs() };
}

/** What `--json` says of it. */
export function requestResult(requested: Requested): object {
  return requested.kind === "run" ? runResult(requested.run) : { status: "refused", reason: requested.reason };
}
