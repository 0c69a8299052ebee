import assert from "node:assert/strict";
import { after, test } from "node:test";
import { z } from "zod";
import { temporaryProject } from "../support/sluice-command.ts";

const SITE = `
import { bigqueryTable, multiAsset } from "sluice";
import { z } from "zod";
export const site = multiAsset({
  name: "site",
  config: z.object({ pages: z.int().default(2) }),
  assets: {
    people: { key: "site/people", schema: z.object({ n: z.int() }), ioManager: bigqueryTable() },
    places: { key: "site/places", schema: z.object({ n: z.int().max(2) }), ioManager: bigqueryTable() },
  },
  async *materialize({ row, selected, config, log, skipUnchanged }) {
    log.info(\`called for \${[...selected].join(" and ")}\`);
    skipUnchanged(\`v\${config.pages}\`);
    for (let n = 1; n <= config.pages; n++) yield [row.people({ n }), row.places({ n })];
  },
});
`;
const project = temporaryProject({ "site.ts": SITE });
const { sluice, json } = project;
after(() => project.remove());

const results = z.array(
  z.looseObject({ asset: z.string(), name: z.string(), status: z.string(), code: z.string().optional() }),
);

async function materialize(...args: readonly string[]): Promise<readonly string[]> {
  const found = results.parse(await json("materialize", ...args));
  return found.map(({ asset, name, status, code }) => `${asset} by ${name}: ${code ?? status}`);
}

test("a selection of several outputs is one call of their code, and each has its own run", async () => {
  const { code, stdout } = await sluice("materialize", "site/*");
  assert.equal(code, 0, stdout);
  assert.deepEqual(stdout.match(/called for .*/g), ["called for people and places"]);
  assert.match(stdout, /site\/people .*by site/);
  assert.match(stdout, /site\/places .*by site/);
  assert.deepEqual(await materialize("site/people"), ["site/people by site/people: unchanged"]);
  assert.deepEqual(await materialize("site/*"), ["site/people by site: unchanged", "site/places by site: unchanged"]);
  assert.deepEqual(await materialize("site/*", "--force"), [
    "site/people by site/people: succeeded",
    "site/places by site/places: succeeded",
  ]);
  assert.deepEqual(await materialize("site/*", "--config", '{"pages":1}'), [
    "site/people by site/people: succeeded",
    "site/places by site/places: succeeded",
  ]);
});

test("what goes wrong in the shared code fails every output, and says why", async () => {
  const { code, stdout } = await sluice("materialize", "site/*", "--config", '{"pages":3}');
  assert.equal(code, 1, stdout);
  assert.match(stdout, /row 3 of site\/places does not fit its schema/);
});
