/** What sensors are, together with what people chose for them. */
import type { SensorEntry } from "./catalog.ts";
import type { ReadableStore } from "./workbench.ts";

export type SensorState = SensorEntry & {
  readonly status: "running" | "stopped";
  /** Whether a person chose it, or it is the definition's own. */
  readonly chosen: boolean;
};

export async function sensorStates(sensors: readonly SensorEntry[], store: ReadableStore): Promise<SensorState[]> {
  const documents = new Map((await store.sensors()).map((document) => [document.name, document]));
  return sensors.map((sensor) => {
    const chosen = documents.get(sensor.name)?.status;
    return { ...sensor, status: chosen ?? sensor.defaultStatus, chosen: chosen !== undefined };
  });
}
