import { asset, daily, gcs, secret } from "sluice";
import { z } from "zod";

const days = z.record(z.iso.date(), z.record(z.string(), z.number()));

export const rates = asset({
  key: "finance/rates",
  partitions: daily({ start: "2024-01-01" }),
  backfill: "single-run",
  resources: { bank: secret("bank_address"), files: gcs.write("gs://finance-rates/days") },
  async materialize({ partitionRange: { from, to, keys }, signal }, { bank, files }) {
    const response = await fetch(`${bank}/rates?from=${from}&to=${to}`, { signal });
    const found = days.parse(await response.json());
    for (const key of keys) await files.write(`days/${key}.json`, [Buffer.from(JSON.stringify(found[key] ?? {}))]);
  },
});
