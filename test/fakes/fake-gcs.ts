/**
 * A fake Cloud Storage: an HTTP server on loopback that speaks the JSON API as the unmodified client, gcloud and `fetch` do.
 * Content lies on disk, one file an object, so that large objects need little memory.
 *
 * Other fakes read and write its objects without HTTP: `fake.objects(bucket, prefix)` lists them in order of their names,
 * `object.path` or `fake.pathOf(bucket, name, generation?)` is the file with the bytes of one (open it at once: it goes away
 * when the object is replaced or deleted), and `fake.put(bucket, name, content)` writes one.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attributes, objectFiles, type StoredObject, toFile } from "./gcs/object-files.ts";
import { type Notification, notifier } from "./gcs/notifications.ts";
import { gcsRoutes } from "./gcs/routes.ts";
import { uploadSessions } from "./gcs/uploads.ts";
import { type HttpFake, startHttpFake } from "./http-fake.ts";

export interface FakeGcsOptions {
  /** Where the objects lie. By default a temporary folder, which `close` removes. */
  readonly folder?: string;
  /** Buckets that are there from the start. */
  readonly buckets?: readonly string[];
  /** Asks for a bearer token in every request. Default no. */
  readonly requireAuth?: boolean;
  readonly port?: number;
  /** Gets each message of a bucket's notification configs; a failure is tried again until `close`. */
  readonly onNotification?: (notification: Notification) => Promise<void>;
}

export interface FakeGcs extends HttpFake {
  createBucket(name: string, location?: string): void;
  /** Objects whose names start with `prefix`, in order of their names' UTF-8 bytes; an unknown bucket is empty. */
  objects(bucket: string, prefix?: string): readonly StoredObject[];
  /** The file with an object's bytes; `undefined` where there is no such object, or not at that generation. */
  pathOf(bucket: string, name: string, generation?: string): string | undefined;
  /** Writes an object, as an upload does: with a generation of its own, and notified. */
  put(
    bucket: string,
    name: string,
    content: string | Uint8Array | AsyncIterable<Uint8Array>,
    attributes?: Attributes,
  ): Promise<StoredObject>;
  /** Ends all resumable uploads that are under way: from now on they answer 410. */
  killSessions(): void;
  /** How many resumable uploads are under way. */
  openSessions(): number;
  /** Resolves once every notification was taken. */
  settled(): Promise<void>;
}

/** For a fake warehouse that reads from the bucket: the file with the bytes of a `gs://` URI, or one that is not there. */
export function fileOfUri({ pathOf }: Pick<FakeGcs, "pathOf">): (uri: string) => string {
  return (uri) => {
    const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/(.*)$/.exec(uri) ?? [];
    return pathOf(bucket, name) ?? `/nowhere/${bucket}/${name}`;
  };
}

export async function startFakeGcs(options: FakeGcsOptions = {}): Promise<FakeGcs> {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "fake-gcs-"));
  const notifications = notifier(options.onNotification ?? (() => Promise.resolve()));
  const store = objectFiles(folder, notifications.changed);
  const sessions = uploadSessions(store);
  for (const bucket of options.buckets ?? []) store.createBucket(bucket);
  const { requireAuth = false, port = 0 } = options;
  const http = await startHttpFake(gcsRoutes({ store, sessions, notifications }), {
    // Whoever knows the URI of an upload session may use it.
    requireAuth: (call) => requireAuth && !call.query.has("upload_id"),
    port,
  });

  return {
    ...http,
    createBucket: (name, location) => void store.createBucket(name, location),
    objects: (bucket, prefix = "") =>
      store.buckets.has(bucket)
        ? store
            .namesIn(bucket)
            .filter((name) => name.startsWith(prefix))
            .map((name) => store.get(bucket, name))
        : [],
    pathOf(bucket, name, generation) {
      const object = store.find(bucket, name);
      return generation === undefined || object?.generation === generation ? object?.path : undefined;
    },
    put: async (bucket, name, content, attributes = {}) =>
      await store.commit(await toFile(store, content), { bucket, name, attributes, preconditions: {}, expected: {} }),
    killSessions: sessions.kill,
    openSessions: sessions.open,
    settled: notifications.settled,
    async close() {
      notifications.stop();
      await http.close();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
