import { asset, bigqueryTable, check, secret } from "sluice";
import { z } from "zod";
import { gitcoinPassportScores } from "../../functions/gitcoin.ts";

export const profiles = asset({
  key: "gitcoin/profiles",
  inputs: { scores: gitcoinPassportScores.asset },
  resources: { token: secret("passport_token") },
  schema: z.object({ address: z.string().min(1), tier: z.enum(["low", "high"]) }),
  ioManager: bigqueryTable({ clusterBy: ["address"], onInvalidRow: "discard" }),
  checks: [check.unique("address")],
  async *materialize({ row, metadata }, { scores, token }) {
    for await (const { address, score } of scores) yield row({ address, tier: score >= 20 ? "high" : "low" });
    metadata({ authenticated: token !== "" });
  },
});
