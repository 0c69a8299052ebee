/** Whether a write that was refused had in truth taken effect before. */
import { PermanentError } from "../core/errors.ts";
import { type Found, statObject, type StorageClient } from "./storage-client.ts";
import { type Failure, noBucket, type Purpose } from "./storage-errors.ts";

/** A write under way: what its requests share. */
export interface Writing {
  readonly client: StorageClient;
  readonly purpose: Purpose;
  readonly name: string;
  readonly token: string;
  readonly match: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What a 404 or a 412 means for a write: that it took effect before, or that its precondition does not hold. */
export async function settle(writing: Writing, { status, text }: Failure): Promise<Found | undefined> {
  const { client, purpose, name, token, match } = writing;
  if (status === 404 && (match === undefined || match === "0" || /bucket does not exist/i.test(text))) {
    throw noBucket(purpose.bucket, purpose.verb);
  }
  if (match === undefined || (status !== 404 && status !== 412)) return undefined;
  const there = await statObject(client, purpose.bucket, name);
  if (there?.token === token) return there;
  const expected = match === "0" ? "no object" : `generation ${match}`;
  const found = there === undefined ? "there is none" : `generation ${there.generation} is there`;
  throw new PermanentError(
    `${purpose.uri} was to be written over ${expected}, but ${found}; look again and decide anew`,
    { code: "precondition-failed" },
  );
}
