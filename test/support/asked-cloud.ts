/** The fake cloud asked as gcloud asks, without gcloud: what its own tests share. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { startGoogleCloud, type GoogleCloudOptions } from "../fakes/fake-google-cloud.ts";
import type { Json } from "../fakes/google-cloud/json.ts";
import { callApi } from "./gcloud.ts";

export const P = "shop-1";
export const IN = `projects/${P}/locations/europe-west1`;
const APIS =
  "artifactregistry bigquery cloudbuild cloudfunctions cloudscheduler cloudtasks eventarc firestore iam pubsub run secretmanager storage"
    .split(" ")
    .map((name) => `${name}.googleapis.com`);
export const email = (name: string): string => `${name}@${P}.iam.gserviceaccount.com`;
export const topic = (name: string): string => `projects/${P}/topics/${name}`;

export type Ask = (
  method: string,
  api: string,
  path: string,
  body?: Json,
) => Promise<{ status: number; body: unknown }>;

export async function opened(t: TestContext | undefined, options: Partial<GoogleCloudOptions> = {}) {
  const cloud = await startGoogleCloud({ project: P, apis: APIS, buckets: { drops: "EU" }, ...options });
  t?.after(() => cloud.close());
  const ask: Ask = (method, api, path, body) => callApi(cloud.url, method, api, path, body);
  const well: Ask = async (method, api, path, body) => {
    const answer = await ask(method, api, path, body);
    assert.ok(answer.status < 300, `${method} ${api} ${path}: ${JSON.stringify(answer.body)}`);
    return answer;
  };
  return {
    cloud,
    ask,
    well,
    account: (accountId: string) => well("POST", "iam", `/v1/projects/${P}/serviceAccounts`, { accountId }),
  };
}

export const functionOf = (more: Json = {}): Json => ({
  buildConfig: {
    runtime: "nodejs24",
    entryPoint: "sluice",
    source: { storageSource: { bucket: "drops", object: "source.zip" } },
  },
  serviceConfig: { serviceAccountEmail: email("fn-shop"), availableCpu: "1", availableMemory: "512Mi", ...more },
});
export const binding = (member: string, role: string, more: Json = {}): Json => ({
  policy: { bindings: [{ role, members: [member], ...more }] },
});
