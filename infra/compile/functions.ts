/** Functions: each a private HTTP function that runs one unit of the build. */
import { ALERT_ON } from "../../lib/core/alert.ts";
import type { Definitions } from "../../lib/core/definitions.ts";
import type { Unit } from "../../lib/core/units.ts";
import { sizeOf } from "../environments.ts";
import type { Environment } from "../environments.ts";
import type { Accounts } from "../iam/accounts.ts";
import { HASH_LABEL } from "../manifest.ts";
import type { Manifest } from "../manifest.ts";
import { deployedNameOf, functionNameOf, queueNameOf } from "../names.ts";

type Functions = Manifest["functions"];

/** Without secrets, which follow from the needs. */
export function functionsOf(
  { alerts, assets }: Pick<Definitions, "alerts" | "assets">,
  environment: Environment,
  units: readonly Unit[],
  accounts: Accounts,
): Functions {
  const common = runtimeConfig(environment, accounts);
  const on = ALERT_ON.filter((type) => [...alerts.values()].some((alert) => alert.on.includes(type)));
  const noticing = on.length === 0 ? common : { ...common, alerts: { on } };
  const { name, consoleUrl } = environment;
  const sending = { on, environment: name, ...(consoleUrl === undefined ? {} : { consoleUrl }) };
  const config = JSON.stringify(noticing);
  // Who sends says where from, and who sweeps knows when schedules tick; the others need not change when that does.
  const { schedules, spreadMinutes } = environment;
  const ticking = [...assets.values()].some(({ automation }) => automation?.kind === "schedule");
  const sweeper = JSON.stringify({
    ...common,
    ...(on.length === 0 ? {} : { alerts: sending }),
    ...(ticking ? { schedules: { schedules, spreadMinutes } } : {}),
  });
  return units
    .map((unit): Functions[number] => {
      const { minInstances, maxInstances, concurrency, ...size } = sizeOf(environment, unit.id);
      // Sweeps that overlap would only do the same work twice.
      const alone = unit.kind === "reconcile";
      const trigger = triggerOf(environment, unit, accounts);
      return {
        name: deployedNameOf(environment.namePrefix, unit),
        unit: unit.id,
        kind: unit.kind,
        entryPoint: "sluice",
        runtime: environment.runtime,
        env: { SLUICE_FUNCTION: functionNameOf(unit), SLUICE_CONFIG: alone ? sweeper : config },
        ...size,
        concurrency: alone ? 1 : concurrency,
        minInstances: alone ? 0 : minInstances,
        maxInstances: alone ? 1 : maxInstances,
        serviceAccount: accounts.of.get(unit.id)?.email ?? "",
        ingress: "internal-only",
        secrets: [],
        labels: { ...labelsOf(environment), [HASH_LABEL]: "" },
        ...(trigger === undefined ? {} : { trigger }),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What every resource that can be labelled says of itself, so that one list call finds what is there. */
export function labelsOf({ name }: Pick<Environment, "name">): Record<string, string> {
  return { app: "sluice", "sluice-environment": name };
}

/** What the function reads at its start: see lib/cloud/config.ts. */
function runtimeConfig(environment: Environment, { tasks }: Accounts): Readonly<Record<string, string>> {
  const { project, region, location, database, stagingBucket, namePrefix, datasetSuffix } = environment;
  return {
    project,
    region,
    location,
    database,
    stagingBucket,
    queue: queueNameOf(namePrefix),
    taskAccount: tasks.email,
    ...(namePrefix === "" ? {} : { topicPrefix: namePrefix }),
    ...(datasetSuffix === "" ? {} : { datasetSuffix }),
  };
}

/** In gcloud's standard form a function has one trigger: its own topic, or its bucket. */
function triggerOf(environment: Environment, unit: Unit, { push }: Accounts): Functions[number]["trigger"] {
  const { triggers, namePrefix, region, buckets } = environment;
  const topic = triggeringTopic(unit);
  if (triggers === "push" || unit.kind === "reconcile") return undefined;
  const common = { retry: true, account: push.email } as const;
  if (unit.kind !== "bucket")
    return topic === undefined ? undefined : { kind: "topic", topic: `${namePrefix}${topic}`, ...common };
  const location = (buckets[unit.name]?.location ?? region).toLowerCase();
  const filters = { type: "google.cloud.storage.object.v1.finalized", bucket: unit.name } as const;
  return { kind: "finalize", filters, location, ...common };
}

/** Every further topic has a subscription of our own; so has that of a bucket, by which sweeps announce objects again. */
export function triggeringTopic({ kind, subscriptions }: Pick<Unit, "kind" | "subscriptions">): string | undefined {
  if (kind === "bucket") return undefined;
  return subscriptions.find(({ name, topic }) => name === topic)?.topic;
}
