/** Which project, and where its services answer. */
import { env } from "node:process";
import type { z } from "zod";
import { endpointsSchema } from "../cloud/config.ts";
import { jsonOf } from "./command.ts";
import { UsageError } from "./usage-error.ts";

export type Endpoints = z.output<typeof endpointsSchema>;

/** `SLUICE_GCP_ENDPOINTS`, JSON such as `{"bigquery":"http://127.0.0.1:9050"}`: emulators and fakes, spoken to without credentials. */
export function endpointsOf(): Endpoints {
  const text = env["SLUICE_GCP_ENDPOINTS"] ?? "";
  if (text === "") return {};
  const { data, error } = endpointsSchema.safeParse(jsonOf("SLUICE_GCP_ENDPOINTS", text));
  if (data !== undefined) return data;
  const [issue] = error.issues;
  throw new UsageError(`SLUICE_GCP_ENDPOINTS ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "unreadable"}`);
}

/** The project of `--gcp-project` or `GOOGLE_CLOUD_PROJECT`; throws `UsageError` where neither names one. */
export function gcpProjectOf(option: string | undefined): string {
  const project = option ?? env["GOOGLE_CLOUD_PROJECT"] ?? "";
  if (/^[a-z][a-z0-9.:-]{4,62}$/.test(project)) return project;
  if (project !== "") throw new UsageError(`${JSON.stringify(project)} is not the id of a Google Cloud project`);
  throw new UsageError("which Google Cloud project? name it by --gcp-project, or export GOOGLE_CLOUD_PROJECT=…");
}

/** The value under a name, or nothing at all: options that are left out must not be there. */
export function given<N extends string>(name: N, value: string | undefined): { readonly [K in N]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [K in N]?: string }); // the one name that it has
}
