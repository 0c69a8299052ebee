/** Units: what is deployed as one function, and which messages come to it. */
import type { AssetKey } from "./asset-key.ts";
import type { Definitions } from "./definitions.ts";
import { fileOf, nameOf } from "./definitions.ts";
import { subscriptionsOf, watchedBuckets } from "./subscriptions.ts";
import type { Consumer, SubscriptionPlan } from "./subscriptions.ts";

/** One function: its own code and nothing else, and the subscriptions that push to it. */
export interface Unit {
  /** Unique in the project: `asset gitcoin/passport_scores`, `job x`, `sensor x`, `bucket x`, `reconcile`. */
  readonly id: string;
  readonly kind: "asset" | "job" | "sensor" | "bucket" | "reconcile";
  /** The asset's key, or the name of the job, sensor or bucket; empty for `reconcile`. */
  readonly name: string;
  /** The modules whose code it runs, relative to the project; none for a unit that works on data alone. */
  readonly files: readonly string[];
  readonly subscriptions: readonly SubscriptionPlan[];
}

/**
 * Every unit of a project, in a stable order. A sensor that watches an asset of its own file lives in that asset's function,
 * because it needs no more than the asset's materializations; checks that other files add to an asset are bundled with it. The
 * outputs of a multi-asset are one function, that of its job.
 */
export function unitsOf(definitions: Definitions): readonly Unit[] {
  const { assets, jobs, sensors, checks } = definitions;
  const homes = new Map<string, AssetKey>();
  for (const { name, watches } of sensors.values()) {
    if (watches.kind !== "asset" || !assets.has(watches.asset)) continue;
    if (fileOf(definitions, `sensor ${name}`) === fileOf(definitions, `asset ${watches.asset}`))
      homes.set(name, watches.asset);
  }
  const plans = subscriptionsOf(definitions);
  const of = (wanted: (consumer: Consumer) => boolean): readonly SubscriptionPlan[] =>
    plans.filter(({ consumer }) => wanted(consumer));

  const units: Unit[] = [];
  for (const [key, asset] of assets) {
    if (asset.multi !== undefined) continue; // its function is the multi-asset's
    const added = checks.filter((check) => check.asset === key).map((check) => fileOf(definitions, nameOf(check)));
    // Rows that an author's own I/O manager has stored are read by its code, for which no stub can stand in.
    const managed = Object.values(asset.inputs).filter((input) => assets.get(input)?.ioManager?.kind === "custom");
    units.push({
      id: `asset ${key}`,
      kind: "asset",
      name: key,
      files: [
        ...new Set([
          fileOf(definitions, `asset ${key}`),
          ...added,
          ...managed.map((input) => fileOf(definitions, `asset ${input}`)),
        ]),
      ],
      subscriptions: of(
        (consumer) =>
          ("key" in consumer && consumer.key === key) ||
          (consumer.kind === "sensor" && homes.get(consumer.name) === key),
      ),
    });
  }
  for (const name of jobs.keys()) {
    const outputs = new Set([...assets.values()].filter(({ multi }) => multi?.name === name).map(({ key }) => key));
    const added = checks.filter((check) => outputs.has(check.asset)).map((check) => fileOf(definitions, nameOf(check)));
    const subscriptions = of(
      (consumer) =>
        (consumer.kind === "job" && consumer.name === name) ||
        ("key" in consumer && outputs.has(consumer.key)) ||
        (consumer.kind === "sensor" && outputs.has(homes.get(consumer.name) ?? "")),
    );
    units.push({
      id: `job ${name}`,
      kind: "job",
      name,
      files: [...new Set([fileOf(definitions, `job ${name}`), ...added])],
      subscriptions,
    });
  }
  for (const name of sensors.keys()) {
    if (homes.has(name)) continue;
    const subscriptions = of((consumer) => consumer.kind === "sensor" && consumer.name === name);
    units.push({
      id: `sensor ${name}`,
      kind: "sensor",
      name,
      files: [fileOf(definitions, `sensor ${name}`)],
      subscriptions,
    });
  }
  for (const bucket of watchedBuckets(definitions)) {
    const subscriptions = of((consumer) => consumer.kind === "bucket" && consumer.bucket === bucket);
    units.push({ id: `bucket ${bucket}`, kind: "bucket", name: bucket, files: [], subscriptions });
  }
  units.push({ id: "reconcile", kind: "reconcile", name: "", files: [], subscriptions: [] });
  return units;
}
