/** Which events a request has caused, directly or through what followed from it. */
import type { RunDocument } from "../core/documents.ts";
import type { StoredEvent } from "../core/events.ts";
import type { ReadableStore } from "./workbench.ts";

/** What the trail begins with. */
export interface Roots {
  /** Run keys that the request's own runs have. */
  readonly runKeys?: readonly string[];
  readonly messageId?: string;
  readonly object?: { readonly uri: string; readonly generation: string };
}

export interface Trail {
  /** Whether the event belongs to the trail. Events are shown to it in their order. */
  includes(event: StoredEvent): Promise<boolean>;
  /** The runs that were asked for, as they are now; not those that followed from them. */
  runs(): Promise<readonly RunDocument[]>;
  /** Why the request itself was turned away, if it was. */
  readonly refusal: string | undefined;
}

export function trailOf(store: ReadableStore, roots: Roots): Trail {
  const { object, messageId } = roots;
  const runKeys = new Set([
    ...(roots.runKeys ?? []),
    ...(messageId === undefined ? [] : [`message:${messageId}`]),
    ...(object === undefined ? [] : [`${object.uri}#${object.generation}`]),
  ]);
  const known = new Map<string, "root" | "follower" | "other">();
  /** Partitions that a run of ours waits for, with when it began to: the next run there does its work as well. */
  const waiting = new Map<string, number>();
  let refusal: string | undefined;

  const roleOf = async (event: StoredEvent, runId: string): Promise<"root" | "follower" | "other"> => {
    const before = known.get(runId);
    if (before !== undefined) return before;
    if (event.type === "run.coalesced") {
      if (!runKeys.has(event.runKey)) return "other";
      waiting.set(placeOf(event.asset ?? "", event.partition ?? ""), event.at);
      return "follower";
    }
    const run = await store.get("run", runId);
    const role = run === undefined ? "other" : classify(run);
    if (run !== undefined) known.set(runId, role);
    return role;
  };

  const classify = (run: RunDocument): "root" | "follower" | "other" => {
    if (runKeys.has(run.request.runKey)) return "root";
    const waitsSince = run.kind === "asset" ? waiting.get(placeOf(run.name, run.partition)) : undefined;
    if (waitsSince !== undefined && run.createdAt >= waitsSince) return "root";
    const { cause } = run.request;
    const parent =
      cause.kind === "sensor"
        ? cause.tick
        : cause.kind === "dependent" || cause.kind === "job"
          ? cause.run
          : cause.kind === "materialization"
            ? cause.id.replace(/^m-/, "")
            : undefined;
    return parent !== undefined && ["root", "follower"].includes(known.get(parent) ?? "") ? "follower" : "other";
  };

  return {
    async includes(event) {
      if (event.run !== undefined) return (await roleOf(event, event.run)) !== "other";
      const isOurMessage = event.type === "message.refused" && event.messageId === messageId;
      const isOurObject =
        event.type === "object.refused" && event.uri === object?.uri && event.generation === object.generation;
      if (isOurMessage || isOurObject) refusal = event.reason;
      return isOurMessage || isOurObject;
    },
    async runs() {
      const ids = [...known].filter(([, role]) => role === "root").map(([id]) => id);
      const runs = await Promise.all(ids.map((id) => store.get("run", id)));
      return runs.filter((run) => run !== undefined);
    },
    get refusal() {
      return refusal;
    },
  };
}

function placeOf(asset: string, partition: string): string {
  return `${asset}|${partition}`;
}
