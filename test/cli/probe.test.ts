/** `sluice probe` against the fakes: what they confirm, what they cannot show, and what a deviation looks like. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { z } from "zod";
import { startFakeBigquery, type FakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs, type FakeGcs } from "../fakes/fake-gcs.ts";
import { startFakeTasks, type FakeTasks } from "../fakes/fake-tasks.ts";
import { temporaryProject } from "../support/sluice-command.ts";

const reportSchema = z.object({
  results: z.array(
    z.object({ name: z.string(), outcome: z.string(), saw: z.string(), relies: z.string(), where: z.string() }),
  ),
  leftovers: z.array(z.string()),
});
const PROJECT = "sluice-test";
/** A port at which nobody answers. */
const NOWHERE = "127.0.0.1:9";

const project = temporaryProject({});
let bigquery: FakeBigquery;
let gcs: FakeGcs;
let tasks: FakeTasks;

before(async () => {
  gcs = await startFakeGcs({ buckets: ["mine"] });
  tasks = await startFakeTasks({ clock: Date, queues: [] });
});
beforeEach(async () => {
  await bigquery?.close();
  bigquery = await startFakeBigquery({ project: PROJECT, datasets: ["demo"], resolveUri: fileOfUri(gcs) });
  gcs.heal();
  const endpoints = {
    bigquery: bigquery.url,
    storage: gcs.url,
    tasks: tasks.host,
    pubsub: NOWHERE,
    firestore: NOWHERE,
  };
  process.env["SLUICE_GCP_ENDPOINTS"] = JSON.stringify(endpoints);
});
after(async () => {
  delete process.env["SLUICE_GCP_ENDPOINTS"];
  await project.remove();
  await Promise.all([bigquery.close(), gcs.close(), tasks.close()]);
});

const probe = ["probe", "--gcp-project", PROJECT, "--location", "EU", "--patience", "20"] as const;

async function assertNothingLeft(): Promise<void> {
  assert.deepEqual(Object.keys(await bigquery.contents()), ["demo"]);
  assert.deepEqual(gcs.objects("mine"), []);
  assert.deepEqual(tasks.queues(), []);
}

describe("sluice probe", () => {
  test("tells for each behaviour what it saw, and leaves nothing behind", async () => {
    const { results, leftovers } = reportSchema.parse(await project.json(...probe, "--bucket", "mine"));
    const outcomes = Object.fromEntries(results.map(({ name, outcome }) => [name, outcome]));
    assert.deepEqual(outcomes, {
      "job-id-across-types": "confirmed",
      "labels-after-409": "confirmed",
      "failed-id-stays-taken": "confirmed",
      "copy-partition-to-partition": "confirmed",
      "copy-into-missing-partition": "confirmed",
      "write-truncate-data": "confirmed",
      "row-policies-outlive-truncate-data": "confirmed",
      "dry-run-names-dml-target": "confirmed",
      "statements-of-a-script": "confirmed",
      "refused-insert": "confirmed",
      "load-into-blank-table": "confirmed",
      "load-without-its-table": "confirmed",
      "copy-that-expires": "confirmed",
      "copy-inherits-no-end": "confirmed",
      "partition-times": "confirmed",
      "delete-gone-generation": "confirmed",
      "write-over-gone-generation": "confirmed",
      "upload-session-without-token": "confirmed",
      "create-once": "not-tried",
      "guards-of-what-was-read": "not-tried",
      "commit-clock": "not-tried",
      "delayed-task-publishes": "not-tried",
      "dead-letters": "not-tried",
    });
    for (const { outcome, saw, relies, where } of results) {
      assert.ok(saw !== "" && relies !== "" && where !== "");
      if (outcome === "not-tried") assert.match(saw, /127\.0\.0\.1:9 did not answer/);
    }
    assert.ok(
      leftovers.every((line) => /did not answer/.test(line)),
      leftovers.join("\n"),
    );
    await assertNothingLeft();
  });

  test("whichever way a refused insert is answered, the adapter copes", async () => {
    for (const how of ["kept", "gone"] as const) {
      bigquery.answerEarly(how);
      const { results } = reportSchema.parse(await project.json(...probe));
      const refused = results.find(({ name }) => name === "refused-insert");
      assert.equal(refused?.outcome, "confirmed", refused?.saw);
      assert.match(refused.saw, how === "kept" ? /is kept/ : /is not kept/);
    }
  });

  test("what the service does otherwise is not confirmed: exit code 1, with what relies on it", async () => {
    // Only of this one: the load of another step fails as well, at a moment of its own.
    bigquery.forgetFailedJobs((id) => id.endsWith("_failed"));
    // As if a load could not say that it was its table which it lacked.
    const error = { reason: "notFound", message: "Not found: Something" };
    bigquery.failJobs((id) => id.endsWith("_late_load"), error);
    gcs.fail({ match: /^DELETE .*gone\?ifGenerationMatch/, skip: 1, fault: 403 });
    const { code, stdout } = await project.sluice(...probe, "--bucket", "mine");
    assert.equal(code, 1, stdout);
    assert.match(stdout, /^NOT CONFIRMED {7}failed-id-stays-taken: a job under a failed one's id: 200$/m);
    assert.match(
      stdout,
      /relied on: the id of a job that failed is taken for ever.*\(lib\/runtime\/warehouse-jobs\.ts\)/,
    );
    assert.match(stdout, /^NOT CONFIRMED {7}delete-gone-generation: 403$/m);
    assert.match(stdout, /^confirmed {11}labels-after-409/m);
    assert.match(
      stdout,
      /^NOT CONFIRMED {7}load-without-its-table: notFound: Not found: Something; the table answers 404$/m,
    );
    assert.match(stdout, /15 behaviours confirmed, 3 not confirmed, 5 could not be tried/);
    await assertNothingLeft();
  });

  test("without a bucket, or a permission, the others are tried all the same", async () => {
    bigquery.fail({ match: "POST /bigquery/v2/projects/sluice-test/datasets?", fault: 403 });
    bigquery.fail({ match: /^POST \/bigquery\/v2\/projects\/sluice-test\/datasets$/, fault: 403, times: 9 });
    const { code, stdout } = await project.sluice(...probe);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /could not be tried {2}copy-partition-to-partition: making the dataset .*403/);
    assert.match(stdout, /could not be tried {2}upload-session-without-token: it takes a bucket: name one by --bucket/);
    assert.match(stdout, /^confirmed {11}failed-id-stays-taken/m);
  });

  test("Ctrl-C ends it, and it takes away what it has made", async () => {
    const release = bigquery.keepRunning((id) => id.endsWith("_fill_2"));
    try {
      const running = project.start(...probe, "--bucket", "mine");
      await running.until("failed-id-stays-taken");
      assert.ok(Object.keys(await bigquery.contents()).some((name) => name.startsWith("sluice_probe_")));
      running.kill("SIGINT");
      const { code, stderr } = await running.ended;
      assert.equal(code, 130, stderr);
    } finally {
      release();
    }
    await assertNothingLeft();
  });
});
