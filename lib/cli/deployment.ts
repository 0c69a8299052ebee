/** What `deploy` and `destroy` have in common: the definitions compiled, the code built and packed, and the runner with its surroundings. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import process, { env } from "node:process";
import { hostname, userInfo } from "node:os";
import { build } from "../../infra/build.ts";
import { compile } from "../../infra/compile.ts";
import type { Compiled } from "../../infra/compile.ts";
import { packFolder } from "../../infra/deploy/archive.ts";
import type { Caller } from "../../infra/deploy/calling.ts";
import { isHolderGone, openWorkplace } from "../../infra/deploy/workplace.ts";
import type { Workplace } from "../../infra/deploy/workplace.ts";
import type { DeployOptions } from "../../infra/deploy.ts";
import type { Environment } from "../../infra/environments.ts";
import { commandLineTools } from "../../infra/gcloud.ts";
import type { Tools } from "../../infra/gcloud.ts";
import type { Manifest } from "../../infra/manifest.ts";
import type { Code } from "../../infra/plan.ts";
import { withDatasetSuffix } from "../core/dataset-suffix.ts";
import type { Definitions } from "../core/definitions.ts";
import { systemClock, systemRandom } from "../local/system-clock.ts";
import { environmentOf, refuse } from "./environment-file.ts";
import type { Place } from "./environment-file.ts";
import { functionsLoader } from "./load-functions.ts";
import type { LoadedFunctions } from "./load-functions.ts";
import type { Shell } from "./shell.ts";

export interface CompiledProject {
  readonly environment: Environment;
  readonly manifest: Manifest;
  /** With the environment's datasets. */
  readonly definitions: Definitions;
  readonly loaded: LoadedFunctions;
  /** Tables that will be full one day, or are. */
  readonly filling: Compiled["filling"];
}

/** Throws `PermanentError` where definitions or manifest have problems, after printing them. */
export async function compileProject(shell: Shell, name: string, place: Place): Promise<CompiledProject> {
  const { environment, others } = await environmentOf(shell, name, place);
  const loaded = await functionsLoader(shell.project).load();
  refuse(shell, loaded.problems, "nothing was deployed, because the definitions have problems: correct them first");
  // The one thing of the cloud's adapters that a deployment has to know, and it loads no SDK.
  const { COMPOSITE_INDEXES, FIELD_OVERRIDES } = await import("../gcp/firestore-indexes.ts");
  const firestore = { indexes: COMPOSITE_INDEXES, fields: FIELD_OVERRIDES };
  const { manifest, problems, filling } = compile({ definitions: loaded.definitions, environment, firestore, others });
  refuse(shell, problems, "nothing was deployed, because of what is listed above");
  const definitions = withDatasetSuffix(loaded.definitions, environment.datasetSuffix);
  return { environment, manifest, definitions, loaded, filling };
}

/** Builds every function, and packs the one archive that all are made of. The second is its file. */
export async function buildProject(
  shell: Shell,
  { loaded }: CompiledProject,
  workplace: Workplace,
): Promise<{ readonly code: Code; readonly archive: string }> {
  const outDir = join(workplace.folder, "dist");
  const { definitions, modules } = loaded;
  const { functions } = await build({ root: shell.project, outDir, definitions, modules });
  const { bytes, sha256 } = await packFolder(outDir);
  const archive = await workplace.file("source.zip", bytes);
  // All of it is in the archive.
  await rm(outDir, { recursive: true, force: true });
  const hashes = new Map(functions.map(({ unit, hash }) => [unit.id, hash]));
  const own = new Map(functions.map(({ unit, code }) => [unit.id, code]));
  return { code: { hashes, own, archive: sha256 }, archive };
}

export interface Surroundings {
  readonly workplace: Workplace;
  readonly caller: Caller;
  readonly deployer: DeployOptions["deployer"];
  readonly programs: number;
  /** Calls of tools so far. */
  calls(): number;
}

/** Programs that mostly wait for Google; each takes a hundred megabytes. */
const PROGRAMS = 12;

export async function openSurroundings({ project }: Shell): Promise<Surroundings> {
  const [clock, random] = [systemClock(), systemRandom()];
  const token = `${random.id()}${random.id()}`;
  const workplace = await openWorkplace(token, project);
  const { tools, count } = counting(commandLineTools({ env }));
  return {
    workplace,
    caller: { tools, values: new Map(), file: workplace.file, clock, random },
    deployer: { holder: holderName(), token },
    programs: PROGRAMS,
    calls: count,
  };
}

export { isHolderGone };

function counting(tools: Tools): { readonly tools: Tools; readonly count: () => number } {
  let calls = 0;
  return {
    tools: {
      run(call) {
        calls += 1;
        return tools.run(call);
      },
    },
    count: () => calls,
  };
}

/** `ada@laptop`, or the run of CI. */
function holderName(): string {
  const { GITHUB_RUN_ID: run, GITHUB_REPOSITORY: repository = "" } = env;
  if (run !== undefined) return `the run ${run} of ${repository}`;
  return `${userName()}@${hostname()} (process ${process.pid})`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may have a user without a name.
    return "somebody";
  }
}
