/** Faults at the calls that one piece of work makes of a service. Polling and renewals make the number of calls of the others vary. */
import type { Fault, HttpFake } from "../fakes/http-fake.ts";

export type Service = "storage" | "bigquery" | "firestore" | "pubsub" | "tasks" | "event store" | "bus";

export type FaultKind = Omit<Fault, "match" | "skip" | "times">;

export interface Injection {
  readonly service: Service;
  /** Which call of the service meets the fault, from 0. */
  readonly at: number;
  readonly fault: FaultKind;
  /** How many calls of that service meet it, one after the other. */
  readonly calls: number;
}

export interface WorkCall {
  readonly service: Service;
  readonly line: string;
  readonly hit: boolean;
}

export interface Injector {
  /** From now on calls are counted, and those of the injection fail. */
  arm(injection?: Injection): void;
  /** Calls are no part of the work any more. The result is those that were. */
  disarm(): readonly WorkCall[];
  /** Every call of this server belongs to the service. */
  attach(service: Service, server: HttpFake): void;
  /** Counts a call that goes to no server, and says what becomes of it. */
  meet(service: Service, line: string): FaultKind | undefined;
}

/** A fault after its effect comes once; what follows is the outage that its caller then meets. */
const OUTAGE: FaultKind = { fault: 503 };

export function faultInjector(): Injector {
  let work: WorkCall[] | undefined;
  let injection: Injection | undefined;
  let seen = 0;
  const servers: (readonly [Service, HttpFake])[] = [];

  function meet(service: Service, line: string): FaultKind | undefined {
    if (work === undefined) return undefined;
    const wanted = injection?.service === service ? injection : undefined;
    const after = wanted === undefined ? 0 : seen++ - wanted.at;
    const hit = wanted !== undefined && after >= 0 && after < wanted.calls;
    work.push({ service, line, hit });
    if (!hit) return undefined;
    return after === 0 || !isLate(wanted.fault) ? wanted.fault : OUTAGE;
  }

  /** The server asks its faults one after the other: the first counts the call, the others are what it may meet. */
  function watch(service: Service, server: HttpFake): void {
    server.heal();
    let met: FaultKind | undefined;
    server.fail({
      match: ({ method, path, headers }) => {
        // A delayed message that is delivered is no call of the runtime's.
        met = headers["user-agent"] === "Google-Cloud-Tasks" ? undefined : meet(service, `${method} ${path}`);
        return false;
      },
      fault: 500,
    });
    for (const kind of injection === undefined ? [] : [injection.fault, OUTAGE])
      server.fail({ ...kind, match: () => met === kind, times: Number.MAX_SAFE_INTEGER });
  }

  return {
    meet,
    arm(wanted) {
      [work, injection, seen] = [[], wanted, 0];
      for (const [service, server] of servers) watch(service, server);
    },
    disarm() {
      const done = work ?? [];
      work = undefined;
      return done;
    },
    attach: (service, server) => void servers.push([service, server]),
  };
}

export function isLate({ fault, after }: FaultKind): boolean {
  return after === true || fault === "reset-after" || fault === "cut" || fault === "slow";
}
