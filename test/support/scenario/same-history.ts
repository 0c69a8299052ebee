/** A history without what no two runs of the same acts have in common: ids, times, generations, and the order of what was done at once. */
import type { StoredEvent } from "../../../lib/core/events.ts";

/** Events that belong to one run come in their order, runs by what they are of. Each event is a line of JSON. */
export function normalized(history: readonly StoredEvent[], of: readonly StoredEvent[] = history): readonly string[] {
  const names = namesIn(history);
  const replace = (text: string): string => {
    let replaced = text;
    for (const [id, name] of names) replaced = replaced.replaceAll(id, name);
    return replaced.replaceAll(/message:[\w-]+/g, "message:…");
  };
  const byRun = new Map<string, string[]>();
  for (const { v, id, at, position, ...event } of of) {
    const run = event.run === undefined ? "" : replace(event.run);
    const line = replace(JSON.stringify(sorted(event)));
    byRun.set(run, [...(byRun.get(run) ?? []), line]);
  }
  byRun.get("")?.sort();
  return [...byRun.keys()].sort().flatMap((run) => byRun.get(run) ?? []);
}

/** What is called otherwise each time, by what it is: the longest first, so that none is taken for a part of another. */
function namesIn(history: readonly StoredEvent[]): readonly (readonly [string, string])[] {
  const names = new Map<string, string>();
  const counts = new Map<string, number>();
  const name = (id: string, what: string): void => {
    if (names.has(id)) return;
    const count = (counts.get(what) ?? 0) + 1;
    counts.set(what, count);
    names.set(id, `<${what} ${count}>`);
  };
  for (const event of history) {
    if (event.type === "run.started" && event.cause.kind === "object")
      name(event.cause.generation, `generation of ${event.cause.uri}`);
    if (event.type === "object.refused" && event.generation !== undefined)
      name(event.generation, `generation of ${event.uri}`);
    const subject = event.asset ?? ("name" in event ? event.name : "");
    if (event.run !== undefined) name(event.run, `run of ${subject} ${event.partition ?? ""}`);
  }
  return [...names].sort(([a], [b]) => b.length - a.length);
}

const NEVER_THE_SAME: readonly string[] = ["wakeAt", "fingerprint", "stack", "messageId"];

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !NEVER_THE_SAME.includes(name));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, inner]) => [name, sorted(inner)]));
}
