/** All steps of the probe, the quick ones first. */
import { bigquerySteps } from "./probe-bigquery.ts";
import { firestoreSteps } from "./probe-firestore.ts";
import { lifeSteps } from "./probe-life.ts";
import { messageSteps } from "./probe-messages.ts";
import { storageSteps } from "./probe-storage.ts";
import type { ProbeStep } from "./probe.ts";

export const probeSteps: readonly ProbeStep[] = [
  ...bigquerySteps,
  ...lifeSteps,
  ...storageSteps,
  ...firestoreSteps,
  ...messageSteps,
];
