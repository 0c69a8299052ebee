/**
 * Sees to it that nothing is recorded which somebody wants to be told of without a deadline that tells them: both are one write.
 * The deadline of an asset's freshness is set in the same way, by the commit that may have restored it.
 */
import type { AlertOn } from "../core/alert.ts";
import { noticeOf } from "../core/alert.ts";
import { putNotice } from "../core/alert-group.ts";
import type { Definitions } from "../core/definitions.ts";
import type { Decision, Write } from "../core/documents.ts";
import type { SluiceEvent } from "../core/events.ts";
import { freshnessId, putFreshnessDue } from "../core/freshness.ts";
import type { Clock } from "../ports/clock.ts";
import type { EventStore } from "../ports/event-store.ts";

export interface NoticedOptions {
  readonly clock: Clock;
  definitions(): Definitions;
  /** What alerts of other functions are on; those of the definitions are known. */
  readonly notices: readonly AlertOn[];
}

/** The same store. What nobody asks to be told of costs no call and no write more. */
export function noticedEvents(store: EventStore, { clock, definitions, notices }: NoticedOptions): EventStore {
  const noticesIn = (events: readonly SluiceEvent[]): Write[] => {
    const writes: Write[] = [];
    for (const event of events) {
      const found = noticeOf(event);
      if (found !== undefined && isWanted(found.on)) writes.push(putNotice(found.notice, clock.now()));
    }
    return writes;
  };
  const isWanted = (on: AlertOn): boolean =>
    notices.includes(on) || [...definitions().alerts.values()].some((alert) => alert.on.includes(on));
  const withDeadlines = <T>(decision: Decision<T>): Decision<T> => {
    const added = noticesIn(decision.events);
    for (const write of decision.writes) {
      const deadline = freshnessAfter(write);
      if (deadline !== undefined) added.push(deadline);
    }
    return added.length === 0 ? decision : { ...decision, writes: [...decision.writes, ...added] };
  };
  /** The asset's newest data is another: whoever was late may be no longer, and the next deadline is a later one. */
  const freshnessAfter = (write: Write): Write | undefined => {
    if (!("put" in write) || write.put.kind !== "asset") return undefined;
    const asset = definitions().assets.get(write.put.id);
    return asset?.freshness === undefined ? undefined : putFreshnessDue(freshnessId(asset), clock.now());
  };
  return {
    ...store,
    transact: (refs, decide) => store.transact(refs, (read) => withDeadlines(decide(read))),
    async append(events) {
      const writes = noticesIn(events);
      if (writes.length === 0) return await store.append(events);
      await store.transact({}, () => ({ result: undefined, writes, events }));
    },
  };
}
