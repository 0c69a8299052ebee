/** Data made elsewhere and renamed assets, as a person meets them at the terminal. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { temporaryProject } from "../support/sluice-command.ts";
import type { Outcome, Project } from "../support/sluice-command.ts";

const CRM = `
import { asset, daily, eager, externalAsset, observableSource } from "sluice";
export const accounts = externalAsset({ key: "crm/accounts", table: "crm_export.accounts", partitions: daily({ start: "2024-05-01" }) });
export const feed = observableSource({ key: "crm/feed", kinds: ["http"], observe: async () => ({ dataVersion: "7" }) });
export const sizes = asset({ key: "crm/sizes", deps: [accounts, feed], automation: eager(), materialize: async () => undefined });
`;

const RENAMED = CRM.replace('key: "crm/sizes"', 'key: "crm/account_sizes", previousKeys: ["crm/sizes"]');

describe("sluice with data that is made elsewhere", () => {
  let project: Project;
  before(() => {
    project = temporaryProject({ "crm.ts": CRM });
  });
  after(() => project.remove());

  const lines = ({ stdout }: Outcome): string[] => stdout.split("\n").map((line) => line.replaceAll(/ +/g, " ").trim());
  const says = ({ code, stderr }: Outcome): [number | null, string] => [code, stderr.trim()];

  test("list and show mark it, and why says how it gets news", async () => {
    const [list, external, source, why] = await Promise.all([
      project.sluice("list"),
      project.sluice("show", "crm/accounts"),
      project.sluice("show", "crm/feed"),
      project.sluice("why", "crm/accounts"),
    ]);
    assert.ok(lines(list).includes("crm/accounts daily from 2024-05-01 never external functions/crm.ts"));
    assert.ok(lines(list).includes("crm/feed – never source, http functions/crm.ts"));
    assert.ok(lines(external).includes("made elsewhere; new data is told by `sluice report crm/accounts`"));
    assert.ok(lines(external).includes("table crm_export.accounts, by time of ingestion"));
    assert.ok(!external.stdout.includes("Needs"));
    assert.ok(lines(source).includes("made elsewhere; its code looks for a new version"));
    assert.match(why.stdout, /it is made elsewhere, and new data is told by `sluice report crm\/accounts`/);
  });

  test("materialize and report each point to the other", async () => {
    const [materialize, report, observed, version] = await Promise.all([
      project.sluice("materialize", "crm/accounts,crm/feed"),
      project.sluice("report", "crm/sizes"),
      project.sluice("report", "crm/feed"),
      project.sluice("report", "crm/accounts", "--metadata", "[1]"),
    ]);
    const pointer = "crm/accounts is made elsewhere: tell that it has new data with `sluice report crm/accounts`";
    assert.deepEqual(says(materialize), [2, `error: ${pointer}`]);
    const own = "crm/sizes is made by its own code: materialize it with `sluice materialize crm/sizes`";
    assert.deepEqual(says(report), [2, `error: ${own}`]);
    const looked = "crm/feed is looked at by its own code: do so with `sluice materialize crm/feed`";
    assert.deepEqual(says(observed), [2, `error: ${looked}`]);
    assert.deepEqual(says(version), [2, "error: --metadata takes a JSON object, got [1]"]);
  });

  test("a report is followed to its end; a selection leaves out what is made elsewhere", async () => {
    const report = [
      "report",
      "crm/accounts",
      "--partition",
      "2024-05-01",
      "--version",
      "v1",
      "--metadata",
      '{"rows":3}',
    ];
    const first = await project.sluice(...report);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /crm\/accounts {2}2024-05-01 {2}reported version v1 → crm_export\.accounts rows=3/);
    const again = await project.json(...report);
    const { status, reason } = again as { status: string; reason: string };
    assert.deepEqual([status, reason], ["skipped", "it is still version v1"]);
    const all = await project.sluice("materialize", "crm/*");
    assert.equal(all.code, 0, all.stderr);
    assert.match(all.stdout, /crm\/feed {2}observed version 7/);
    assert.match(all.stdout, /crm\/feed {2}started \(for crm\/sizes\)/);
    assert.ok(!/crm\/accounts.*started/.test(all.stdout));
  });

  test("a renamed asset: its old key is pointed on, and what it did is its own, before and after anything has moved", async () => {
    const runsBefore = (await project.json("runs", "--asset", "crm/sizes")) as { name: string }[];
    assert.ok(runsBefore.length > 0);
    project.write("functions/crm.ts", RENAMED);
    const look = () =>
      Promise.all([
        project.sluice("show", "crm/sizes"),
        project.sluice("show", "crm/account_sizes"),
        project.sluice("events", "--asset", "crm/account_sizes", "--type", "materialized"),
        project.json("runs", "--asset", "crm/account_sizes"),
        project.sluice("why", "crm/account_sizes"),
      ]);
    for (const round of ["before", "after"]) {
      const [old, shown, events, runs, why] = await look();
      assert.deepEqual(says(old), [2, "error: crm/sizes is called crm/account_sizes now"], round);
      assert.ok(lines(shown).includes("called before crm/sizes"), round);
      assert.ok(lines(shown).includes("partitions held 1 partition"), round);
      assert.match(shown.stdout, /latest +at 20/, round);
      assert.match(events.stdout, /crm\/sizes {2}materialized/, round);
      assert.deepEqual(runs, runsBefore, round);
      assert.match(why.stdout, /it was made from what its upstreams show/, round);
      if (round === "after") break;
      // Whatever does some work opens the platform, where everything moves.
      await project.sluice("report", "crm/accounts", "--partition", "2024-05-01", "--version", "v1");
    }
    const renamed = await project.sluice("events", "--type", "asset.renamed");
    assert.match(renamed.stdout, /crm\/account_sizes {2}took over the history of crm\/sizes/);
  });

  test("the same through a running dev, where a rename takes effect at once", async () => {
    const running = await project.dev();
    const keys = project.sluice("events", "--asset", "crm/account_sizes", "--type", "materialized");
    assert.match((await keys).stdout, /crm\/sizes {2}materialized/);
    const third = RENAMED.replace('["crm/sizes"]', '["crm/sizes", "crm/account_sizes"]');
    project.write("functions/crm.ts", third.replace('key: "crm/account_sizes"', 'key: "crm/measures"'));
    await running.until(/reloaded/);
    const report = await project.sluice("report", "crm/accounts", "--partition", "2024-05-02");
    assert.equal(report.code, 0, report.stderr);
    await running.until(/crm\/measures.*took over the history of crm\/account_sizes/);
    const shown = await project.sluice("show", "crm/measures");
    assert.ok(lines(shown).includes("called before crm/sizes, crm/account_sizes"));
    running.kill("SIGINT");
    await running.ended;
  });
});
