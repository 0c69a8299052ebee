/**
 * What is said to a backfill's driver, on the topic of its asset: `{ "backfill": { "action": "start", "id": …, "from": …,
 * "to": … } }`. Each may come twice, late, or in another order.
 */
import { z } from "zod";
import { MAX_CONCURRENT } from "./backfill.ts";

const id = z.string().regex(/^[0-9a-f]{16}$/, "a backfill's id has 16 hexadecimal digits");
const key = z.string().max(200);

export const backfillMessageSchema = z.strictObject({
  backfill: z.discriminatedUnion("action", [
    z.strictObject({
      action: z.literal("start"),
      id,
      /** Partition keys, both inclusive. */
      from: key,
      to: key,
      which: z.enum(["missing", "failed", "all"]).default("missing"),
      /** Run although nothing changed. */
      force: z.literal(true).exactOptional(),
      /** Left out: one at a time where all partitions share one table, else 4. */
      maxConcurrent: z.int().min(1).max(MAX_CONCURRENT).exactOptional(),
      perDay: z.int().min(1).exactOptional(),
      /** The whole range in one run. */
      singleRun: z.literal(true).exactOptional(),
    }),
    z.strictObject({ action: z.enum(["wake", "cancel", "resume"]), id }),
  ]),
});

export type BackfillMessage = z.infer<typeof backfillMessageSchema>["backfill"];
export type BackfillStart = Extract<BackfillMessage, { readonly action: "start" }>;

/** What is published to wake the driver. */
export function wakeMessage(backfill: string): z.infer<typeof backfillMessageSchema> {
  return { backfill: { action: "wake", id: backfill } };
}
