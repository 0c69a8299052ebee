/** From definitions and an environment to the manifest of a deployment: pure, and the same bytes for the same input. */
import type { Definitions } from "../lib/core/definitions.ts";
import { withDatasetSuffix } from "../lib/core/dataset-suffix.ts";
import type { DefinitionError } from "../lib/core/errors.ts";
import { unitsOf } from "../lib/core/units.ts";
import { functionsOf } from "./compile/functions.ts";
import { loopProblems } from "./compile/loops.ts";
import { messagesOf } from "./compile/messages.ts";
import { fillingTables } from "./compile/partitions.ts";
import type { FillingTable } from "./compile/partitions.ts";
import { definitionRefusals, manifestRefusals, sharedDatasets } from "./compile/refusals.ts";
import { schedulesOf, scheduleProblems } from "./compile/schedules.ts";
import { apisOf, bucketsOf, datasetsOf, firestoreOf, imagesOf } from "./compile/stores.ts";
import type { FirestoreSchema } from "./compile/stores.ts";
import type { Environment } from "./environments.ts";
import { iamOf } from "./iam.ts";
import { accountsOf } from "./iam/accounts.ts";
import { MANIFEST_VERSION } from "./manifest.ts";
import type { Manifest } from "./manifest.ts";

export type { FirestoreSchema } from "./compile/stores.ts";

export interface CompileOptions {
  /** Without problems of their own. */
  readonly definitions: Definitions;
  readonly environment: Environment;
  /** What the event store needs of its database: see lib/gcp/firestore-indexes.ts. */
  readonly firestore: FirestoreSchema;
  /** The project's other environments, which must not write the same datasets. */
  readonly others?: readonly Environment[];
}

export interface Compiled {
  readonly manifest: Manifest;
  /** Why it must not be deployed, if there is a reason. All of them, in a stable order. */
  readonly problems: readonly DefinitionError[];
  /** Tables that will be full one day. What is full by now is known to whoever has a clock. */
  readonly filling: readonly FillingTable[];
}

/** Never throws for what definitions and environments say. */
export function compile({ definitions: authored, environment, firestore, others = [] }: CompileOptions): Compiled {
  const { name, project, region, location, triggers, namePrefix, datasetSuffix } = environment;
  const definitions = withDatasetSuffix(authored, datasetSuffix);
  const units = unitsOf(definitions);
  const accounts = accountsOf(definitions, environment, units);
  const messages = messagesOf(definitions, environment, units, accounts);
  const functions = functionsOf(definitions, environment, units, accounts);
  const iam = iamOf({ definitions, environment, units, accounts, parts: { ...messages, functions } });
  const { bindings, foreignBindings, withheld, secrets } = iam;
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    environment: { name, project, region, location, triggers, namePrefix, datasetSuffix },
    apis: apisOf(
      environment,
      [...secrets.values()].some(({ length }) => length > 0),
    ),
    accounts: accounts.all.map((account) => ({ ...account })),
    build: { account: accounts.build.email },
    deployment: { bucket: environment.deploymentBucket },
    functions: functions.map((made) => ({ ...made, secrets: secrets.get(made.unit) ?? [] })),
    ...messages,
    schedules: schedulesOf(definitions, environment, units, accounts),
    datasets: datasetsOf(definitions, environment),
    buckets: bucketsOf(environment),
    firestore: firestoreOf(environment, firestore),
    images: imagesOf(environment),
    bindings,
    foreignBindings,
    withheld,
  };
  return {
    manifest,
    problems: [
      ...definitionRefusals({ authored, environment, units, accounts }),
      ...scheduleProblems(definitions, environment),
      ...loopProblems(authored),
      ...sharedDatasets(authored, environment, others),
      ...manifestRefusals(manifest, environment),
    ],
    filling: fillingTables(definitions),
  };
}
