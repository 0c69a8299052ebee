import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tarballFiles } from "../../functions/_tarball.ts";
import { ossDirectory, repositories } from "../../functions/oss-directory.ts";
import { archiveServer, tarballOf } from "../support/archive-server.ts";
import type { ArchiveServer } from "../support/archive-server.ts";
import { localPlatform } from "../support/local-platform.ts";
import type { LocalPlatform } from "../support/local-platform.ts";

/** The real archive of August 2026, where there is one: OSS_DIRECTORY_TARBALL=path/to/oss-directory-main.tar.gz */
const REAL = process.env["OSS_DIRECTORY_TARBALL"];

const project = (name: string, urls: readonly string[] = []): string =>
  [
    "version: 7",
    `name: ${name}`,
    `display_name: ${name.toUpperCase()}`,
    ...(urls.length === 0 ? [] : ["github:", ...urls.map((url) => `  - url: ${url}`)]),
  ].join("\n");

const FILES = {
  "README.md": "# not data",
  "data/projects/README.md": "# neither",
  "data/projects/a/alpha.yaml": project("alpha", ["https://github.com/Alpha/One", "https://github.com/alpha"]),
  "data/projects/b/beta.yaml": project("beta", ["https://github.com/alpha/one", "https://example.org/x"]),
  "data/projects/c/gamma.yaml": `${project("gamma")}\nblockchain:\n  - address: "0x1"\n    networks: [mainnet]\n    tags: [eoa]\n`,
  "data/collections/all.yaml": "version: 7\nname: all\ndisplay_name: All\nprojects:\n  - alpha\n  - beta\n",
  "../outside.yaml": "name: nowhere",
};

interface Place {
  readonly platform: LocalPlatform;
  readonly server: ArchiveServer;
  /** Asks for both assets at once, as `sluice materialize 'oss_directory/*'` does, and lets everything happen. */
  crawl(options?: { readonly force?: boolean }): Promise<void>;
  count(table: string): Promise<number>;
}

async function withPlace(archive: string | Uint8Array, work: (place: Place) => Promise<void>): Promise<void> {
  await using server = await archiveServer(archive);
  await using platform = await localPlatform({ exports: { ossDirectory, repositories } });
  await work({
    platform,
    server,
    async crawl(options = {}) {
      await platform.publish("job.oss_directory", { config: { ...options, config: { archive: server.url } } });
      await platform.quiet(30_000);
    },
    async count(table) {
      const [row] = await platform.rows(`SELECT COUNT(*) AS n FROM oss_directory.${table}`);
      return Number(row?.["n"]);
    },
  });
}

describe("the oss-directory", () => {
  test("one pass over the archive makes both tables, and the third follows", async () => {
    await withPlace(await tarballOf(FILES), async ({ platform, server, crawl, count }) => {
      await crawl();
      assert.equal(server.requests, 1);
      assert.deepEqual([await count("projects"), await count("collections")], [3, 1]);
      assert.deepEqual(await platform.rows("SELECT * FROM oss_directory.repositories ORDER BY project, url"), [
        { project: "alpha", url: "https://github.com/Alpha/One", owner: "alpha", repository: "one" },
        { project: "alpha", url: "https://github.com/alpha", owner: "alpha", repository: null },
        { project: "beta", url: "https://example.org/x", owner: null, repository: null },
        { project: "beta", url: "https://github.com/alpha/one", owner: "alpha", repository: "one" },
      ]);
      const checks = await platform.eventsOf("check.evaluated");
      assert.deepEqual(
        checks.filter(({ result }) => !result.passed).map(({ result }) => result.check),
        ["not_null_owner"],
      );
      assert.deepEqual(await platform.leftovers(), []);
    });
  });

  test("a commit that is shown already is skipped after the archive's first bytes, unless it is forced; a new one is not", async () => {
    await withPlace(await tarballOf(FILES), async ({ platform, server, crawl, count }) => {
      await crawl();
      const before = (await platform.eventsOf("materialized")).length;
      await crawl();
      assert.equal((await platform.eventsOf("materialized")).length, before);
      assert.ok((await platform.eventsOf("run.skipped")).some(({ code }) => code === "unchanged"));
      await crawl({ force: true });
      assert.ok((await platform.eventsOf("materialized")).length >= before + 2);
      server.serve(await tarballOf({ ...FILES, "data/projects/d/delta.yaml": project("delta") }, "d".repeat(40)));
      await crawl();
      assert.equal(await count("projects"), 4);
    });
  });

  test("a cut connection and a failing server are tried again; nothing of the cut archive is seen", async () => {
    await withPlace(await tarballOf(FILES), async ({ platform, server, crawl, count }) => {
      server.fail("cut", 503);
      await crawl();
      assert.equal(server.requests, 3);
      assert.equal(await count("projects"), 3);
      assert.equal((await platform.eventsOf("run.failed")).length, 0);
    });
  });

  for (const [what, change, expected] of [
    ["a file that is no YAML", { "data/projects/x/bad.yaml": "name: [" }, /data\/projects\/x\/bad\.yaml: .*/],
    ["a project without a name", { "data/projects/x/bad.yaml": "display_name: x" }, /bad\.yaml: .*name/],
    ["a file that is too large", { "data/projects/x/big.yaml": "#".repeat(1_000_001) }, /big\.yaml has 1000001 bytes/],
    ["the same project twice", { "data/projects/x/again.yaml": project("alpha") }, /unique_name/],
  ] as const) {
    test(`${what} is named, and nothing of it is published`, async () => {
      await withPlace(await tarballOf({ ...FILES, ...change }), async ({ platform, crawl }) => {
        await crawl();
        const failed = await platform.eventsOf("run.failed");
        assert.match(failed[0]?.reason ?? "", expected);
        assert.ok(!failed[0]?.reason.includes("\n"));
        const made = (await platform.eventsOf("materialized")).map(({ asset }) => asset);
        assert.ok(!made.includes("oss_directory/projects"));
        assert.deepEqual(await platform.leftovers(), []);
      });
    });
  }

  test("a server that is not there is named, with the reason and the way out", async () => {
    const server = await archiveServer(await tarballOf(FILES));
    await server[Symbol.asyncDispose]();
    await assert.rejects(tarballFiles(server.url, new AbortController().signal).next(), {
      name: "RetryableError",
      message:
        /^http:\/\/127\.0\.0\.1:\d+ cannot be read: connect ECONNREFUSED .* \(look at the network, or give another address/,
    });
  });

  test("an address without an archive is not tried again", async () => {
    await withPlace(await tarballOf(FILES), async ({ platform, server, crawl }) => {
      server.fail(404);
      await crawl();
      assert.equal(server.requests, 1);
      assert.match(
        (await platform.eventsOf("run.failed"))[0]?.reason ?? "",
        /answers 404: correct the archive's address/,
      );
    });
  });

  test("the real archive", { skip: REAL === undefined && "OSS_DIRECTORY_TARBALL names no archive" }, async () => {
    await withPlace(REAL ?? "", async ({ platform, server, crawl, count }) => {
      await crawl();
      assert.equal(server.requests, 1);
      assert.deepEqual([await count("projects"), await count("collections")], [7112, 117]);
      const [links] = await platform.rows("SELECT SUM(ARRAY_LENGTH(github)) AS n FROM oss_directory.projects");
      assert.equal(Number(links?.["n"]), 24354);
      const [found] = await platform.rows(
        "SELECT COUNT(*) AS n, COUNTIF(owner IS NULL) AS odd FROM oss_directory.repositories",
      );
      assert.equal(Number(found?.["odd"]), 1);
      assert.ok(Number(found?.["n"]) > 24_000 && Number(found?.["n"]) <= 24354);
      const [event] = await platform.eventsOf("materialized");
      assert.equal(event?.metadata?.["commit"], "c174b9a55f3c7bbb6b782eac86b9e264e2327670");
      assert.deepEqual(await platform.leftovers(), []);
    });
  });
});
