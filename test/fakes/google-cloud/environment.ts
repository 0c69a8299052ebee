/** The environment in which the real gcloud and bq talk to the fake cloud, and to nothing else. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const OVERRIDDEN = [
  "artifactregistry",
  "bigquery",
  "cloudbuild",
  "cloudfunctions",
  "cloudresourcemanager",
  "cloudscheduler",
  "cloudtasks",
  "eventarc",
  "firestore",
  "iam",
  "logging",
  "pubsub",
  "run",
  "secretmanager",
  "serviceusage",
  "storage",
] as const;

/** Where a path begins below an API's host, if not at its root. */
const BELOW: Readonly<Record<string, string>> = { storage: "storage/v1/", bigquery: "bigquery/v2/" };

export function cloudEnvironment(options: {
  /** Of its own: gcloud's configuration goes there. */
  readonly folder: string;
  readonly url: string;
  readonly project: string;
}): Readonly<Record<string, string>> {
  const { folder, url, project } = options;
  const config = join(folder, "gcloud");
  mkdirSync(config, { recursive: true });
  const token = join(folder, "token");
  writeFileSync(token, "not-a-token");
  const bigqueryrc = join(folder, "bigqueryrc");
  writeFileSync(
    bigqueryrc,
    [
      `--api=${url}`,
      `--discovery_file=${sdkRoot()}/platform/bq/discovery_next/bigquery.json`,
      "--headless=true",
      "",
    ].join("\n"),
  );
  const { PATH = "", HOME = folder } = process.env;
  return {
    PATH,
    HOME,
    http_proxy: url,
    https_proxy: url,
    no_proxy: "127.0.0.1,localhost",
    BIGQUERYRC: bigqueryrc,
    CLOUDSDK_CONFIG: config,
    CLOUDSDK_CORE_PROJECT: project,
    CLOUDSDK_CORE_ACCOUNT: "deployer@example.org",
    CLOUDSDK_CORE_DISABLE_PROMPTS: "1",
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: "true",
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: "true",
    CLOUDSDK_AUTH_ACCESS_TOKEN_FILE: token,
    ...Object.fromEntries(
      OVERRIDDEN.map((api) => [
        `CLOUDSDK_API_ENDPOINT_OVERRIDES_${api.toUpperCase()}`,
        `http://${api}.fake/${BELOW[api] ?? ""}`,
      ]),
    ),
  };
}

/** Throws where there is no gcloud. */
function sdkRoot(): string {
  const args = ["info", "--format=value(installation.sdk_root)"];
  return execFileSync("gcloud", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}
