/** Custom resources: made for each run from what they declare, closed after it, whatever becomes of it. */
import assert from "node:assert/strict";
import { env } from "node:process";
import { after, test } from "node:test";
import { PermanentError, asset, bigqueryTable, job, resource, secret } from "sluice";
import { z } from "zod";
import { localPlatform } from "../support/local-platform.ts";

env["API_TOKEN"] = "token-4711";
after(() => delete env["API_TOKEN"]);

/** A client that notes what becomes of it. */
function noted() {
  const notes: string[] = [];
  const api = resource({
    needs: secret("api-token").needs,
    async create({ secret: read, log }) {
      const token = await read("api-token");
      log.info(`connected with ${token}`);
      notes.push("open");
      return {
        page: (n: number) => `page ${n} by ${token.length}`,
        async [Symbol.asyncDispose]() {
          notes.push("close");
        },
      };
    },
  });
  return { notes, api };
}

test("code gets the client, typed, and it is closed when the run ends", async () => {
  const { notes, api } = noted();
  const pages = asset({
    key: "crawl/pages",
    resources: { api },
    async materialize({ metadata }, { api: client }) {
      notes.push("work");
      metadata({ page: client.page(7) });
    },
  });
  await using platform = await localPlatform({ exports: { pages } });
  await platform.publish("asset.crawl.pages", {});
  await platform.quiet();
  assert.deepEqual(notes, ["open", "work", "close"]);
  const [made] = await platform.eventsOf("materialized");
  assert.deepEqual(made?.metadata, { page: "page 7 by 10" });
  assert.equal((await platform.eventsOf("log"))[0]?.message, "connected with [secret]");
  assert.deepEqual(
    pages.needs.map(({ kind, reason }) => [kind, reason]),
    [["secret", "reads the secret api-token"]],
  );
});

test("it is closed after a failure too, and only after the last row", async () => {
  const { notes, api } = noted();
  const broken = job({
    name: "broken",
    resources: { api },
    async run() {
      throw new PermanentError("it cannot be");
    },
  });
  const rows = asset({
    key: "crawl/rows",
    resources: { api },
    schema: z.object({ text: z.string() }),
    ioManager: bigqueryTable(),
    async *materialize({ row }, { api: client }) {
      for (let n = 1; n <= 3; n++) {
        notes.push(`row ${n}`);
        yield row({ text: client.page(n) });
      }
    },
  });
  await using platform = await localPlatform({ exports: { crawl: { assets: [rows], jobs: [broken] } } });
  await platform.publish("job.broken", {});
  await platform.quiet();
  assert.deepEqual(notes.splice(0), ["open", "close"]);
  await platform.publish("asset.crawl.rows", {});
  await platform.quiet();
  assert.deepEqual(notes, ["open", "row 1", "row 2", "row 3", "close"]);
  assert.equal((await platform.rows("SELECT text FROM crawl.rows ORDER BY text")).length, 3);
});

test("an undeclared secret is refused, and a client that cannot be closed fails nothing", async () => {
  const sneaky = resource({ create: ({ secret: read }) => read("api-token") });
  const clumsy = resource({
    create: () => ({
      [Symbol.dispose]() {
        throw new Error("the line is dead");
      },
    }),
  });
  const a = asset({ key: "crawl/a", resources: { sneaky }, materialize: async () => undefined });
  const b = asset({ key: "crawl/b", resources: { clumsy }, materialize: async () => undefined });
  await using platform = await localPlatform({ exports: { a, b } });
  await platform.publish("asset.crawl.a", {});
  await platform.publish("asset.crawl.b", {});
  await platform.quiet();
  const [failed] = await platform.eventsOf("run.failed");
  assert.equal(
    failed?.reason,
    'the secret api-token is not declared: add ...secret("api-token").needs to the resource\'s needs',
  );
  const [made] = await platform.eventsOf("materialized");
  assert.equal(made?.asset, "crawl/b");
  assert.equal((await platform.eventsOf("log"))[0]?.message, "a client could not be closed: the line is dead");
});
