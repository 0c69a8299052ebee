import type { Firestore } from "@google-cloud/firestore";
import type * as FirestoreSdk from "@google-cloud/firestore";
import { Code, googleError } from "./grpc-errors.ts";
import { lazily } from "./lazily.ts";
import type { Lazy } from "./lazily.ts";

export interface FirestoreSettings {
  readonly projectId: string;
  /** Default `(default)`. */
  readonly databaseId?: string;
  /** `host:port` of an emulator, spoken to without encryption and without credentials. */
  readonly emulatorHost?: string;
  /** Speaks HTTP/1.1 instead of gRPC, which is quicker to load. */
  readonly preferRest?: boolean;
}

export interface OpenFirestore {
  readonly db: Firestore;
  readonly sdk: Pick<typeof FirestoreSdk, "FieldPath" | "FieldValue" | "Timestamp">;
}

export interface FirestoreClient extends Lazy<OpenFirestore> {
  /** Words for people: which database this is. */
  readonly name: string;
}

/** Loads the SDK with the first call, and connects with application default credentials. */
export function firestoreClient(settings: FirestoreSettings): FirestoreClient {
  const { projectId, databaseId = "(default)", emulatorHost, preferRest } = settings;
  const make = async (): Promise<OpenFirestore> => {
    const sdk = await import("./sdk/firestore.ts");
    const db = new sdk.Firestore({
      projectId,
      databaseId,
      ...(emulatorHost === undefined ? {} : { host: emulatorHost, ssl: false, ...(await withoutCredentials()) }),
      ...(preferRest === undefined ? {} : { preferRest }),
    });
    return { db, sdk };
  };
  return {
    ...lazily(make, ({ db }) => db.terminate()),
    name: `Firestore, database ${databaseId} of project ${projectId}`,
  };
}

const REMEDIES: Readonly<Record<number, string>> = {
  [Code.notFound]: "create the database: gcloud firestore databases create",
  [Code.permissionDenied]: "grant roles/datastore.user to the account that runs this",
  [Code.unauthenticated]: "log in: gcloud auth application-default login",
  [Code.failedPrecondition]: "deploy, so that the indexes of the event store are made, and wait until they are built",
  [Code.invalidArgument]: "one commit takes 10 MiB and one document 1 MiB: store less at once",
};

/** What a call to Firestore threw, in one line. */
export function firestoreError({ name }: FirestoreClient, error: unknown): Error {
  return googleError(error, { what: name, remedies: REMEDIES });
}

/** For a stand-in: nothing looks for credentials, and none are sent. */
async function withoutCredentials(): Promise<{ readonly authClient: never }> {
  const { PassThroughClient } = await import("./sdk/auth.ts");
  // The client's types name every kind of credentials but this one.
  return { authClient: new PassThroughClient() as never };
}
