/** The smoke check against a deployment: gcloud publishes, and the run is read from its Firestore database. */
import { callTool } from "../../infra/deploy/calling.ts";
import type { Caller } from "../../infra/deploy/calling.ts";
import type { Environment } from "../../infra/environments.ts";
import { topicOf } from "../core/asset-key.ts";
import type { AssetDefinition } from "../core/asset.ts";
import { eventTexts, liveLine } from "./event-lines.ts";
import { runResult } from "./follow.ts";
import { endpointsOf, given } from "./gcp-address.ts";
import { requireCredentials } from "./gcp-ports.ts";
import type { Shell } from "./shell.ts";
import { smokeCheck } from "./smoke.ts";

/** A cold start, a load and a publish. */
const LIMIT_MS = 10 * 60_000;

/** Whether the asset was materialized, or found to be up to date; with what `--json` says of it. */
export async function smoke(
  shell: Shell,
  caller: Caller,
  { project, database, namePrefix }: Environment,
  asset: AssetDefinition,
): Promise<{ readonly good: boolean; readonly value: object }> {
  const endpoints = endpointsOf();
  if (endpoints.firestore === undefined) await requireCredentials({ project, endpoints: {} });
  const { firestoreClient } = await import("../gcp/firestore-client.ts");
  const { firestoreEventStore } = await import("../gcp/firestore-event-store.ts");
  const { clock, random } = caller;
  const client = firestoreClient({
    projectId: project,
    databaseId: database,
    ...given("emulatorHost", endpoints.firestore),
  });
  const store = firestoreEventStore({ client, clock, random });
  const texts = eventTexts();
  const topic = `${namePrefix}${topicOf(asset.key)}`;
  shell.print(`asking for ${asset.key} by a message to ${topic}`);
  try {
    const result = await smokeCheck({
      store,
      runKey: `smoke:${random.id()}`,
      async publish(body) {
        const args = ["pubsub", "topics", "publish", topic, `--project=${project}`, `--message=${body}`];
        await callTool(caller, { tool: "gcloud", args }, [], shell.signal);
      },
      clock,
      signal: shell.signal,
      tell(event) {
        const line = liveLine(event, texts, shell.paint);
        if (line !== undefined) shell.print(line);
      },
      limitMs: LIMIT_MS,
    });
    if (result.kind === "ended") {
      const good = result.run.status === "succeeded" || result.run.status === "skipped";
      shell.print(`${asset.key}: its run ${good ? "works" : "did not work"}: ${result.run.status}`);
      return { good, value: runResult(result.run) };
    }
    const minutes = LIMIT_MS / 60_000;
    const reason =
      result.kind === "refused"
        ? result.reason
        : result.seen
          ? `its run has not ended within ${minutes} minutes: look at it with \`sluice runs\``
          : `nothing came of the message within ${minutes} minutes: look at the function's logs and at the topic dead-letters`;
    shell.warn(`${asset.key}: ${reason}`, "red");
    return { good: false, value: { status: result.kind, reason } };
  } finally {
    await store.close();
  }
}
