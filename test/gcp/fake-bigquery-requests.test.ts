/** The fake BigQuery refuses what is not in the description of the API that Google gives out with gcloud. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { discoveryFile } from "../fakes/bigquery/discovery.ts";
import { startFakeBigquery, type FakeBigquery } from "../fakes/fake-bigquery.ts";

const skip = discoveryFile() === undefined && "gcloud is not on the PATH: install the Google Cloud CLI";
const required = process.env["CI_EMULATORS"] === "required";

const query = { query: "SELECT 1", useLegacySql: false };
const destinationTable = { projectId: "sluice-test", datasetId: "shop", tableId: "t" };
const copy = { sourceTable: destinationTable, destinationTable: { ...destinationTable, tableId: "u" } };
const jobOf = (configuration: object) => ({
  jobReference: { projectId: "sluice-test", location: "EU" },
  configuration,
});

const refused: readonly (readonly [what: string, call: string, body: object | undefined, message: RegExp])[] = [
  ["a field of a job", "POST jobs", jobOf({ query: { ...query, maximumBytesBiled: "1" } }), /Unknown name "maximumByt/],
  ["a field of none of its kinds", "POST jobs", jobOf({ copy: { ...copy, schemaUpdateOptions: [] } }), /Cannot find/],
  ["a number that is none", "POST jobs", jobOf({ query: { ...query, maximumBytesBilled: "1e9" } }), /Invalid value/],
  ["a text in the place of a list", "POST jobs", jobOf({ load: { sourceUris: "gs://a/b" } }), /Invalid value at/],
  ["a field of a table", "POST datasets/shop/tables", { tableReference: destinationTable, expiresAt: "1" }, /Unknown/],
  ["a parameter", "GET jobs/a?locaton=EU", undefined, /Cannot bind query parameter/],
  ["a value of a parameter", "GET jobs?projection=all", undefined, /Invalid value at 'projection'/],
  ["a method", "PATCH jobs/a", {}, /The API has no|does not know/],
];

const dispositions: readonly (readonly [what: string, configuration: object])[] = [
  ["a copy that keeps what it replaces", { copy: { ...copy, writeDisposition: "WRITE_TRUNCATE_DATA" } }],
  ["a disposition that nobody has", { query: { ...query, destinationTable, writeDisposition: "WRITE_REPLACE" } }],
  ["a creation that nobody has", { copy: { ...copy, createDisposition: "CREATE_ALWAYS" } }],
];

describe("what BigQuery does not know", () => {
  let fake: FakeBigquery;
  before(async () => {
    fake = await startFakeBigquery({ datasets: ["shop"], resolveUri: (uri) => uri });
  });
  after(() => fake.close());

  async function answerTo(call: string, body: object | undefined): Promise<{ status: number; text: string }> {
    const [method = "GET", path = ""] = call.split(" ");
    const url = `${fake.url}/bigquery/v2/projects/sluice-test/${path}`;
    const answer = await fetch(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    return { status: answer.status, text: await answer.text() };
  }

  test("its description is there", { skip: required ? false : skip }, () => assert.ok(discoveryFile(), String(skip)));

  for (const [what, call, body, message] of refused) {
    test(`${what} is refused`, { skip }, async () => {
      const { status, text } = await answerTo(call, body);
      assert.ok(status === 400 || status === 501, `${status} ${text}`);
      assert.match((JSON.parse(text) as { readonly error: { readonly message: string } }).error.message, message);
    });
  }

  for (const [what, configuration] of dispositions) {
    test(`${what} is refused, also without the description`, async () => {
      const { status, text } = await answerTo("POST jobs", jobOf(configuration));
      assert.equal(status, 400, text);
    });
  }

  test("what is in it is not", async () => {
    assert.equal((await answerTo("POST jobs", jobOf({ query }))).status, 200);
    assert.equal((await answerTo("GET jobs?projection=full&maxResults=1", undefined)).status, 200);
  });
});
