/** What a factory returns: the parts that belong together. The loader takes them apart again. */
import type { AlertDefinition } from "./alert.ts";
import type { AssetDefinition } from "./asset.ts";
import type { AssetCheckDefinition } from "./check.ts";
import type { JobDefinition } from "./job.ts";
import type { SensorDefinition } from "./sensor.ts";

export interface AssetFactoryResponse {
  /** The one asset that the response is about, for those who depend on it. It counts whether `assets` has it or not. */
  readonly asset?: AssetDefinition | undefined;
  readonly assets: readonly AssetDefinition[];
  readonly sensors?: readonly SensorDefinition[];
  readonly jobs?: readonly JobDefinition[];
  readonly checks?: readonly AssetCheckDefinition[];
  readonly alerts?: readonly AlertDefinition[];
}

/** The parts of responses, each there. */
export type ResponseParts = Required<Omit<AssetFactoryResponse, "asset">>;

/** One response with the parts of all; the same object counts once. */
export function combineResponses(...responses: readonly AssetFactoryResponse[]): ResponseParts {
  return {
    assets: unique(responses.flatMap(({ asset, assets }) => (asset === undefined ? assets : [...assets, asset]))),
    sensors: unique(responses.flatMap((response) => response.sensors ?? [])),
    jobs: unique(responses.flatMap((response) => response.jobs ?? [])),
    checks: unique(responses.flatMap((response) => response.checks ?? [])),
    alerts: unique(responses.flatMap((response) => response.alerts ?? [])),
  };
}

/**
 * The assets that `keep` wants, with the sensors and checks that watch them and the jobs that those sensors request. A
 * sensor that requests an asset which is gone goes with it.
 * A job that no sensor of the response requests stays.
 */
export function filterResponse(
  response: AssetFactoryResponse,
  keep: (asset: AssetDefinition) => boolean,
): ResponseParts {
  const all = combineResponses(response);
  const gone = new Set(all.assets.filter((asset) => !keep(asset)).map((asset) => asset.key));
  const sensors = all.sensors.filter(
    ({ watches, requests }) =>
      !(watches.kind === "asset" && gone.has(watches.asset)) && !(requests.kind === "asset" && gone.has(requests.key)),
  );
  const requested = (list: readonly SensorDefinition[]): ReadonlySet<string> =>
    new Set(list.flatMap((sensor) => (sensor.requests.kind === "job" ? [sensor.requests.name] : [])));
  const before = requested(all.sensors);
  const after = requested(sensors);
  return {
    assets: all.assets.filter((asset) => !gone.has(asset.key)),
    sensors,
    jobs: all.jobs.filter((job) => !before.has(job.name) || after.has(job.name)),
    checks: all.checks.filter((check) => !gone.has(check.asset)),
    alerts: all.alerts,
  };
}

export function isFactoryResponse(value: unknown): value is AssetFactoryResponse {
  return typeof value === "object" && value !== null && "assets" in value && Array.isArray(value.assets);
}

function unique<T>(items: readonly T[]): readonly T[] {
  return [...new Set(items)];
}
