/** A source that is looked at: what is new in it is told once, and what depends on it sees the present. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asset, bigqueryTable, eager, observableSource, onInterval, Interval, PermanentError, resource } from "sluice";
import type { AssetDefinition } from "sluice";
import { z } from "zod";
import type { Runtime } from "../../lib/runtime/runtime.ts";
import { otherRuntime, portsOf } from "../support/days.ts";
import { localPlatform, pushOf } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";
import { mortalPorts } from "../support/mortal.ts";

/** Stands for a server that has a current release; `undefined` while it has none. */
const server: { tag: string | undefined; asked: number } = { tag: undefined, asked: 0 };
const http = resource({
  create: () => ({
    async latestRelease(repository: string) {
      server.asked += 1;
      if (server.tag === "down") throw new PermanentError("the server is down");
      return server.tag === undefined ? undefined : { tag: server.tag, repository };
    },
  }),
});

export const releases = observableSource({
  key: "tools/releases",
  resources: { http },
  automation: onInterval(Interval.Hourly),
  async observe({ log }, { http }) {
    const release = await http.latestRelease("acme/tool");
    if (release === undefined) return undefined;
    log.info("looked", { tag: release.tag });
    return { dataVersion: release.tag, metadata: { repository: release.repository } };
  },
});

function downloads(made: (string | undefined)[], automation?: ReturnType<typeof eager>): AssetDefinition {
  return asset({
    key: "tools/downloads",
    deps: [releases],
    ...(automation === undefined ? {} : { automation }),
    schema: z.object({ tag: z.string() }),
    ioManager: bigqueryTable(),
    async *materialize({ row }) {
      made.push(server.tag);
      yield row({ tag: server.tag ?? "none" });
    },
  });
}

async function ask(platform: LocalPlatform, topic: string, body: object = {}): Promise<void> {
  await platform.publish(topic, body);
  await platform.quiet(1_000);
}

const ends = async (platform: LocalPlatform, name: string): Promise<string[]> =>
  (await platform.allRuns())
    .filter((run) => run.name === name)
    .sort((a, b) => a.createdAt - b.createdAt)
    .map(({ status, code }) => `${status} ${code ?? ""}`.trim());

test("a new version is observed, and followed; an equal one leaves nothing but its run", async () => {
  Object.assign(server, { tag: undefined, asked: 0 });
  const made: (string | undefined)[] = [];
  await using platform = await localPlatform({ exports: { releases, downloads: downloads(made, eager()) } });
  await ask(platform, "asset.tools.releases");
  assert.deepEqual(await ends(platform, "tools/releases"), ["skipped nothing-observed"]);

  server.tag = "v1";
  await ask(platform, "asset.tools.releases", { cause: { kind: "schedule" } });
  const [seen, ...more] = await platform.eventsOf("observed");
  assert.deepEqual(more, []);
  assert.deepEqual(
    [seen?.asset, seen?.dataVersion, seen?.metadata],
    ["tools/releases", "v1", { repository: "acme/tool" }],
  );
  assert.deepEqual(made, ["v1"], "its dependent followed");
  assert.equal(server.asked, 2, "and did not look at what it had just been told");

  await ask(platform, "asset.tools.releases");
  assert.equal((await ends(platform, "tools/releases")).at(-1), "skipped unchanged");
  assert.equal((await platform.eventsOf("observed")).length, 1);
  assert.deepEqual(made, ["v1"]);

  server.tag = "v2";
  await ask(platform, "asset.tools.releases");
  assert.deepEqual(made, ["v1", "v2"]);
  assert.deepEqual(await platform.rows("SELECT tag FROM tools.downloads"), [{ tag: "v2" }]);
  // An observation that is forced is one, whatever the version.
  await ask(platform, "asset.tools.releases", { force: true });
  assert.equal((await platform.eventsOf("observed")).length, 3);
  assert.deepEqual(await platform.leftovers(), []);
  assert.deepEqual(platform.complaints, []);
});

test("a run of the dependent looks first: nothing changed, nothing is made; something did, it is seen", async () => {
  Object.assign(server, { tag: "v1", asked: 0 });
  const made: (string | undefined)[] = [];
  await using platform = await localPlatform({ exports: { releases, downloads: downloads(made) } });
  await ask(platform, "asset.tools.downloads");
  assert.deepEqual([made, server.asked], [["v1"], 1]);
  const own = await platform.events.get("partition", "tools/downloads|");
  const source = await platform.events.get("partition", "tools/releases|");
  assert.deepEqual(own?.head?.upstreams, { "tools/releases|": source?.head?.materializationId });
  assert.equal(source?.head?.dataVersion, "v1");
  const [look] = (await platform.allRuns()).filter(({ name }) => name === "tools/releases");
  assert.deepEqual(look?.request.cause, { kind: "dependent", asset: "tools/downloads", run: own?.head?.runId });

  await ask(platform, "asset.tools.downloads");
  assert.deepEqual(await ends(platform, "tools/downloads"), ["succeeded", "skipped unchanged"]);
  assert.deepEqual(await ends(platform, "tools/releases"), ["succeeded", "skipped unchanged"]);
  server.tag = "v2";
  await ask(platform, "asset.tools.downloads");
  assert.deepEqual([made, server.asked], [["v1", "v2"], 3]);

  // It cannot be looked at: that is its own failure, and what was seen last still counts.
  server.tag = "down";
  await ask(platform, "asset.tools.downloads");
  assert.equal((await ends(platform, "tools/releases")).at(-1), "failed failed");
  assert.equal((await ends(platform, "tools/downloads")).at(-1), "skipped unchanged");
  assert.deepEqual(await platform.leftovers(), []);
});

test("eager and looking at once: what its own look finds is made once", async () => {
  Object.assign(server, { tag: "v1", asked: 0 });
  const made: (string | undefined)[] = [];
  await using platform = await localPlatform({ exports: { releases, downloads: downloads(made, eager()) } });
  await ask(platform, "asset.tools.downloads");
  assert.deepEqual(made, ["v1"]);
  assert.equal((await platform.eventsOf("observed")).length, 1);
  assert.deepEqual(await platform.leftovers(), []);
});

test("dependents that run at once look one after the other, and each sees the version", async () => {
  Object.assign(server, { tag: "v1", asked: 0 });
  const others = ["a", "b", "c"].map((name) =>
    asset({ key: `tools/${name}`, deps: [releases], materialize: async () => undefined }),
  );
  await using platform = await localPlatform({ exports: { releases, others } });
  await Promise.all(others.map(({ key }) => platform.publish(`asset.${key.replace("/", ".")}`, {})));
  await platform.quiet(1_000);
  const [seen, ...more] = await platform.eventsOf("observed");
  assert.deepEqual(more, []);
  for (const { key } of others) {
    const head = (await platform.events.get("partition", `${key}|`))?.head;
    assert.deepEqual(head?.upstreams, { "tools/releases|": seen?.materializationId });
  }
  assert.deepEqual(await platform.leftovers(), []);
});

test("what observe returns is looked at", async () => {
  const answers: unknown[] = [{ dataVersion: "" }, { dataVersion: "x".repeat(1_001) }, "v1", { version: "v1" }, null];
  const odd = observableSource({
    key: "tools/odd",
    // An author without types may return anything.
    observe: async () => answers.shift() as { dataVersion: string },
  });
  await using platform = await localPlatform({ exports: { odd } });
  for (let n = answers.length; n > 0; n--) await ask(platform, "asset.tools.odd");
  const failed = await platform.eventsOf("run.failed");
  assert.equal(failed.length, 5);
  for (const { code, reason } of failed) {
    assert.equal(code, "bad-observation");
    assert.match(
      reason,
      /^observe of tools\/odd returned what is no observation \(.+\); return \{ dataVersion: "…" \}/,
    );
  }
});

test("a process that dies after any step of a dependent's run, its look included: both end with the version, once", async () => {
  Object.assign(server, { tag: undefined, asked: 0 });
  const made: (string | undefined)[] = [];
  await using platform = await localPlatform({ exports: { releases, downloads: downloads(made, eager()) } });
  for (let step = 1; ; step++) {
    assert.ok(step < 60, "the run never ends");
    server.tag = `v${step}`;
    const { ports, death } = mortalPorts(portsOf(platform), step);
    const body = { runKey: `by hand ${step}` };
    const receive = (runtime: Pick<Runtime, "receive">): Promise<void> =>
      runtime.receive({ kind: "asset", key: "tools/downloads" }, { body: pushOf(body) });
    const died = await Promise.race([death, receive(otherRuntime(platform, ports)).then(() => undefined)]);
    await platform.runtime.releaseAbandoned();
    if (died !== undefined) await receive(platform.runtime);
    await platform.quiet();
    const where = `after ${died ?? "no death"}, step ${step}`;
    const seen = (await platform.eventsOf("observed")).filter(({ dataVersion }) => dataVersion === server.tag);
    assert.equal(seen.length, 1, where);
    const head = (await platform.events.get("partition", "tools/downloads|"))?.head;
    assert.deepEqual(head?.upstreams, { "tools/releases|": seen[0]?.materializationId }, where);
    assert.deepEqual(await platform.rows("SELECT tag FROM tools.downloads"), [{ tag: server.tag }], where);
    assert.deepEqual(await platform.leftovers(), [], where);
    if (died === undefined) break;
  }
});
