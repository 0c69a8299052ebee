/**
 * Stubs: what a function must know of definitions whose code it does not carry. Importing an upstream must not import its code,
 * so the build puts a stub in the place of another file's definition: it changes only when the upstream's key, table, columns
 * or partitions do.
 */
import type { AlertDefinition } from "./alert.ts";
import type { AssetDefinition } from "./asset.ts";
import type { ScheduleCondition } from "./automation.ts";
import type { Definition } from "./definitions.ts";
import { PARQUET_FILES } from "./custom-io-manager.ts";
import { brand } from "./definition.ts";
import { PermanentError } from "./errors.ts";
import type { ParquetFiles } from "./parquet-files.ts";
import type { PoolDefinition } from "./pool.ts";
import { planOfFields } from "./row-plan.ts";
import type { RowPlan } from "./row-plan.ts";
import { rowShape } from "./row-shape.ts";
import type { SensorDefinition } from "./sensor.ts";

/** JSON. */
export type Stub =
  | (Pick<AssetDefinition, "key" | "previousKeys" | "external" | "target" | "partitions" | "source" | "freshness"> & {
      readonly kind: "asset";
      /** One that is all data; the code of an author's own would come along. */
      readonly ioManager?: ParquetFiles;
      readonly rows?: RowPlan;
      readonly automation?: ScheduleCondition;
      readonly multi?: NonNullable<AssetDefinition["multi"]>;
    })
  /** `multi`: that of a multi-asset, whose outputs have stubs of their own. */
  | {
      readonly kind: "job";
      readonly name: string;
      readonly multi?: { readonly outputs: Readonly<Record<string, never>> };
    }
  | ({ readonly kind: "sensor" } & Pick<SensorDefinition, "name" | "watches" | "requests">)
  | { readonly kind: "check"; readonly asset: string; readonly name: string }
  | ({ readonly kind: "pool" } & Pick<PoolDefinition, "name" | "limit">)
  | ({ readonly kind: "alert" } & Omit<AlertDefinition, typeof brand | "kind" | "description" | "assets">);

export interface StubOptions {
  /** For those who route objects. */
  readonly source?: boolean;
  /** For those who look at deadlines: of freshness, and of schedules. */
  readonly deadlines?: boolean;
}

/** What other functions may know of the definition, and nothing of its code. */
export function stubOf(definition: Definition, options: StubOptions = {}): Stub {
  switch (definition.kind) {
    case "asset": {
      const { kind, key, previousKeys, external, target, partitions, schema, ioManager } = definition;
      const source = options.source === true ? definition.source : undefined;
      const { automation, multi } = definition;
      const ticks = options.deadlines === true && automation?.kind === "schedule" ? { automation } : undefined;
      return {
        kind,
        key,
        ...(previousKeys === undefined ? {} : { previousKeys }),
        ...(external === undefined ? {} : { external }),
        ...(target === undefined ? {} : { target }),
        ...(partitions === undefined ? {} : { partitions }),
        ...(ioManager?.kind === PARQUET_FILES ? { ioManager } : {}),
        ...(source === undefined ? {} : { source }),
        ...(ticks === undefined ? {} : { ...ticks, ...(multi === undefined ? {} : { multi }) }),
        ...(options.deadlines !== true || definition.freshness === undefined
          ? {}
          : { freshness: definition.freshness }),
        ...(schema === undefined ? {} : { rows: planOfFields(rowShape(schema).fields) }),
      };
    }
    case "check":
      return { kind: definition.kind, asset: definition.asset, name: definition.name };
    case "pool":
      return { kind: definition.kind, name: definition.name, limit: definition.limit };
    case "alert": {
      const { [brand]: _, kind, description, assets, ...rest } = definition;
      return { kind, ...rest };
    }
    case "job": {
      const multi = options.deadlines === true && definition.multi !== undefined;
      return { kind: definition.kind, name: definition.name, ...(multi ? { multi: { outputs: {} } } : {}) };
    }
    case "sensor": {
      const { kind, name, watches, requests } = definition;
      return { kind, name, watches, requests };
    }
  }
}

/** A definition in the stub's place: it can be referred to and its rows can be read, but it cannot run. */
export function fromStub(stub: Stub): Readonly<Record<string, unknown>> {
  const branded = { [brand]: true as const, ...stub };
  if (stub.kind !== "asset") return Object.freeze(branded);
  return Object.freeze({
    ...branded,
    stub: true,
    owners: [],
    tags: {},
    kinds: [],
    deps: [],
    mappings: {},
    inputs: {},
    resources: {},
    needs: [],
    checks: [],
    retry: {},
    materialize(): never {
      throw new PermanentError(`the code of ${stub.key} is not part of this function`, { code: "stub" });
    },
  });
}
