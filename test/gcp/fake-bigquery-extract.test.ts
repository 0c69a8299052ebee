/** Extract jobs of the fake BigQuery, by the unmodified client: an id that is taken once, rows in a bucket, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BigQuery } from "@google-cloud/bigquery";
import { PassThroughClient } from "google-auth-library";
import { z } from "zod";
import { startFakeBigquery } from "../fakes/fake-bigquery.ts";
import { fileOfUri, startFakeGcs } from "../fakes/fake-gcs.ts";

process.env["METADATA_SERVER_DETECTION"] = "none";

const endedSchema = z.object({
  configuration: z.object({ jobType: z.string() }),
  statistics: z.object({ extract: z.object({ destinationUriFileCounts: z.array(z.string()) }) }),
});

test("a table becomes an object, once under each id", async (t) => {
  const gcs = await startFakeGcs({ buckets: ["out"] });
  const fake = await startFakeBigquery({
    datasets: ["shop"],
    resolveUri: fileOfUri(gcs),
    async writeObject(uri, bytes) {
      const [, bucket = "", name = ""] = /^gs:\/\/([^/]+)\/(.*)$/.exec(uri) ?? [];
      await gcs.put(bucket, name, Buffer.from(bytes));
    },
  });
  t.after(async () => {
    await fake.close();
    await gcs.close();
  });
  const { project: projectId, location } = fake;
  const client = new BigQuery({ projectId, apiEndpoint: fake.url, authClient: new PassThroughClient(), location });
  const sql = "CREATE TABLE `shop.t` AS SELECT n, CAST(n AS STRING) AS word FROM UNNEST([1, 2]) AS n";
  const [made] = await client.createQueryJob({ query: sql, location });
  await made.promise();

  const sourceTable = { projectId, datasetId: "shop", tableId: "t" };
  const destinationUris = ["gs://out/t-*.json"];
  const extract = { sourceTable, destinationUris, destinationFormat: "NEWLINE_DELIMITED_JSON" };
  const [job] = await client.createJob({ jobId: "extract_1", location, configuration: { extract } });
  await job.promise();
  const got: readonly unknown[] = await job.getMetadata();
  const { statistics, configuration } = endedSchema.parse(got[0]);
  assert.deepEqual([configuration.jobType, statistics.extract.destinationUriFileCounts], ["EXTRACT", ["1"]]);
  assert.deepEqual(
    gcs.objects("out").map(({ name }) => name),
    ["t-000000000000.json"],
  );
  const rows = await (await fetch(`${gcs.url}/storage/v1/b/out/o/t-000000000000.json?alt=media`)).text();
  assert.deepEqual(
    rows
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    [
      { n: 1, word: "1" },
      { n: 2, word: "2" },
    ],
  );
  await assert.rejects(client.createJob({ jobId: "extract_1", location, configuration: { extract } }), { code: 409 });

  const nothing = { ...extract, sourceTable: { ...sourceTable, tableId: "nothing" } };
  const [failed] = await client.createJob({ jobId: "extract_2", location, configuration: { extract: nothing } });
  await assert.rejects(failed.promise(), /Not found: Table sluice-test:shop\.nothing|Not found: Table/);
});
