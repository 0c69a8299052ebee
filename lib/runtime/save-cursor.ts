import { put } from "../core/documents.ts";
import type { Ref } from "../core/documents.ts";
import type { Services } from "./services.ts";

/** Writes down how far a sweep has come, whatever was written there before. */
export async function saveCursor(
  events: Services["events"],
  cursor: Ref<"cursor">,
  place: { readonly value: string; readonly at: number },
): Promise<void> {
  await events.transact({ cursor }, () => ({ result: undefined, writes: [put(cursor, place)], events: [] }));
}
