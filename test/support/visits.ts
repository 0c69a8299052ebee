/** An asset with its checks, a job and a sensor: what docs/checks.md and docs/testing.md show. */
import { asset, assetCheck, assetSensor, bigqueryTable, check, daily, job, meta, resource, skip, sql } from "sluice";
import { z } from "zod";

const schema = z.object({ page: z.string(), day: z.iso.date(), people: z.int() });

export const limits = resource({
  create: () => ({ most: async (page: string): Promise<number> => (page === "/" ? 1_000 : 100) }),
});

export const visits = asset({
  key: "web/visits",
  partitions: daily({ start: "2024-05-01" }),
  schema,
  ioManager: bigqueryTable({ partitionBy: "day" }),
  checks: [
    check.unique(["page", "day"]),
    check.rowCount({ min: 1 }),
    check.custom("has_home", async ({ query, table }) => {
      for await (const _ of query(sql`SELECT 1 FROM ${table} WHERE page = "/"`)) return true;
      return { passed: false, message: "nobody has seen the home page" };
    }),
  ],
  *materialize({ row, partition, log, metadata }) {
    log.info("counting", { day: partition.key });
    metadata({ report: meta.link(`https://example.org/${partition.key}`, "the day's report") });
    yield row({ page: "/", day: partition.key, people: 12 });
  },
});

export const plausible = assetCheck({
  asset: visits,
  name: "plausible",
  blocking: true,
  resources: { limits },
  async evaluate({ rows, log }, { limits }) {
    const found = [];
    for await (const { page, people } of rows()) if (people > (await limits.most(page))) found.push({ page, people });
    log.info("looked", { found: found.length });
    const message = `${found.length} pages with too many people`;
    return { passed: found.length === 0, message, metadata: { found: meta.table(found.slice(0, 100)) } };
  },
});

export const forget = job({
  name: "forget_visits",
  config: z.strictObject({ before: z.iso.date(), dryRun: z.boolean().default(false) }),
  async run({ config, log }) {
    log.info(config.dryRun ? "would forget" : "forgets", { before: config.before });
    return { before: config.before };
  },
});

export const forgetSensor = assetSensor({
  name: "forget_visits_sensor",
  asset: visits,
  job: forget,
  evaluate({ cursor }, { partition, materializationId }) {
    if (!partition.key.endsWith("-01")) return skip("only at the start of a month");
    const request = { runKey: materializationId, config: { before: cursor ?? "2024-01-01" } };
    return { requests: [request], cursor: partition.key };
  },
});
