/** The fake as a process of its own: `node test/fakes/gcs/serve.ts BUCKET…` prints its URL, and lives until its input ends. */
import { startFakeGcs } from "../fake-gcs.ts";

const fake = await startFakeGcs({ buckets: process.argv.slice(2) });
process.stdout.write(`${fake.url}\n`);
for await (const _chunk of process.stdin);
await fake.close();
