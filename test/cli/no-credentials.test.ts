/** Commands about the cloud where nobody is signed in, behind a proxy that answers for Google's metadata server. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { temporaryProject } from "../support/sluice-command.ts";

const ENVIRONMENTS = {
  version: 1,
  environments: { prod: { project: "own-project", region: "europe-west1", location: "EU" } },
};

describe("without credentials", () => {
  const project = temporaryProject({});
  const proxy = createServer((_, response) => {
    response.statusCode = 403;
    response.end("denied");
  });
  before(async () => {
    await new Promise<void>((resolve) => void proxy.listen(0, "127.0.0.1", resolve));
    // A server on a port has an address.
    const { port } = proxy.address() as AddressInfo;
    for (const name of ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "METADATA_SERVER_DETECTION"])
      delete process.env[name];
    Object.assign(process.env, { HOME: project.root, GCE_METADATA_HOST: `127.0.0.1:${port}` });
    project.write("infra/environments.json", JSON.stringify(ENVIRONMENTS));
  });
  after(async () => {
    proxy.close();
    proxy.closeAllConnections();
    await project.remove();
  });

  for (const args of [
    ["list", "--env", "prod"],
    // What is no folder is the project in the cloud.
    ["probe", "--project", "own-project"],
  ])
    test(`${args.join(" ")} says so in one line`, async () => {
      const { code, stdout, stderr } = await project.sluice(...args);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, /^error: there are no credentials for Google Cloud \(.*\): run `gcloud auth .*`\n$/);
    });

  test("the probe still asks which project is meant, where a folder is named or nothing is", async () => {
    for (const args of [[], ["--project", "."]]) {
      const { code, stderr } = await project.sluice("probe", ...args);
      assert.equal(code, 2);
      assert.match(stderr, /^error: which Google Cloud project\? name it by --gcp-project/);
    }
  });
});
