/** Pausing an asset: what asks for it by itself waits, what a person asks for is refused unless it is forced. */
import type { Decision, DueDocument, PauseDocument, Ref } from "./documents.ts";
import { decided, put, ref } from "./documents.ts";
import { EVENT_VERSION } from "./events.ts";
import { shortHash } from "./hash.ts";
import type { RunRequest } from "./request.ts";
import { DUE_SHARDS } from "./run-identity.ts";

export type PauseAnswer =
  | { readonly kind: "go" }
  /** Kept, and made again when the pause is over. */
  | { readonly kind: "wait"; readonly reason: string }
  | { readonly kind: "refuse"; readonly reason: string }
  | { readonly kind: "skip"; readonly reason: string };

/** What a pause means for a request whose run has not begun. */
export function pauseAnswer(pause: PauseDocument, { cause, force }: Pick<RunRequest, "cause" | "force">): PauseAnswer {
  const reason = pausedText(pause);
  switch (cause.kind) {
    case "manual":
    case "replay":
      if (force === true) return { kind: "go" };
      return {
        kind: "refuse",
        reason: `${reason}: \`sluice resume ${pause.asset}\` ends that, --force runs it all the same`,
      };
    // Whoever depends on a source does not wait for it: what was seen of it last counts.
    case "dependent":
      return { kind: "skip", reason };
    default:
      return { kind: "wait", reason };
  }
}

/** Whether a pause that begins meanwhile keeps the request, and does not refuse or skip it. */
export function outlastsPause(request: RunRequest): boolean {
  return pauseAnswer({ asset: "", at: 0 }, request).kind === "wait";
}

export function pausedText({ asset, reason }: PauseDocument): string {
  return `${asset} is paused${reason === undefined ? "" : ` (${reason})`}`;
}

export interface PauseRefs {
  readonly [name: string]: Ref;
  readonly pause: Ref<"pause">;
  readonly due: Ref<"due">;
}

export interface PauseState {
  readonly pause: PauseDocument | undefined;
  readonly due: DueDocument | undefined;
}

/** `due`: what is left to do after the end of a pause. */
export function pauseRefs(asset: string): PauseRefs {
  return { pause: ref("pause", asset), due: ref("due", resumeId(asset)) };
}

/** Pauses an asset; `false` when it is paused already, and its reason stays, or has another name now. `id` makes the event's. */
export function pause(
  { pause: before }: PauseState,
  input: { readonly asset: string; readonly reason?: string | undefined; readonly now: number; readonly id: string },
): Decision<boolean> {
  if (before !== undefined) return decided(false);
  const { asset, reason, now, id } = input;
  const why = reason === undefined ? {} : { reason };
  const { pause: to, due } = pauseRefs(asset);
  return {
    result: true,
    // What is still going out from an earlier pause would only wait again.
    writes: [put(to, { asset, at: now, ...why }), { delete: due }],
    events: [{ v: EVENT_VERSION, id: `paused-${id}`, at: now, asset, type: "asset.paused", ...why }],
  };
}

/**
 * Ends a pause; `false` when there is none. What waits goes out after this: the deadline says so, to whoever comes first.
 */
export function resume(
  { pause: before }: PauseState,
  input: { readonly asset: string; readonly now: number; readonly id: string },
): Decision<boolean> {
  if (before === undefined || before.movedTo !== undefined) return decided(false);
  const { asset, now, id } = input;
  const { pause: from, due } = pauseRefs(asset);
  return {
    result: true,
    writes: [{ delete: from }, put(due, resumeDue(asset, now))],
    events: [{ v: EVENT_VERSION, id: `resumed-${id}`, at: now, asset, type: "asset.resumed" }],
  };
}

function resumeDue(
  asset: string,
  dueAt: number,
  left: { readonly after?: string; readonly sent?: true } = {},
): DueDocument {
  const runId = resumeId(asset);
  return { shard: parseInt(runId.slice(0, 2), 16) % DUE_SHARDS, dueAt, runId, resume: { asset, ...left } };
}

/** When it is looked whether all that went out has arrived. */
const AGAIN_MS = 300_000;

/** One page was sent, with `some` requests or none; `next` is the one after it. Who is not the first to say so changes nothing. */
export function sentPage(
  { due }: Pick<PauseState, "due">,
  input: {
    readonly left: NonNullable<DueDocument["resume"]>;
    readonly next: string | undefined;
    readonly some: boolean;
    readonly now: number;
  },
): Decision<void> {
  const { left, next, now } = input;
  const { asset } = left;
  if (due?.resume === undefined || due.resume.after !== left.after) return decided(undefined);
  const to = pauseRefs(asset).due;
  const sent = input.some || left.sent === true ? { sent: true as const } : {};
  const write =
    next !== undefined
      ? put(to, resumeDue(asset, now, { after: next, ...sent }))
      : sent.sent === true
        ? put(to, resumeDue(asset, now + AGAIN_MS))
        : { delete: to };
  return { result: undefined, writes: [write], events: [] };
}

/** When it is tried again to send what cannot be sent yet. */
const LATER_MS = 30_000;

/** Nothing can be sent here and now: it stays due, but not at every moment until then. */
export function notYet(
  { due }: Pick<PauseState, "due">,
  { left, now }: { readonly left: NonNullable<DueDocument["resume"]>; readonly now: number },
): Decision<void> {
  if (due?.resume === undefined || due.resume.after !== left.after) return decided(undefined);
  return { result: undefined, writes: [put(pauseRefs(left.asset).due, { ...due, dueAt: now + LATER_MS })], events: [] };
}

function resumeId(asset: string): string {
  return shortHash(["resume", asset]);
}
