/** The fake as a process of its own: `node test/fakes/google-cloud/serve.ts PROJECT BUCKET…` prints its environment as JSON, and lives until its input ends. */
import { startGoogleCloud } from "../fake-google-cloud.ts";

const [project = "sluice-test", ...buckets] = process.argv.slice(2);
const cloud = await startGoogleCloud({ project, buckets: Object.fromEntries(buckets.map((name) => [name, "EU"])) });
process.stdout.write(`${JSON.stringify(cloud.env)}\n`);
for await (const _chunk of process.stdin);
for (const { method, api, path, status, body } of cloud.requests) {
  process.stderr.write(`${status} ${method} ${api} ${path}${status >= 400 ? ` ${JSON.stringify(body)}` : ""}\n`);
}
await cloud.close();
