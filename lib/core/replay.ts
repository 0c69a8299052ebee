/** The same request as an earlier run's, again: as a run of its own. */
import type { RunDocument, SlotDocument } from "./documents.ts";
import type { RequestBody } from "./request.ts";
import { supersededBy } from "./slot.ts";

/** What may be different the second time. */
export interface ReplayWishes {
  readonly force?: boolean;
  readonly rollback?: boolean;
}

export type Replay =
  { readonly kind: "request"; readonly body: RequestBody } | { readonly kind: "refused"; readonly reason: string };

/**
 * `slot` and `order` are of the partition, where one replaces another in its table. `nonce` tells one replay of a run from
 * another.
 */
export function replayOf(
  run: RunDocument,
  nonce: string,
  wishes: ReplayWishes = {},
  place?: { readonly slot: SlotDocument | undefined; readonly order: string },
): Replay {
  const { id, kind, name, status, request } = run;
  const refused = (reason: string): Replay => ({ kind: "refused", reason });
  if (run.endedAt === undefined) return refused(`run ${id} has not ended: it is ${status}; cancel it first`);
  if (kind === "sensor")
    return refused(`run ${id} is a tick of the sensor ${name}: replay the runs that it requested, each by its own id`);
  if (request.multi !== undefined)
    return refused(`run ${id} published what run ${request.multi} had made: replay that one`);
  if (run.range?.token === run.token)
    return refused(`run ${id} is of several partitions of ${name} at once: backfill them again by --all --single-run`);
  const { force = request.force, rollback = request.rollback } = wishes;
  const newer = place === undefined ? undefined : supersededBy(place.slot, place.order);
  if (newer !== undefined && rollback !== true)
    return refused(`the table of ${name} shows ${newer}, which is newer: --rollback goes back on purpose`);
  const { partition, config, allowMissing, unseal, tags } = request;
  return {
    kind: "request",
    body: {
      ...(partition === "" ? {} : { partition }),
      ...(config === undefined ? {} : { config }),
      ...(allowMissing === undefined ? {} : { allowMissing }),
      ...(unseal === undefined ? {} : { unseal }),
      ...(tags === undefined ? {} : { tags }),
      ...(force === undefined ? {} : { force }),
      ...(rollback === undefined ? {} : { rollback }),
      runKey: `replay:${id}:${nonce}`,
      cause: { kind: "replay", run: id },
    },
  };
}
