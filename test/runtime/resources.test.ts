/** Jobs of an author's code on the staging: what was done to it is done once, and again where it is another staging by now. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bigquery } from "sluice";
import type { BigQueryResource } from "../../lib/core/resources.ts";
import { sql } from "../../lib/core/sql.ts";
import type { Execution } from "../../lib/runtime/execution.ts";
import { clientsOf } from "../../lib/runtime/resources.ts";
import type { RunLog } from "../../lib/runtime/run-log.ts";
import { defaultSettings } from "../../lib/runtime/services.ts";
import { memoryWarehouse } from "../support/memory-warehouse.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const TABLE = { dataset: "raw", table: "t__staging_0123456789ab" };
const INPUT = { bucket: "drops", name: "f.parquet", generation: "1", size: 1 };

function setUp() {
  const warehouse = memoryWarehouse(() => "1");
  const accepted: string[] = [];
  const services = {
    clock: virtualClock(),
    settings: defaultSettings,
    definitions: () => ({ assets: new Map() }),
    warehouse: {
      async submit(...job: Parameters<typeof warehouse.submit>) {
        const answer = warehouse.submit(...job);
        if (answer === "duplicate") return answer;
        accepted.push(job[0].replace(/-[0-9a-f]{16}-/, "-"));
        warehouse.run(job[0]);
        return answer;
      },
      wait: async (id: string) => warehouse.inspect(id),
      inspect: async (id: string) => warehouse.inspect(id),
      describe: async (table: typeof TABLE) => warehouse.describe(table),
    },
  };
  /** One attempt at the run, as its code sees the warehouse. */
  const attempt = async (): Promise<BigQueryResource> => {
    const execution = {
      services,
      identity: { id: "0123456789abcdef", kind: "asset", name: "a", partition: "" },
      signal: new AbortController().signal,
      jobs: new Set(),
    } as unknown as Execution; // what clients use of it
    const { bq } = await clientsOf({
      execution,
      resources: { bq: bigquery() },
      needs: [{ kind: "read-objects", bucket: "drops", prefix: "", reason: "test" }],
      log: {} as RunLog, // nothing is logged
      staging: { table: TABLE, fingerprint: "f", inputs: [INPUT] },
      tableOf: () => TABLE,
    });
    return bq as BigQueryResource; // of the resource that was just named
  };
  const load = (client: BigQueryResource) => client.load({ format: "PARQUET" });
  const change = (client: BigQueryResource) => client.run(sql`UPDATE ${TABLE} SET n = 1 WHERE TRUE`);
  return { warehouse, accepted, attempt, load, change };
}

test("an attempt that goes on does none of them twice; one that finds the staging gone does all of them again", async () => {
  const { warehouse, accepted, attempt, load, change } = setUp();
  const work = async (): Promise<void> => {
    const client = await attempt();
    await load(client);
    await change(client);
    await load(client);
  };
  await work();
  await work();
  assert.deepEqual(accepted, ["load-1-a1", "query-1-a1", "load-2-a1"]);
  warehouse.drop(TABLE);
  await work();
  assert.deepEqual(accepted.slice(3), ["load-1-a2", "query-1-a1", "load-2-a1"]);
});

test("a staging that was filled anew is not taken for the one before it, to which more was done", async () => {
  const { warehouse, accepted, attempt, load, change } = setUp();
  const first = await attempt();
  await load(first);
  await change(first);
  warehouse.drop(TABLE);
  // It dies after the load: what is there was not changed yet.
  await load(await attempt());
  const last = await attempt();
  await load(last);
  await change(last);
  assert.deepEqual(accepted.slice(2), ["load-1-a2", "query-1-a1"]);
});
