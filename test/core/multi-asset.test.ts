import assert from "node:assert/strict";
import { test } from "node:test";
import {
  asset,
  bigqueryTable,
  check,
  DefinitionError,
  eager,
  materializeInMemory,
  multiAsset,
  PermanentError,
  secret,
} from "sluice";
import { z } from "zod";
import { definitionsOf } from "../support/local-platform.ts";
import { requestsFor } from "../../lib/core/multi-requests.ts";
import { subscriptionsOf } from "../../lib/core/subscriptions.ts";
import { runIdOf } from "../../lib/core/request.ts";

const upstream = asset({
  key: "site/raw",
  schema: z.object({ n: z.int() }),
  ioManager: bigqueryTable(),
  materialize: () => [],
});

const site = multiAsset({
  name: "site",
  group: "web",
  inputs: { raw: upstream },
  resources: { token: secret("token") },
  config: z.object({ factor: z.number().default(2) }),
  automation: eager(),
  assets: {
    people: {
      key: "site/people",
      description: "who is there",
      schema: z.object({ n: z.number(), kind: z.enum(["a", "b"]) }),
      ioManager: bigqueryTable({ clusterBy: ["kind"] }),
      checks: [check.notNull("n")],
    },
    places: { key: "site/places", schema: z.object({ name: z.string() }), ioManager: bigqueryTable() },
  },
  async *materialize({ row, selected, config, metadata, skipUnchanged, partition }, { raw, token }) {
    skipUnchanged(`v${config.factor}`);
    const none: undefined = partition;
    metadata({ selected: [...selected], token, none: none ?? null });
    for await (const { n } of raw) {
      yield row.people({ n: n * config.factor, kind: "a" });
      yield [row.places({ name: `p${n}` }), row.places({ name: `q${n}` })];
    }
  },
});

test("rows, resources and outputs have the types of what describes them", () => {
  const reader = asset({
    key: "site/reader",
    inputs: { people: site.outputs.people },
    schema: z.object({ kind: z.enum(["a", "b"]) }),
    ioManager: bigqueryTable(),
    async *materialize({ row }, { people }) {
      for await (const { kind } of people) yield row({ kind });
    },
  });
  assert.deepEqual(reader.deps, ["site/people"]);
  const people = { key: "x/people", schema: z.object({ n: z.number() }), ioManager: bigqueryTable() };
  // Only the compiler looks at these.
  const wrong = [
    () =>
      multiAsset({
        name: "x",
        assets: { people },
        async *materialize({ row }) {
          // @ts-expect-error: n is a number
          yield row.people({ n: "1" });
        },
      }),
    () =>
      multiAsset({
        name: "x",
        assets: { people },
        async *materialize({ row }) {
          const name = "peeple" as const;
          // @ts-expect-error: there is no such output
          const _: keyof typeof row = name;
          yield row.people({ n: 1 });
        },
      }),
    () =>
      multiAsset({
        name: "x",
        assets: { people },
        // @ts-expect-error: a row says what it is of
        async *materialize() {
          yield { n: 1 };
        },
      }),
    () =>
      multiAsset({
        name: "x",
        // @ts-expect-error: there is no such column
        assets: { people: { ...people, ioManager: bigqueryTable({ clusterBy: ["m"] }) } },
        async *materialize({ row }) {
          yield row.people({ n: 1 });
        },
      }),
    // @ts-expect-error: there is no such output
    (): keyof typeof site.outputs => "peeple",
  ];
  assert.equal(wrong.length, 5);
});

test("each output is an asset of its own, and the job makes all of them", () => {
  const definitions = definitionsOf({ site, upstream });
  assert.deepEqual(
    [...definitions.assets.values()].map(({ key, group, deps, multi }) => [key, group, deps, multi?.output]),
    [
      ["site/people", "web", ["site/raw"], "people"],
      ["site/places", "web", ["site/raw"], "places"],
      ["site/raw", undefined, [], undefined],
    ],
  );
  assert.equal(definitions.assets.get("site/people")?.description, "who is there");
  assert.deepEqual([...definitions.jobs.keys()], ["site"]);
  const kinds = definitions.jobs.get("site")?.needs.map(({ kind }) => kind);
  assert.deepEqual(new Set(kinds), new Set(["secret", "stage-objects", "read-dataset", "run-jobs", "publish"]));
  for (const { needs } of site.assets)
    assert.ok(needs.some((need) => need.kind === "stage-objects" && need.prefix === "multi.site/"));
});

test("one output listens to the upstreams for all", () => {
  const following = subscriptionsOf(definitionsOf({ site, upstream })).filter(
    ({ consumer }) => consumer.kind === "automation",
  );
  assert.deepEqual(
    following.map(({ name }) => name),
    ["asset.site.people.follows.materialized.site.raw"],
  );
});

test("outputs that are due at once are asked of the job, and whatever else is due by itself", () => {
  const definitions = definitionsOf({ site, upstream });
  const { people, places } = site.outputs;
  const cause = { kind: "reconcile" as const };
  const both = [
    { asset: people, runKey: "k1" },
    { asset: upstream, runKey: "k2" },
    { asset: places, runKey: "k3" },
  ];
  const [job, alone, ...others] = requestsFor(definitions, both, { cause, partition: "2024-05-01" });
  assert.equal(job?.topic, "job.site");
  const { runKey, ...rest } = job.data as { readonly runKey: string };
  assert.match(runKey, /^outputs:[0-9a-f]{16}$/);
  assert.deepEqual(rest, { cause, config: { select: ["people", "places"], partition: "2024-05-01" } });
  assert.equal(job.runId, runIdOf("job", "site", "", runKey));
  const data = { cause, partition: "2024-05-01", runKey: "k2" };
  assert.deepEqual(alone, {
    topic: "asset.site.raw",
    data,
    runId: runIdOf("asset", "site/raw", "2024-05-01", "k2"),
  });
  assert.deepEqual(others, []);
  const [again] = requestsFor(definitions, both, { cause, partition: "2024-05-01" });
  const [other] = requestsFor(definitions, both, { cause, partition: "2024-05-02" });
  assert.deepEqual(again, job);
  assert.notDeepEqual(other?.data, again?.data);
  assert.ok(!JSON.stringify(other).includes(runKey));
  assert.deepEqual(
    requestsFor(definitions, [{ asset: places }], { cause }).map(({ topic }) => topic),
    ["asset.site.places"],
  );
  assert.deepEqual(
    requestsFor({ jobs: new Map() }, [{ asset: people }, { asset: places }], { cause }).map(({ topic }) => topic),
    ["asset.site.people", "asset.site.places"],
  );
});

test("outputs without their job are refused", () => {
  assert.throws(
    () => definitionsOf({ people: site.outputs.people, upstream }),
    (error: unknown) =>
      error instanceof DefinitionError &&
      error.where === "functions/test.ts people" &&
      /site\/people is an output of the multi-asset site, whose job is not exported/.test(error.message),
  );
});

test("in memory, an output gives its own rows", async () => {
  const given = { inputs: { raw: [{ n: 1 }, { n: 2 }] }, resources: { token: "t" } };
  const people = await materializeInMemory(site.outputs.people, { ...given, config: { factor: 3 } });
  assert.deepEqual(people.rows, [
    { n: 3, kind: "a" },
    { n: 6, kind: "a" },
  ]);
  assert.deepEqual([people.metadata["selected"], people.dataVersion], [["people"], "v3"]);
  const places = await materializeInMemory(site.outputs.places, { ...given, shown: "v1" });
  assert.deepEqual(
    places.rows.map(({ name }) => name),
    ["p1", "q1", "p2", "q2"],
  );
  const skipped = await materializeInMemory(site.outputs.places, { ...given, shown: "v2" });
  assert.deepEqual([skipped.rows, skipped.skipped, skipped.dataVersion], [[], "unchanged", "v2"]);
});

test("what makes no sense is refused where it is written, and a bare row when it comes", async () => {
  const materialize = async function* (): AsyncGenerator<never> {};
  const output = { key: "a/b", schema: z.object({ n: z.int() }), ioManager: bigqueryTable() };
  const refused = (options: Parameters<typeof multiAsset>[0], message: RegExp): void =>
    assert.throws(
      () => multiAsset(options),
      (error: unknown) => error instanceof DefinitionError && message.test(error.message),
    );
  refused({ name: "a/b", assets: { output }, materialize }, /the multi-asset name "a\/b" is not a legal name/);
  refused({ name: "a", assets: {}, materialize }, /the multi-asset a has no assets/);
  refused({ name: "a", assets: { "x.y": output }, materialize }, /the output name "x\.y" is not a legal name/);
  const bare = multiAsset({
    name: "a",
    assets: { output },
    // What a plain JavaScript author may write.
    materialize: (() => [{ n: 1 }]) as never,
  });
  await assert.rejects(
    materializeInMemory(bare.outputs.output, {}),
    (error: unknown) =>
      error instanceof PermanentError && error.code === "invalid-row" && /yield row\.<output>/.test(error.message),
  );
});
