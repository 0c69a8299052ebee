/** The object store on the fake Cloud Storage, for tests. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { PermanentError, RetryableError } from "../../lib/core/errors.ts";
import { gcsObjectStore, type GcsObjectStoreOptions } from "../../lib/gcp/storage-object-store.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import type { ObjectStore } from "../../lib/ports/object-store.ts";
import { type FakeGcs, startFakeGcs } from "../fakes/fake-gcs.ts";
import type { Notification } from "../fakes/gcs/notifications.ts";

export const BUCKET = "test-bucket";

/** The smallest block of a resumable upload. */
export const BLOCK = 256 * 1024;

export interface GcsSubject {
  readonly store: ObjectStore;
  readonly bucket: string;
  readonly fake: FakeGcs;
  /** One entry for every object that ever came to be: `name#generation`. */
  readonly finalized: readonly string[];
}

/** Pauses between tries are short, and a block of an upload is 256 KiB. */
export function gcsOn(apiEndpoint: string, settings: Partial<GcsObjectStoreOptions> = {}): ObjectStore {
  return gcsObjectStore({
    clock: systemClock(),
    random: systemRandom(),
    projectId: "test-project",
    apiEndpoint,
    minPauseMs: 1,
    maxPauseMs: 5,
    blockBytes: BLOCK,
    ...settings,
  });
}

/** With a fake of its own. */
export async function openGcs(t: TestContext, settings: Partial<GcsObjectStoreOptions> = {}): Promise<GcsSubject> {
  const finalized: string[] = [];
  const onNotification = ({ attributes }: Notification) => {
    finalized.push(`${attributes["objectId"]}#${attributes["objectGeneration"]}`);
    return Promise.resolve();
  };
  const fake = await startFakeGcs({ buckets: [BUCKET], onNotification });
  t.after(() => fake.close());
  await fetch(`${fake.url}/storage/v1/b/${BUCKET}/notificationConfigs`, {
    method: "POST",
    body: JSON.stringify({
      topic: "//pubsub.googleapis.com/projects/test-project/topics/finalized",
      payload_format: "JSON_API_V1",
      event_types: ["OBJECT_FINALIZE"],
    }),
  });
  const store = gcsOn(fake.url, settings);
  return { store, bucket: BUCKET, fake, finalized };
}

/** Bytes that show where they are from. */
export function content(size: number, seed = 1): Buffer {
  return Buffer.from(
    Uint32Array.from({ length: Math.ceil(size / 4) }, (_, index) => index * 2654435761 + seed).buffer,
  ).subarray(0, size);
}

export function* pieces(bytes: Buffer, size = 100_000): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

export async function bytesOf(subject: GcsSubject, name: string, generation?: string): Promise<Buffer> {
  const options = generation === undefined ? {} : { generation };
  const parts: Uint8Array[] = [];
  for await (const part of subject.store.read(BUCKET, name, options)) parts.push(part);
  return Buffer.concat(parts);
}

export async function namesIn(
  subject: GcsSubject,
  options: { prefix?: string; startAfter?: string } = {},
): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of subject.store.list(BUCKET, options)) names.push(name);
  return names;
}

export function isRetryable(pattern: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof RetryableError, `not a RetryableError: ${String(error)}`);
    assert.match(error.message, pattern);
    assert.ok(!/[\r\n]/.test(error.message));
    return true;
  };
}

export function isPermanent(code: string, mention: string): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof PermanentError, `not a PermanentError: ${String(error)}`);
    assert.equal(error.code, code);
    assert.ok(error.message.includes(mention), error.message);
    assert.ok(!/[\r\n]/.test(error.message));
    return true;
  };
}
