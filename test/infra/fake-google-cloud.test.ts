/** What the fake of Google Cloud's control plane does on demand, in which order it refuses, and how it counts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { test } from "node:test";
import { binding, email, functionOf, IN, opened, P, topic } from "../support/asked-cloud.ts";
import { callApi } from "../support/gcloud.ts";
import type { GoogleCloud } from "../fakes/fake-google-cloud.ts";
import { listAt, textAt } from "../fakes/google-cloud/json.ts";

test("a token comes before the API, the API before the permission, and the permission before what is there", async (t) => {
  const { cloud, ask } = await opened(t, { apis: [] });
  const path = `/v1/${topic("asset.none")}`;
  cloud.denied.add("pubsub.topics.get");
  const anonymous = await callApi(cloud.url, "GET", "pubsub", path, undefined, { authorization: "" });
  assert.equal(anonymous.status, 401);
  const disabled = await ask("GET", "pubsub", path);
  assert.equal(textAt(listAt(disabled.body, "error", "details")[0], "reason"), "SERVICE_DISABLED");
  await ask("POST", "serviceusage", `/v1/projects/${P}/services/pubsub.googleapis.com:enable`);
  assert.match(textAt((await ask("GET", "pubsub", path)).body, "error", "message"), /pubsub\.topics\.get/);
  cloud.denied.clear();
  assert.equal((await ask("GET", "pubsub", path)).status, 404);
  const unbilled = await opened(t, { apis: [], billing: false });
  const run = await unbilled.ask("POST", "serviceusage", `/v1/projects/${P}/services/run.googleapis.com:enable`);
  assert.match(textAt(run.body, "error", "message"), /Billing/);
});

test("of two writers of a policy one reads it again; conditions show only to who asks for them", async (t) => {
  const { ask, well, account } = await opened(t);
  await account("fn-shop");
  const path = `/v1/projects/${P}`;
  const read = await well("POST", "cloudresourcemanager", `${path}:getIamPolicy`);
  const { etag } = read.body as { readonly etag: string };
  const member = `serviceAccount:${email("fn-shop")}`;
  const condition = { title: "t", expression: "true" };
  const policy = { etag, version: 3, bindings: [{ role: "roles/datastore.user", members: [member], condition }] };
  await well("POST", "cloudresourcemanager", `${path}:setIamPolicy`, { policy });
  const late = await ask("POST", "cloudresourcemanager", `${path}:setIamPolicy`, { policy });
  assert.deepEqual([late.status, textAt(late.body, "error", "status")], [409, "ABORTED"]);
  const asked = async (version: number): Promise<unknown> =>
    (
      await well("POST", "cloudresourcemanager", `${path}:getIamPolicy`, {
        options: { requestedPolicyVersion: version },
      })
    ).body;
  assert.deepEqual(listAt(await asked(3), "bindings"), policy.bindings);
  assert.match(textAt(listAt(await asked(1), "bindings")[0], "role"), /_withcond_/);
});

test("quotas: accounts, functions a minute, and notifications of a bucket", async (t) => {
  let now = 1_000_000;
  const { cloud, ask, well, account } = await opened(t, {
    quotas: { serviceAccounts: 1, functionWritesPerMinute: 1 },
    now: () => now,
  });
  await account("fn-shop");
  const second = await ask("POST", "iam", `/v1/projects/${P}/serviceAccounts`, { accountId: "fn-other" });
  assert.deepEqual([second.status, textAt(second.body, "error", "status")], [429, "RESOURCE_EXHAUSTED"]);
  await cloud.gcs.put("drops", "source.zip", "");
  const create = (name: string) =>
    ask("POST", "cloudfunctions", `/v2/${IN}/functions?functionId=${name}`, functionOf());
  assert.equal((await create("one")).status, 200);
  now += 59_999;
  assert.equal((await create("two")).status, 429);
  now += 1;
  assert.equal((await create("two")).status, 200);
  const agent = await well("GET", "storage", `/storage/v1/projects/${P}/serviceAccount`);
  await well("PUT", "pubsub", `/v1/${topic("bucket.drops")}`);
  const member = `serviceAccount:${textAt(agent.body, "email_address")}`;
  await well("POST", "pubsub", `/v1/${topic("bucket.drops")}:setIamPolicy`, binding(member, "roles/pubsub.publisher"));
  const notify = () =>
    ask("POST", "storage", "/storage/v1/b/drops/notificationConfigs", {
      topic: topic("bucket.drops"),
      payload_format: "JSON_API_V1",
      event_types: ["OBJECT_FINALIZE"],
    });
  for (let made = 0; made < 10; made++) assert.equal((await notify()).status, 200);
  assert.match(textAt((await notify()).body, "error", "message"), /Too many/);
});

test("a function that is being built is busy, and gets done whether or not anybody waits", async (t) => {
  const { cloud, ask, well, account } = await opened(t);
  const release = cloud.hold();
  await account("fn-shop");
  await cloud.gcs.put("drops", "source.zip", "");
  const created = await well("POST", "cloudfunctions", `/v2/${IN}/functions?functionId=one`, functionOf());
  assert.equal(textAt(listAt(created.body, "metadata", "stages")[0], "state"), "IN_PROGRESS");
  assert.equal((await ask("GET", "cloudfunctions", `/v2/${IN}/functions/one`)).status, 404);
  assert.equal((await ask("POST", "cloudfunctions", `/v2/${IN}/functions?functionId=one`, functionOf())).status, 409);
  release();
  await cloud.settled();
  const operation = await well("GET", "cloudfunctions", `/v2/${textAt(created.body, "name")}`);
  assert.equal(textAt(operation.body, "response", "state"), "ACTIVE");
  const patch = () =>
    ask("PATCH", "cloudfunctions", `/v2/${IN}/functions/one?updateMask=labels`, { labels: { a: "b" } });
  const releaseAgain = cloud.hold();
  assert.equal((await patch()).status, 200);
  const again = await patch();
  assert.deepEqual([again.status, textAt(again.body, "error", "status")], [409, "ABORTED"]);
  releaseAgain();
  await cloud.settled();
  const one = await well("GET", "cloudfunctions", `/v2/${IN}/functions/one`);
  assert.deepEqual(
    [textAt(one.body, "labels", "a"), textAt(one.body, "serviceConfig", "serviceAccountEmail")],
    ["b", email("fn-shop")],
  );
});

test("a source without a bucket of its own is uploaded to a signed address, and deployed from there", async (t) => {
  const { cloud, ask, well, account } = await opened(t);
  await account("fn-shop");
  const { body } = await well("POST", "cloudfunctions", `/v2/${IN}/functions:generateUploadUrl`, {});
  const { bucket, object } = (body as { readonly storageSource: Readonly<Record<string, string>> }).storageSource;
  const buildConfig = { runtime: "nodejs24", entryPoint: "sluice", source: { storageSource: { bucket, object } } };
  const create = () =>
    ask("POST", "cloudfunctions", `/v2/${IN}/functions?functionId=one`, { ...functionOf(), buildConfig });
  assert.equal((await create()).status, 404, "it was not uploaded yet");
  const { pathname } = new URL(textAt(body, "uploadUrl"));
  const anonymous = await callApi(cloud.url, "PUT", "storage", pathname, {}, { authorization: "" });
  assert.equal(anonymous.status, 200);
  assert.equal((await create()).status, 200);
});

test("a fresh account is there and cannot be seen for a while", async (t) => {
  const { ask, account } = await opened(t, { freshAccounts: { looks: 1 } });
  await account("fn-shop");
  const bind = () =>
    ask(
      "POST",
      "cloudresourcemanager",
      `/v1/projects/${P}:setIamPolicy`,
      binding(`serviceAccount:${email("fn-shop")}`, "roles/datastore.user"),
    );
  assert.match(textAt((await bind()).body, "error", "message"), /does not exist/);
  assert.equal((await bind()).status, 200);
});

test("faults come as asked for, and those of a seed are the same each time", async (t) => {
  const play = async (seed: number): Promise<readonly number[]> => {
    const { cloud, ask } = await opened(t);
    cloud.faults.randomly({ seed, rate: 0.4, kinds: [429, 503], match: /^GET pubsub/ });
    const met: number[] = [];
    for (let call = 0; call < 30; call++) met.push((await ask("GET", "pubsub", `/v1/projects/${P}/topics`)).status);
    return met;
  };
  const [first, same, other] = [await play(1), await play(1), await play(2)];
  assert.deepEqual(first, same);
  assert.notDeepEqual(first, other);
  assert.deepEqual(new Set(first), new Set([200, 429, 503]));

  const { cloud, ask } = await opened(t);
  cloud.faults.add({ match: "PUT pubsub", fault: "reset-after", skip: 1 });
  cloud.faults.add({ match: "GET pubsub", fault: "reset-before" });
  await ask("PUT", "pubsub", `/v1/${topic("one")}`);
  await assert.rejects(ask("PUT", "pubsub", `/v1/${topic("two")}`));
  await assert.rejects(ask("GET", "pubsub", `/v1/${topic("two")}`));
  assert.deepEqual([...cloud.state.resources.topic.keys()], [topic("one"), topic("two")]);
  assert.equal(cloud.faults.met(), 2);
  assert.deepEqual(
    cloud.requests.map(({ status }) => status),
    [200, 0, 0],
  );
});

test("what it does not know is answered so, and recorded; other hosts are out of reach", async (t) => {
  const { cloud, ask } = await opened(t);
  const answer = await ask("POST", "pubsub", `/v1/projects/${P}/schemas`, {});
  assert.deepEqual(
    [answer.status, textAt(answer.body, "error", "message")],
    [404, `The fake does not know POST pubsub /v1/projects/${P}/schemas`],
  );
  const tunnel = request(cloud.url, { method: "CONNECT", path: "oauth2.googleapis.com:443", agent: false }).end();
  // The first argument of this event is the answer.
  const [refused] = (await once(tunnel, "connect")) as [{ readonly statusCode?: number }];
  assert.equal(refused.statusCode, 403);
  assert.deepEqual(cloud.unknown, [`POST pubsub /v1/projects/${P}/schemas`, "CONNECT oauth2.googleapis.com:443"]);
});

test("equal deployments have equal snapshots, in whatever order they were made", async (t) => {
  const play = async (names: readonly string[]): Promise<GoogleCloud> => {
    const { cloud, well, account } = await opened(t);
    for (const name of names) {
      await account(`fn-${name}`);
      await well("PUT", "pubsub", `/v1/${topic(name)}`);
      await well(
        "POST",
        "pubsub",
        `/v1/${topic(name)}:setIamPolicy`,
        binding(`serviceAccount:${email(`fn-${name}`)}`, "roles/pubsub.publisher"),
      );
      await well("POST", "bigquery", `/bigquery/v2/projects/${P}/datasets`, { datasetReference: { datasetId: name } });
    }
    return cloud;
  };
  const [one, other] = [await play(["abc", "xyz"]), await play(["xyz", "abc"])];
  assert.deepEqual(one.snapshot(), other.snapshot());
  other.state.resources.topic.delete(topic("abc"));
  assert.notDeepEqual(one.snapshot(), other.snapshot());
});
