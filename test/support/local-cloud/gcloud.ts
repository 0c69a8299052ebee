/** The real gcloud, which talks to the Pub/Sub emulator and to nothing else. */
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs `gcloud` with a configuration of its own below `folder`; the result is what it wrote on stdout. */
export function realGcloud(folder: string, project: string, pubsubHost: string) {
  const config = join(folder, "gcloud");
  mkdirSync(config, { recursive: true });
  const token = join(config, "token");
  writeFileSync(token, "not-a-token");
  const { PATH = "", HOME = folder } = process.env;
  const env = {
    PATH,
    HOME,
    CLOUDSDK_CONFIG: config,
    CLOUDSDK_CORE_PROJECT: project,
    CLOUDSDK_CORE_ACCOUNT: "somebody@example.org",
    CLOUDSDK_CORE_DISABLE_PROMPTS: "1",
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: "true",
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: "true",
    CLOUDSDK_AUTH_ACCESS_TOKEN_FILE: token,
    CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB: `http://${pubsubHost}/`,
  };
  return async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await run("gcloud", [...args], { env, timeout: 240_000 });
    return stdout;
  };
}
