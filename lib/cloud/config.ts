/** What a deployed function is told by its environment. */
import { z } from "zod";
import { ALERT_ON } from "../core/alert.ts";
import { PermanentError } from "../core/errors.ts";

const endpoint = z.string().min(1).optional();
const milliseconds = z.int().positive().exactOptional();
const minutes = z.int().min(0);

/** Where the services answer, where that is not Google's own address: emulators and fakes. */
export const endpointsSchema = z.strictObject({
  storage: endpoint,
  bigquery: endpoint,
  pubsub: endpoint,
  firestore: endpoint,
  tasks: endpoint,
  secrets: endpoint,
});

const configSchema = z.strictObject({
  project: z.string().min(1),
  /** Of functions and task queues. */
  region: z.string().min(1),
  /** BigQuery's location. */
  location: z.string().min(1),
  /** What the names of this environment's topics begin with, and those of its datasets end with: see infra/environments.ts. */
  topicPrefix: z.string().default(""),
  datasetSuffix: z.string().default(""),
  /** The Firestore database. */
  database: z.string().min(1).default("(default)"),
  /** Rows on their way into tables, and manifests too large for a document. */
  stagingBucket: z.string().min(1),
  /** The Cloud Tasks queue of delayed messages, and the account that delivers them. */
  queue: z.string().min(1),
  taskAccount: z.string().min(1),
  /** What events somebody is told of; to who sends alerts, also what they say of where they come from. */
  alerts: z
    .strictObject({
      on: z.array(z.enum(ALERT_ON)),
      environment: z.string().default(""),
      consoleUrl: z.string().default(""),
    })
    .exactOptional(),
  /** When schedules tick; to who makes up for lost ticks. */
  schedules: z
    .strictObject({
      schedules: z.record(z.string(), z.strictObject({ cron: z.string(), timeZone: z.string() })),
      spreadMinutes: z.strictObject({ hourly: minutes, daily: minutes, weekly: minutes, monthly: minutes }),
    })
    .exactOptional(),
  /** The runtime's own times, where they differ from its defaults. */
  settings: z
    .strictObject({
      leaseMs: milliseconds,
      renewMs: milliseconds,
      waitMs: milliseconds,
      /** Below the function's own time limit, which is 540 s where its requests are events. */
      deadlineMs: z.int().positive().default(500_000),
    })
    .prefault({}),
  endpoints: endpointsSchema.default({}),
});

export type CloudConfig = z.output<typeof configSchema>;

/** Reads `SLUICE_CONFIG`, JSON that the deployment writes. Throws `PermanentError` that names what is wrong. */
export function readConfig(env: Readonly<Record<string, string | undefined>>): CloudConfig {
  const text = env["SLUICE_CONFIG"];
  const remedy = "deploy the function with Sluice, which sets it";
  if (text === undefined) throw new PermanentError(`SLUICE_CONFIG is not set: ${remedy}`, { code: "bad-config" });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new PermanentError(`SLUICE_CONFIG is not JSON: ${remedy}`, { code: "bad-config", cause });
  }
  const { data, error } = configSchema.safeParse(json);
  if (data !== undefined) return data;
  const [issue] = error.issues;
  const place = ["SLUICE_CONFIG", ...(issue?.path ?? [])].join(".");
  throw new PermanentError(`${place}: ${issue?.message ?? "unreadable"}; ${remedy}`, { code: "bad-config" });
}
