/** What a function may be set to, as Cloud Functions and Cloud Run refuse it. */
import { invalid } from "./errors.ts";
import { jsonAt, textAt, type Json } from "./json.ts";
import { checkLabels } from "./labels.ts";

export const RUNTIMES: readonly Json[] = ["nodejs20", "nodejs22", "nodejs24"].map((name) => ({
  name,
  displayName: name.replace("nodejs", "Node.js "),
  stage: "GA",
  environment: "GEN_2",
}));

const MAX_ENV_BYTES = 32 * 1024;
const RESERVED =
  /^(X_GOOGLE_.*|GOOGLE_.*|PORT|K_SERVICE|K_REVISION|K_CONFIGURATION|FUNCTION_TARGET|FUNCTION_SIGNATURE_TYPE)$/;

export function checkSettings(wanted: Json): void {
  const { entryPoint, runtime } = jsonAt(wanted, "buildConfig");
  const config = jsonAt(wanted, "serviceConfig");
  if (!RUNTIMES.some(({ name }) => name === runtime)) throw invalid(`The runtime ${String(runtime)} is not supported.`);
  if (typeof entryPoint !== "string" || entryPoint === "") throw invalid("buildConfig.entryPoint is required.");
  const limit = wanted["eventTrigger"] === undefined ? 3600 : 540;
  const timeout = Number(config["timeoutSeconds"] ?? 60);
  if (!(timeout >= 1 && timeout <= limit))
    throw invalid(`Timeout ${timeout} seconds is not in the range of 1 to ${limit} seconds.`);
  const cpu = cpuOf(config);
  const concurrency = Number(config["maxInstanceRequestConcurrency"] ?? 1);
  if (concurrency > 1 && cpu < 1) throw invalid("Total cpu < 1 is not supported with concurrency > 1.");
  if (concurrency < 1 || concurrency > 1000)
    throw invalid(`Concurrency ${concurrency} is not in the range of 1 to 1000.`);
  const most = Number(config["maxInstanceCount"] ?? 100);
  if (most < Number(config["minInstanceCount"] ?? 0))
    throw invalid("max_instance_count must not be below min_instance_count.");
  if (!/^\d+(\.\d+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$/.test(textAt(config, "availableMemory") || "256M")) {
    throw invalid(`Invalid memory value: ${textAt(config, "availableMemory")}`);
  }
  let bytes = 0;
  for (const [name, value] of Object.entries(jsonAt(config, "environmentVariables"))) {
    if (!/^[A-Za-z_]\w*$/.test(name)) throw invalid(`Invalid environment variable name: ${name}`);
    if (RESERVED.test(name)) throw invalid(`The environment variable ${name} is reserved.`);
    bytes += Buffer.byteLength(name) + Buffer.byteLength(String(value));
  }
  if (bytes > MAX_ENV_BYTES) throw invalid("The environment variables are larger than 32 KiB.");
  checkLabels(wanted);
}

function cpuOf(config: Json): number {
  const text = textAt(config, "availableCpu") || "0.1666";
  const cpu = text.endsWith("m") ? Number(text.slice(0, -1)) / 1000 : Number(text);
  if (!(cpu > 0 && cpu <= 8)) throw invalid(`Invalid cpu value: ${text}`);
  return cpu;
}
