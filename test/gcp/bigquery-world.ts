/** The adapter over the unmodified client and the fake BigQuery. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThroughClient } from "google-auth-library";
import { bigqueryClient } from "../../lib/gcp/bigquery-client.ts";
import { bigqueryWarehouse, type BigqueryWarehouseOptions } from "../../lib/gcp/bigquery-warehouse.ts";
import { systemClock, systemRandom } from "../../lib/local/system-clock.ts";
import { startFakeBigquery, type FakeBigquery } from "../fakes/fake-bigquery.ts";
import type { WarehouseUnderTest } from "../ports/warehouse-conformance.ts";

// The client would look for a machine of Google's.
process.env["METADATA_SERVER_DETECTION"] = "none";

export interface BigqueryUnderTest extends WarehouseUnderTest {
  readonly fake: FakeBigquery;
  readonly options: BigqueryWarehouseOptions;
}

export async function bigqueryUnderTest(more: Partial<BigqueryWarehouseOptions> = {}): Promise<BigqueryUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "bigquery-objects-"));
  const pathOf = (uri: string): string => join(folder, uri.slice("gs://".length));
  let offset = 0;
  const clock = { ...systemClock(), now: () => Date.now() + offset };
  const fake = await startFakeBigquery({
    resolveUri: pathOf,
    clock,
    datasets: ["shop", "shop2", "other", "elsewhere"],
  });
  const { project, location } = fake;
  const options: BigqueryWarehouseOptions = {
    client: bigqueryClient({ project, endpoint: fake.url, authClient: new PassThroughClient() }),
    project,
    location,
    clock,
    random: systemRandom(),
    retry: { pauseMs: 2 },
    pollMs: { first: 8, most: 30 },
    ...more,
  };
  let release: () => void = () => undefined;
  return {
    warehouse: bigqueryWarehouse(options),
    fake,
    options,
    async writeObject(uri, bytes) {
      await mkdir(dirname(pathOf(uri)), { recursive: true });
      await writeFile(pathOf(uri), bytes);
    },
    holdJobs() {
      release = fake.holdJobs();
      return release;
    },
    advance(ms) {
      offset += ms;
    },
    async close() {
      release();
      await fake.close();
      await rm(folder, { recursive: true });
    },
  };
}
