/** Whether what a deployment runs is what is defined here: from its state object and a real build of the authors' modules. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { codeHashes } from "../../infra/build.ts";
import type { State } from "../../infra/plan/state.ts";
import { stateText } from "../../infra/plan/state.ts";
import { differingCode } from "../../lib/cli/deployed-code.ts";
import { printDiffering } from "../../lib/cli/differing-code.ts";
import { functionsLoader } from "../../lib/cli/load-functions.ts";
import type { Shell } from "../../lib/cli/shell.ts";
import type { Workbench } from "../../lib/cli/workbench.ts";
import { temporaryProject } from "../support/sluice-command.ts";

const one = (key: string, text: string): string => `
  import { asset } from "sluice";
  export const a = asset({ key: "${key}", async materialize() { return "${text}"; } });
`;
const PLACE = { name: "pr-1", project: "own-project", region: "europe-west1", location: "EU", namePrefix: "pr-1-" };
const environment = { ...PLACE, deploymentBucket: "deploys" };

describe("the code of a deployment", () => {
  const project = temporaryProject({ "a.ts": one("shop/a", "1"), "b.ts": one("shop/b", "1") });
  after(() => project.remove());
  const loader = functionsLoader(project.root);
  const differs = async (text: string): Promise<object> => {
    const asked: string[] = [];
    const objects = {
      async *read(bucket: string, name: string) {
        asked.push(`${bucket}/${name}`);
        if (text === "") throw new Error("there is no such object");
        yield Buffer.from(text);
      },
    };
    const differing = await differingCode({ root: project.root, loaded: await loader.load(), objects, environment });
    assert.deepEqual(asked, ["deploys/sluice/state/pr-1.json"]);
    return Object.fromEntries(differing);
  };
  const state = (resources: State["resources"]): string =>
    stateText({ version: 1, environment: PLACE, numbers: {}, resources });
  let deployed = "";

  before(async () => {
    const hashes = await codeHashes({ root: project.root, ...(await loader.load()) });
    const records = ["a", "b"].map((name) => {
      const code = hashes.get(`asset shop/${name}`);
      assert.ok(code);
      return [`function pr-1-asset-shop-${name}`, { hash: "of all that it can load", code }] as const;
    });
    deployed = state(Object.fromEntries(records));
  });

  test("is that of this checkout, or of what was edited since, or is not there", async () => {
    assert.deepEqual(await differs(deployed), {});
    project.write("functions/a.ts", one("shop/a", "2"));
    project.write("functions/c.ts", one("shop/c", "1"));
    assert.deepEqual(await differs(deployed), { "shop/a": "changed", "shop/c": "missing" });
  });

  test("is not known where nothing can be read, or where an earlier version has written the state", async () => {
    for (const text of ["", "{", state({}).replace('"version": 1', '"version": 2')])
      assert.deepEqual(await differs(text), {});
    const old = ["a", "b", "c"].map((name) => [`function pr-1-asset-shop-${name}`, { hash: "of all" }] as const);
    assert.deepEqual(await differs(state(Object.fromEntries(old))), {});
  });

  test("is a line about those that are shown", () => {
    const lines: string[] = [];
    // Only these are looked at.
    const shell = { print: (line: string) => void lines.push(line) } as unknown as Shell;
    const bench = { deployment: "prod" } as unknown as Workbench;
    const differing = new Map([
      ["shop/a", "changed"],
      ["shop/c", "missing"],
    ] as const);
    printDiffering(shell, bench, differing, ["shop/b"]);
    assert.deepEqual(lines, []);
    printDiffering(shell, bench, differing, ["shop/a", "shop/b", "shop/c"]);
    assert.deepEqual(lines, ["not as in prod, which runs what was deployed last: shop/a, shop/c (not deployed)"]);
  });
});
