/** What a person chose for a sensor outranks its definition, and outlives restarts and deployments. */
import { ref, put } from "../core/documents.ts";
import { EVENT_VERSION } from "../core/events.ts";
import type { Clock, Random } from "../ports/clock.ts";
import type { EventStore } from "../ports/event-store.ts";

/** Records the choice and its event together; choosing what is chosen already changes nothing. */
export async function switchSensor(
  { events, clock, random }: { readonly events: EventStore; readonly clock: Clock; readonly random: Random },
  name: string,
  status: "running" | "stopped",
): Promise<void> {
  const sensor = ref("sensor", name);
  const id = `switched-${random.id()}`;
  await events.transact({ sensor }, ({ sensor: before }) => {
    if (before?.status === status) return { result: undefined, writes: [], events: [] };
    return {
      result: undefined,
      writes: [put(sensor, { ...before, name, status })],
      events: [{ v: EVENT_VERSION, id, at: clock.now(), type: "sensor.switched", sensor: name, status }],
    };
  });
}
