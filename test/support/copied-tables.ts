/** A factory of an author's own, and what uses it: docs/factories.md. */
import {
  asset,
  assetCheck,
  assetSensor,
  bigqueryTable,
  combineResponses,
  job,
  onSchedule,
  resource,
  secret,
} from "sluice";
import { z } from "zod";

export interface Crm {
  rows(table: string): AsyncIterable<{ readonly id: string; readonly name: string }>;
  archive(table: string, before: string): Promise<number>;
}

/** The database of a CRM; what stands for it here has two rows in each table. */
export const crm = resource({
  needs: secret("crm_password").needs,
  create: async ({ secret }): Promise<Crm> => {
    await secret("crm_password");
    return {
      async *rows(table) {
        for (const id of ["1", "2"]) yield { id, name: `${table} ${id}` };
      },
      archive: async () => 2,
    };
  },
});

export function copiedTable({ name, keepDays }: { readonly name: string; readonly keepDays: number }) {
  const copy = asset({
    key: ["crm", name],
    resources: { crm },
    schema: z.object({ id: z.string(), name: z.string() }),
    ioManager: bigqueryTable(),
    automation: onSchedule("0 3 * * *"),
    async *materialize({ row }, { crm }) {
      for await (const each of crm.rows(name)) yield row(each);
    },
  });
  const notEmpty = assetCheck({ asset: copy, name: "not_empty", blocking: true, rowCount: { min: 1 } });
  const { archive, sensor } = archiving(copy, name, keepDays);
  return { asset: copy, assets: [copy], sensors: [sensor], jobs: [archive], checks: [notEmpty] };
}

function archiving(asset: { readonly key: string }, name: string, keepDays: number) {
  const archive = job({
    name: `archive_${name}`,
    resources: { crm },
    config: z.strictObject({ before: z.iso.date() }),
    run: async ({ config }, { crm }) => ({ archived: await crm.archive(name, config.before) }),
  });
  const sensor = assetSensor({
    name: `archive_${name}_sensor`,
    asset,
    job: archive,
    evaluate({ requestedAt }) {
      const before = new Date(requestedAt - keepDays * 86_400_000).toISOString().slice(0, 10);
      return { runKey: before, config: { before } };
    },
  });
  return { archive, sensor };
}

export const accounts = copiedTable({ name: "accounts", keepDays: 30 });

export const people = combineResponses(...["contacts", "leads"].map((name) => copiedTable({ name, keepDays: 7 })));
