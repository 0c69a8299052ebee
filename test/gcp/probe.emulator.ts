/** The whole probe, with Google's own emulators of Firestore and Pub/Sub beside the fakes: every behaviour is confirmed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runProbe } from "../../lib/gcp/probe.ts";
import type { ProbeResult } from "../../lib/gcp/probe.ts";
import { probeSteps } from "../../lib/gcp/probe-steps.ts";
import { systemRandom } from "../../lib/local/system-clock.ts";
import { startFakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs } from "../fakes/fake-gcs.ts";
import { startFakeTasks } from "../fakes/fake-tasks.ts";
import { withEmulators } from "../support/emulators.ts";

const PROJECT = "sluice-test";

await withEmulators(({ pubsub, firestore }) => {
  test("every behaviour is confirmed, and nothing is left behind", async (t) => {
    const gcs = await startFakeGcs({ buckets: ["mine"], requireAuth: true });
    const bigquery = await startFakeBigquery({ project: PROJECT, resolveUri: fileOfUri(gcs), requireAuth: true });
    const tasks = await startFakeTasks({ clock: Date, queues: [] });
    const clockwork = setInterval(() => void tasks.deliver(), 100);
    t.after(async () => {
      clearInterval(clockwork);
      await Promise.all([gcs.close(), bigquery.close(), tasks.close()]);
      await Promise.all([pubsub.close(), firestore.close()]);
    });
    const seen: ProbeResult[] = [];
    const settings = {
      project: PROJECT,
      id: systemRandom().id(),
      location: "EU",
      region: "europe-west1",
      database: "(default)",
      bucket: "mine",
      patienceMs: 240_000,
      endpoints: {
        bigquery: bigquery.url,
        storage: gcs.url,
        tasks: tasks.host,
        pubsub: pubsub.host,
        firestore: firestore.host,
      },
    };
    const { signal } = new AbortController();
    const { results, leftovers } = await runProbe(settings, probeSteps, {
      signal,
      onResult: (one) => seen.push(one),
    });
    const others = results.filter(({ outcome }) => outcome !== "confirmed");
    assert.deepEqual(others, []);
    assert.equal(results.length, probeSteps.length);
    assert.deepEqual(seen, results);
    assert.deepEqual(leftovers, []);
    for (const { name, saw } of results) t.diagnostic(`${name}: ${saw}`);

    assert.deepEqual(await bigquery.contents(), {});
    assert.deepEqual(gcs.objects("mine"), []);
    assert.deepEqual(tasks.queues(), []);
    for (const kind of ["topics", "subscriptions"]) {
      const answer = await fetch(`http://${pubsub.host}/v1/projects/${PROJECT}/${kind}`);
      assert.deepEqual(await answer.json(), {}, kind);
    }
  });
});
