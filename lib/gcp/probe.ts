/**
 * What the adapters rely on and only Google's own services can show. Each step is small, makes what it needs under names that
 * nobody else has, and takes it away again.
 */
import { messageOf } from "../core/errors.ts";
import { tokenSource } from "./credentials.ts";
import { CannotTry, restService } from "./probe-rest.ts";
import type { Rest } from "./probe-rest.ts";

export interface ProbeStep {
  readonly name: string;
  /** What we rely on, and where. */
  readonly relies: string;
  readonly where: string;
  /** Throws `CannotTry` where it cannot show anything. */
  try(desk: Desk): Promise<Finding>;
}

export interface Finding {
  readonly holds: boolean;
  /** What was seen. */
  readonly saw: string;
}

export interface ProbeResult extends Pick<ProbeStep, "name" | "relies" | "where"> {
  readonly outcome: "confirmed" | "not-confirmed" | "not-tried";
  /** What was seen, or why nothing could be. */
  readonly saw: string;
}

export interface ProbeSettings {
  readonly project: string;
  /** 16 hexadecimal digits, which name all that is made. */
  readonly id: string;
  /** BigQuery's location. */
  readonly location: string;
  /** The region of the task queue. */
  readonly region: string;
  readonly database: string;
  readonly bucket?: string;
  /** The account that tasks call as. */
  readonly taskAccount?: string;
  /** Stand-ins: URLs of Storage and BigQuery, `host:port` of all others. */
  readonly endpoints: Readonly<
    Partial<Record<"storage" | "bigquery" | "pubsub" | "firestore" | "tasks", string | undefined>>
  >;
  /** How long what takes its time (a delayed task, a dead letter) is waited for. Milliseconds, default 3 minutes. */
  readonly patienceMs?: number;
  /** Default: of the application default credentials. */
  readonly token?: () => Promise<string>;
}

/** What a step has to hand. */
export interface Desk extends Omit<ProbeSettings, "patienceMs" | "token"> {
  readonly patienceMs: number;
  readonly bigquery: Rest;
  readonly storage: Rest;
  readonly pubsub: Rest;
  readonly tasks: Rest;
  readonly firestore: Rest;
  /** Of the real Google Cloud alone. */
  readonly resources: Rest | undefined;
  readonly pubsubUrl: string;
  /** Aborted when the probe is to end. */
  readonly signal: AbortSignal;
  /** Said before a thing is made, so that it goes whatever happens. `gone`: the answer of the call says that it is not there. */
  atEnd(what: string, undo: (desk: Desk) => Promise<{ readonly status: number; readonly text: string }>): void;
  /** Makes a thing once for all steps. */
  once<T>(name: string, make: () => Promise<T>): Promise<T>;
}

export interface ProbeRun {
  readonly results: readonly ProbeResult[];
  /** What could not be taken away, and why. */
  readonly leftovers: readonly string[];
}

const CLEANING_MS = 60_000;

/**
 * One step after the other. Ends early when the signal is aborted; what was made is taken away in any case. Never rejects for
 * what a service answers.
 */
export async function runProbe(
  settings: ProbeSettings,
  steps: readonly ProbeStep[],
  { signal, onResult }: { readonly signal: AbortSignal; onResult(result: ProbeResult): void },
): Promise<ProbeRun> {
  const undos: { readonly what: string; readonly undo: Parameters<Desk["atEnd"]>[1] }[] = [];
  const made = new Map<string, Promise<unknown>>();
  const shared: Pick<Desk, "atEnd" | "once"> = {
    atEnd: (what, undo) => void undos.push({ what, undo }),
    once: <T>(name: string, make: () => Promise<T>) => {
      const found = made.get(name) ?? make();
      made.set(name, found);
      return found as Promise<T>; // one name is for one thing
    },
  };
  const complete = { ...settings, token: settings.token ?? tokenSource() };
  const desk = deskOf(complete, shared, signal);
  const results: ProbeResult[] = [];
  for (const step of steps) {
    if (signal.aborted) break;
    const result = await tried(step, desk);
    if (signal.aborted) break;
    results.push(result);
    onResult(result);
  }
  // The signal that ended the steps must not end this.
  const cleaner = deskOf(complete, shared, AbortSignal.timeout(CLEANING_MS));
  const leftovers: string[] = [];
  for (const { what, undo } of undos.reverse()) {
    const problem = await undo(cleaner).then(
      ({ status, text }) => (status < 300 || status === 404 ? undefined : `${status} ${text}`),
      messageOf,
    );
    if (problem !== undefined) leftovers.push(`${what}: ${problem}`);
  }
  return { results, leftovers };
}

async function tried(step: ProbeStep, desk: Desk): Promise<ProbeResult> {
  const { name, relies, where } = step;
  try {
    const { holds, saw } = await step.try(desk);
    return { name, relies, where, outcome: holds ? "confirmed" : "not-confirmed", saw };
  } catch (error) {
    const saw = error instanceof CannotTry ? error.message : `it broke off: ${messageOf(error)}`;
    return { name, relies, where, outcome: "not-tried", saw };
  }
}

type Complete = ProbeSettings & { readonly token: () => Promise<string> };

function deskOf(settings: Complete, shared: Pick<Desk, "atEnd" | "once">, signal: AbortSignal): Desk {
  const { endpoints, token, patienceMs = 180_000, project } = settings;
  const rest = (base: string, standIn: boolean): Rest => restService({ base, standIn, signal, token });
  const http = (host: string | undefined): string | undefined => (host === undefined ? undefined : `http://${host}`);
  const service = (own: string | undefined, real: string, below = ""): Rest =>
    rest(`${own ?? real}${below}`, own !== undefined);
  const pubsubUrl = http(endpoints.pubsub) ?? "https://pubsub.googleapis.com";
  const standIns = Object.values(endpoints).some((endpoint) => endpoint !== undefined);
  return {
    ...settings,
    ...shared,
    patienceMs,
    signal,
    pubsubUrl,
    bigquery: service(endpoints.bigquery, "https://bigquery.googleapis.com", `/bigquery/v2/projects/${project}`),
    storage: service(endpoints.storage, "https://storage.googleapis.com"),
    pubsub: rest(`${pubsubUrl}/v1/projects/${project}`, endpoints.pubsub !== undefined),
    tasks: service(http(endpoints.tasks), "https://cloudtasks.googleapis.com", "/v2"),
    firestore: service(http(endpoints.firestore), "https://firestore.googleapis.com", "/v1"),
    resources: standIns ? undefined : rest("https://cloudresourcemanager.googleapis.com", false),
  };
}
