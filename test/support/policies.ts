/** The policies of docs/policies.md. */
import { alert, asset, job, pool, pubsubTopic, secret, webhook } from "sluice";

const materialize = async (): Promise<undefined> => undefined;
const run = materialize;

export const contacts = asset({
  key: "crm/contacts",
  retry: {
    maxRetries: 3,
    on: {
      "crm-down": { maxRetries: 20, delaySeconds: 60, maxDelaySeconds: 3600 },
      TimeoutError: { maxRetries: 1 },
      quota: { maxRetries: 5, delaySeconds: 900, maxDelaySeconds: 7200 },
    },
  },
  materialize,
});

export const crm = pool({ name: "crm", limit: 2 });
export const accounts = asset({ key: "crm/accounts", pool: crm, materialize });
export const cleaning = job({ name: "cleaning", pool: "crm", run });

export const daily = asset({ key: "crm/daily", freshness: { within: "26h" }, materialize });
export const report = asset({
  key: "crm/report",
  freshness: { by: "0 9 * * 1-5", timeZone: "Europe/Berlin", lowerBound: "3h" },
  materialize,
});

export const failures = alert({
  on: ["run.failed", "check.failed", "freshness", "message.dead-lettered"],
  assets: "crm/*",
  to: webhook({ url: secret("slack_url"), format: "slack" }),
  quiet: "1h",
});
export const archive = alert({ on: ["run.failed"], to: pubsubTopic("sluice-alerts") });
