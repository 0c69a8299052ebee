/** How far the rows of a run have come: the parts that are whole, what was taken, and what the code has saved with it. */
import { z } from "zod";
import type { JsonValue } from "../core/checkpoint.ts";
import { PermanentError, RetryableError } from "../core/errors.ts";
import type { Execution } from "./execution.ts";
import { ClaimLost } from "./interruptions.ts";
import { isIntact, metadataSchema, partSchema, PROGRESS, readStaged, writeStaged } from "./staged-rows.ts";

const sampleSchema = z.strictObject({ row: z.int(), reason: z.string(), value: z.string() });
const progressSchema = z.strictObject({
  v: z.literal(1),
  run: z.string(),
  /** Of the claim under which it was written. */
  token: z.int(),
  /** By the asset's key: all parts, whichever attempt has written them, and what has been taken until then. */
  outputs: z.record(
    z.string(),
    z.strictObject({
      parts: z.array(partSchema).readonly(),
      taken: z.strictObject({ rows: z.int(), discarded: z.int(), samples: z.array(sampleSchema).readonly() }),
    }),
  ),
  metadata: metadataSchema,
  value: z.custom<JsonValue>((value) => value !== undefined),
});

export type Progress = z.output<typeof progressSchema>;
export type OutputProgress = Progress["outputs"][string];

export interface ProgressFile {
  /** What an earlier attempt of this run has left, its parts being as they were. */
  readonly found: Progress | undefined;
  /**
   * From here on, another attempt goes on after these parts. Throws `ClaimLost` once a later attempt has saved, or has put
   * everything away.
   */
  save(progress: Pick<Progress, "outputs" | "metadata" | "value">): Promise<void>;
}

/** Writes that others get in between of: a bound against a loop. */
const TRIES = 10;

export async function progressFile(execution: Execution, folder: string): Promise<ProgressFile> {
  const { identity, run, token } = execution;
  const name = `${folder}/${PROGRESS}`;
  const old = run.attempt === 1 ? undefined : await readStaged(execution, name);
  let generation: string | null = old?.generation ?? null;
  const { data } = progressSchema.safeParse(old?.content);
  const parts = Object.values(data?.outputs ?? {}).flatMap((output) => output.parts);
  const usable = data !== undefined && data.run === identity.id && (await isIntact(execution, parts));

  async function save(progress: Progress): Promise<void> {
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      try {
        ({ generation } = await writeStaged(execution, name, progress, generation));
        execution.progressed?.();
        return;
      } catch (error) {
        if (!(error instanceof PermanentError) || error.code !== "precondition-failed") throw error;
      }
      const other = await readStaged(execution, name);
      // What this attempt has written, only a later one takes away.
      if (other === undefined && generation !== null) throw new ClaimLost(identity.id);
      if ((progressSchema.safeParse(other?.content).data?.token ?? 0) > token) throw new ClaimLost(identity.id);
      generation = other?.generation ?? null;
    }
    throw new RetryableError(`${name} is being replaced by somebody else all the time`);
  }

  return {
    found: usable ? data : undefined,
    save: (progress) => save({ v: 1, run: identity.id, token, ...progress }),
  };
}
