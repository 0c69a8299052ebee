import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import type * as zod from "zod";
import { build, codeHashes } from "../../infra/build.ts";
import type { BuildReport } from "../../infra/build.ts";
import { loadUnit } from "../../lib/cloud/unit.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import { DefinitionError } from "../../lib/core/errors.ts";
import { ROOT } from "../support/tree.ts";
import { temporaryProject } from "../support/sluice-command.ts";
import type { Project } from "../support/sluice-command.ts";

const UPSTREAM = (options: { rate?: number; name?: string; extra?: string; table?: string } = {}) => `
  import { asset, bigqueryTable, daily } from "sluice";
  import { z } from "zod";
  import { twice } from "./_shared.ts";
  export const rates = asset({
    key: "shop/rates",
    partitions: daily({ start: "2024-05-01" }),
    schema: z.object({ currency: z.string(), ${options.name ?? "rate"}: z.number()${options.extra ?? ""} }),
    ioManager: bigqueryTable(${options.table === undefined ? "" : JSON.stringify({ table: options.table })}),
    async *materialize({ row }) { yield row({ currency: "EUR", ${options.name ?? "rate"}: twice(${options.rate ?? 1}) } as never); },
  });
  export const other = 5;
  export const bundle = { asset: rates, assets: [rates], note: "a response" };
  export function helper() { return ${options.rate ?? 1}; }
`;
const DOWNSTREAM = (body = "") => `
  import { asset, bigqueryTable, daily, eager, check } from "sluice";
  import { z } from "zod";
  import { bundle, other } from "./rates.ts";
  import { twice } from "./_shared.ts";
  ${body}
  export const prices = asset({
    key: "shop/prices",
    partitions: daily({ start: "2024-05-01" }),
    inputs: { rates: bundle.asset },
    schema: z.object({ price: z.number() }),
    ioManager: bigqueryTable(),
    checks: [check.notNull("price")],
    automation: eager(),
    async *materialize({ row }, { rates }) { for await (const { rate } of rates) yield row({ price: twice(rate) * other }); },
  });
`;
const SHARED = `export const twice = (value: number): number => value * 2;`;

type Built = { readonly out: string; readonly report: BuildReport };

const projects: Project[] = [];
after(() => Promise.all(projects.map((project) => project.remove())));

async function built(files: Readonly<Record<string, string>>): Promise<Built> {
  const project = temporaryProject(files);
  projects.push(project);
  const { root } = project;
  const out = join(root, "dist");
  const { definitions, problems, modules } = await functionsLoader(root).load();
  assert.deepEqual(problems, []);
  const report = await build({ root, outDir: out, definitions, modules });
  // What a deployment has recorded of the authors' code is compared with this later.
  const code = new Map(report.functions.map((made) => [made.unit.id, made.code]));
  assert.deepEqual(await codeHashes({ root, definitions, modules }), code);
  return { out, report };
}

const moduleOf = ({ out }: { readonly out: string }, name: string): string =>
  readFileSync(join(out, "modules", `${name}.mjs`), "utf8");
const hashOf = ({ report }: { readonly report: BuildReport }, id: string): string =>
  report.functions.find(({ unit }) => unit.id === id)?.hash ?? assert.fail(id);

describe("the build", () => {
  const files = (upstream = UPSTREAM(), downstream = DOWNSTREAM(), shared = SHARED) => ({
    "rates.ts": upstream,
    "prices.ts": downstream,
    "_shared.ts": shared,
  });
  // What most of the tests look at or compare with is built once, and only read.
  let made: Promise<Built> | undefined;
  const unchanged = (): Promise<Built> => (made ??= built(files()));

  test("an upstream's code may change as it likes: the module that reads it stays the same, and so does its hash", async () => {
    const before = await unchanged();
    const after = await built(files(UPSTREAM({ rate: 7 })));
    assert.notEqual(moduleOf(before, "rates"), moduleOf(after, "rates"));
    assert.equal(moduleOf(before, "prices"), moduleOf(after, "prices"));
    assert.equal(hashOf(before, "asset shop/prices"), hashOf(after, "asset shop/prices"));
    assert.notEqual(hashOf(before, "asset shop/rates"), hashOf(after, "asset shop/rates"));
  });

  for (const [what, change] of [
    ["columns", UPSTREAM({ extra: ", since: z.iso.date().default('2024-01-01')" })],
    ["table", UPSTREAM({ table: "shop.rates_2" })],
    ["partitions", UPSTREAM().replace("2024-05-01", "2024-06-01")],
  ] as const) {
    test(`its ${what} are what the reader depends on`, async () => {
      const before = await unchanged();
      const after = await built(files(change));
      assert.notEqual(moduleOf(before, "prices"), moduleOf(after, "prices"));
      assert.notEqual(hashOf(before, "asset shop/prices"), hashOf(after, "asset shop/prices"));
    });
  }

  test("a shared helper is part of every module that uses it", async () => {
    const before = await unchanged();
    const after = await built(files(undefined, undefined, SHARED.replace("* 2", "* 2 + 0")));
    assert.notEqual(hashOf(before, "asset shop/prices"), hashOf(after, "asset shop/prices"));
  });

  test("a function loads its own module; the upstream is there as a stub that can be read and cannot run", async () => {
    const { out } = await unchanged();
    const unit = await loadUnit(pathToFileURL(join(out, "units/")).href, "asset-shop-prices");
    assert.equal(unit.id, "asset shop/prices");
    assert.deepEqual(
      unit.subscriptions.map(({ name }) => name),
      ["asset.shop.prices", "asset.shop.prices.follows.materialized.shop.rates"],
    );
    const rates = unit.definitions.assets.get("shop/rates");
    assert.deepEqual(rates?.target?.table, { dataset: "shop", table: "rates" });
    assert.throws(() => rates?.materialize({} as never, {}), /the code of shop\/rates is not part of this function/);
  });

  test("what is imported of another asset's file, and is no definition, has to move to a shared file", async () => {
    const wrong = DOWNSTREAM('import { helper } from "./rates.ts"; export const used = [helper];');
    await assert.rejects(built(files(undefined, wrong)), (error) => {
      assert.ok(error instanceof DefinitionError);
      assert.match(error.message, /helper is imported from rates\.ts, and is no definition/);
      assert.match(error.remedy ?? "", /begins with _/);
      assert.match(error.where ?? "", /functions\/prices\.ts:\d+/);
      return true;
    });
  });

  test("an upstream whose rows an author's own I/O manager keeps comes with its code, because that reads them", async () => {
    const own = `
      import { asset, ioManager } from "sluice";
      import { z } from "zod";
      const kept = ioManager({ name: "memory", write: async () => ({ n: 1 }), async *read() { yield { rate: 1 }; } });
      export const rates = asset({
        key: "shop/rates", schema: z.object({ rate: z.number() }), ioManager: kept, materialize: async () => [{ rate: 1 }],
      });
      export const bundle = { asset: rates };
      export const other = 5;
    `;
    const { out, report } = await built({
      ...files(own),
      "prices.ts": DOWNSTREAM().replaceAll('partitions: daily({ start: "2024-05-01" }),', ""),
    });
    const unit = await loadUnit(pathToFileURL(join(out, "units/")).href, "asset-shop-prices");
    assert.equal(unit.definitions.assets.get("shop/rates")?.ioManager?.kind, "custom");
    const reader = report.functions.find(({ name }) => name === "asset-shop-prices");
    assert.deepEqual(reader?.unit.files, ["functions/prices.ts", "functions/rates.ts"]);
  });

  test("every function is named once, legally, with its size and the platform's contributors", async () => {
    const { report } = await unchanged();
    const names = report.functions.map(({ name }) => name);
    assert.deepEqual(names, ["asset-shop-prices", "asset-shop-rates", "reconcile"]);
    assert.ok(report.functions.every(({ bytes }) => bytes > 100));
    assert.equal(report.contributors.length, 5);
    const { platformBytes, platformContributors, totalBytes, contributors, functions } = report;
    assert.equal(platformContributors.length, 5);
    for (const [bytes, most] of [
      [platformBytes, platformContributors] as const,
      [totalBytes, contributors] as const,
      ...functions.map((own) => [own.bytes, own.contributors] as const),
    ]) {
      const sizes = most.map((contributor) => contributor.bytes);
      assert.ok(sizes.length > 0 && sizes.length <= 5 && sizes.every((size) => size > 0));
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      );
      assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= bytes);
    }
    const reconcile = functions.find(({ name }) => name === "reconcile");
    assert.deepEqual(reconcile?.contributors, [{ name: "units", bytes: reconcile?.bytes }], "it has nothing else");
    assert.ok(report.totalBytes > report.platformBytes);
  });

  test("hardly anything stands before a function's first answer, and gRPC nowhere", async () => {
    const { out, report } = await unchanged();
    const entry = readFileSync(join(out, "index.mjs"), "utf8");
    const needed = [...entry.matchAll(/(?:from|import)\s*"(\.[^"]*)"/g)].map(([, path = ""]) => path);
    const before = [entry, ...needed.map((path) => readFileSync(join(out, path), "utf8"))].join("").length;
    assert.ok(before < 5_000, `${before} bytes are read before the first answer: ${needed.join(", ")}`);
    assert.ok(report.platformBytes < 4_000_000, `${report.platformBytes} bytes are shared by all`);
    const texts = readdirSync(join(out, "platform")).map((file) => readFileSync(join(out, "platform", file), "utf8"));
    assert.ok(!texts.some((text) => text.includes("node_modules/@grpc/grpc-js")));
    assert.ok(!texts.some((text) => text.includes(ROOT)), "no path of the machine is in it");
  });

  test("what a function loads is the same, byte by byte, however many others its project has", async () => {
    const { out } = await unchanged();
    const others = Array.from({ length: 20 }, (_, n): [string, string] => {
      const text = UPSTREAM().replaceAll('"shop/rates"', `"more/rates_${n}"`);
      return [`more-${n}.ts`, text];
    });
    const many = await built({ ...files(), ...Object.fromEntries(others) });
    const loaded = (folder: string): ReadonlyMap<string, string> => {
      const all = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
        /\.(?:mjs|cjs|json)$/.test(file),
      );
      return new Map(all.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
    };
    const [few, more] = [loaded(out), loaded(many.out)];
    assert.ok(more.size >= few.size + 2 * others.length, "each of them is built");
    // The sweep is for all assets; it alone has to know them.
    for (const [file, text] of few) if (file !== "units/reconcile.mjs") assert.equal(more.get(file), text, file);
    const added = [...more.keys()].filter((file) => !few.has(file));
    assert.deepEqual(
      added.filter((file) => !/^(?:units|modules)\//.test(file)),
      [],
      "what all share has not grown",
    );
  });

  test("zod's languages are left out, unless an author names one", async () => {
    const { out } = await unchanged();
    const speaking = await built(files(UPSTREAM(), DOWNSTREAM("z.config(z.locales.de());")));
    const languages = async (folder: string): Promise<readonly string[]> => {
      const { z } = (await import(pathToFileURL(join(folder, "zod.mjs")).href)) as typeof zod; // the build's own
      return Object.keys(z.locales);
    };
    assert.deepEqual(await languages(out), ["en"]);
    assert.ok((await languages(speaking.out)).includes("de"));
  });

  test("a function that was not built is one clear line", async () => {
    const { out } = await unchanged();
    const folder = pathToFileURL(join(out, "units/")).href;
    await assert.rejects(loadUnit(folder, "asset-nothing"), /cannot be loaded: build and deploy it again/);
    await assert.rejects(loadUnit(folder, "../index"), /is no function's name/);
  });
});
