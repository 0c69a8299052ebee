/** The rows of `rows.ts`. */
import { z } from "zod";

export const scoreSchema = z.object({
  id: z.int(),
  address: z.string(),
  tier: z.enum(["low", "high"]),
  score: z.number().nullable(),
  day: z.iso.date(),
  at: z.iso.datetime(),
  active: z.boolean(),
});
export type Score = z.output<typeof scoreSchema>;

/** What makes the row of a number: every one is a new object. */
export function scoreOf(): (id: number) => Score {
  const two = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, "0"));
  const days = Array.from({ length: 366 }, (_, n) => new Date(Date.UTC(2024, 0, 1 + n)).toISOString().slice(0, 10));
  return (id) => {
    const second = id % 86_400;
    const day = days[Math.floor(id / 86_400) % 366] ?? "";
    return {
      id,
      address: `0x${(Math.imul(id, 2_654_435_761) >>> 0).toString(16)}`,
      tier: id % 3 === 0 ? "low" : "high",
      score: id % 11 === 0 ? null : (id % 1000) / 7,
      day,
      at: `${day}T${two[Math.floor(second / 3600)]}:${two[Math.floor(second / 60) % 60]}:${two[second % 60]}Z`,
      active: id % 7 === 0,
    };
  };
}
