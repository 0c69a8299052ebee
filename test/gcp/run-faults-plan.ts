/** Which faults there are, for which calls of a run. */
import { SLOW_MS, scenarios } from "./run-faults.ts";
import type { FaultWorld, Scenario } from "./run-faults.ts";
import type { FaultKind, Injection, Service, WorkCall } from "./run-faults-injector.ts";
import { seededRandom } from "../support/virtual-clock.ts";

export interface Planned {
  readonly scenario: Scenario;
  readonly injection: Injection;
}

const OVER_HTTP: readonly FaultKind[] = [
  { fault: 429 },
  { fault: 500 },
  { fault: 503 },
  { fault: "reset-before" },
  { fault: "reset-after" },
  { fault: 500, after: true },
  { fault: 503, after: true },
  { fault: "cut", bytes: 10 },
];
const SLOW: FaultKind = { fault: "slow", ms: SLOW_MS };
/** The proxy in front of a service gave up waiting: before the effect, or after it. */
const LATE: readonly FaultKind[] = [{ fault: 504 }, { fault: 504, after: true }];
/** Another transaction was in the way; nothing happened. */
const ABORTED: FaultKind = { fault: 409 };
const IN_MEMORY: readonly FaultKind[] = [{ fault: "reset-before" }, { fault: "reset-after" }];

const FAULTS: Readonly<Record<Service, readonly FaultKind[]>> = {
  storage: [...OVER_HTTP, SLOW],
  bigquery: [...OVER_HTTP, SLOW],
  firestore: [...OVER_HTTP, ...LATE, ABORTED],
  pubsub: [...OVER_HTTP, ...LATE],
  tasks: [...OVER_HTTP, ...LATE],
  "event store": IN_MEMORY,
  bus: IN_MEMORY,
};

/** Once; longer than an adapter tries a call; and longer than a run is tried twice. */
const LASTING: readonly number[] = [1, 6, 11];

/** Every fault at every call of a clean run of each scenario. */
export async function everyFault(world: FaultWorld): Promise<readonly Planned[]> {
  const planned: Planned[] = [];
  for (const scenario of scenarios) {
    const calls = await world.round(scenario);
    for (const service of new Set(calls.map((call) => call.service)))
      for (const at of calls.filter((call) => call.service === service).keys())
        for (const fault of FAULTS[service])
          for (const times of fault === SLOW ? LASTING.slice(0, 2) : LASTING)
            planned.push({ scenario, injection: { service, at, fault, calls: times } });
  }
  return planned;
}

/** In an order that the seed decides. */
export function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const random = seededRandom(seed);
  const mixed = [...items];
  for (let last = mixed.length - 1; last > 0; last--) {
    const other = Math.floor(random.next() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T]; // both indexes are within
  }
  return mixed;
}

/** Throws what went wrong, with the fault, and with the calls of the run. */
export async function roundUnder(world: FaultWorld, { scenario, injection }: Planned): Promise<readonly WorkCall[]> {
  try {
    return await world.round(scenario, injection);
  } catch (error) {
    const { service, at } = injection;
    const { fault, after } = injection.fault;
    const what = `${fault}${after === true ? " after the effect" : ""}, ${injection.calls} times`;
    throw new Error(`${scenario}: ${what}, at call ${at} of ${service}: ${String(error)}`, { cause: error });
  }
}
