/** What the event store keeps beside its documents, such as long lists of inputs in a bucket, and no document needs any more. */
import { ref } from "../core/documents.ts";
import { saveCursor } from "./save-cursor.ts";
import type { Services } from "./services.ts";

/** How many objects one sweep looks at: each of them may cost some queries. */
const LIMIT = 200;
/** All of them are looked at once in so long. */
const ROUND_MS = 86_400_000;

/** Deletes of a bounded slice what is not needed, going on where the last slice ended. The result is how many objects went. */
export async function sweepStore({ events, clock }: Pick<Services, "events" | "clock">): Promise<number> {
  if (events.sweep === undefined) return 0;
  const cursor = ref("cursor", "sweep store");
  const last = await events.get("cursor", cursor.id);
  const now = clock.now();
  if (last?.value === "" && now - last.at < ROUND_MS) return 0;
  const place = last === undefined || last.value === "" ? {} : { startAfter: last.value };
  const { deleted, next = "" } = await events.sweep({ ...place, limit: LIMIT });
  // Dying before this costs a second look at the same slice.
  await saveCursor(events, cursor, { value: next, at: now });
  return deleted;
}
