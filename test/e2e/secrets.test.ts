/** A secret that code has read is in no event, no run and no message, whatever the code does with it. */
import assert from "node:assert/strict";
import { env } from "node:process";
import { after, test } from "node:test";
import { PermanentError, asset, job, secret } from "sluice";
import { z } from "zod";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

const TOKEN = 'pa"ss\\word-0815';
env["CRAWL_TOKEN"] = TOKEN;
after(() => delete env["CRAWL_TOKEN"]);

const crawl = asset({
  key: "crawl/pages",
  resources: { token: secret("crawl-token") },
  config: z.object({ fail: z.boolean().optional() }),
  async materialize({ config, log, metadata }, { token }) {
    assert.equal(token, TOKEN);
    log.info(`asking with ${token}`, { header: `Bearer ${token}`, nested: { list: [token] } });
    metadata({ [`by ${token}`]: { deep: [`x${token}y`] } });
    if (config.fail === true) throw new PermanentError(`401 for ${token}`);
    return { metadata: { url: `https://example.org/?key=${token}` } };
  },
});
const broken = job({
  name: "broken",
  resources: { token: secret("crawl-token") },
  run: async (_context, { token }) => {
    throw new PermanentError(`no answer for ${token}`);
  },
});
const report = job({
  name: "report",
  resources: { token: secret("crawl-token") },
  run: async (_context, { token }) => ({ sent: `with ${token}` }),
});

async function everythingOf(platform: LocalPlatform): Promise<string> {
  return JSON.stringify([await platform.history(), await platform.allRuns(), platform.bus.deadLetters()]);
}

test("a secret is redacted in logs, metadata, errors and job results", async () => {
  await using platform = await localPlatform({ exports: { crawl: { assets: [crawl], jobs: [report, broken] } } });
  await platform.publish("asset.crawl.pages", {});
  await platform.publish("asset.crawl.pages", { config: { fail: true } });
  await platform.publish("job.report", {});
  await platform.publish("job.broken", {});
  await platform.settle();
  const everything = await everythingOf(platform);
  assert.ok(!everything.includes(TOKEN) && !everything.includes(JSON.stringify(TOKEN).slice(1, -1)));
  assert.ok(!everything.includes("0815"));
  const [logged] = await platform.eventsOf("log");
  assert.deepEqual(logged?.fields, { header: "Bearer [secret]", nested: { list: ["[secret]"] } });
  const [made] = await platform.eventsOf("materialized");
  assert.deepEqual(made?.metadata, {
    "by [secret]": { deep: ["x[secret]y"] },
    url: "https://example.org/?key=[secret]",
  });
  assert.match(everything, /401 for \[secret\]/);
  assert.match(everything, /with \[secret\]/);
  assert.match(everything, /no answer for \[secret\]/);
});

test("a secret that is not set fails the run with the way to set it", async () => {
  const lost = asset({
    key: "crawl/lost",
    resources: { token: secret("no-such") },
    materialize: async () => undefined,
  });
  await using platform = await localPlatform({ exports: { lost } });
  await platform.publish("asset.crawl.lost", {});
  await platform.quiet();
  const [failed] = await platform.eventsOf("run.failed");
  assert.equal(failed?.reason, "the secret no-such is not set: export NO_SUCH=…");
});
