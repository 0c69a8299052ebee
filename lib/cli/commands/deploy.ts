import { Command } from "commander";
import { fillingNotes, fullTable } from "../../../infra/compile/partitions.ts";
import { deployPlanner } from "../../../infra/deploy/planner.ts";
import { deploy } from "../../../infra/deploy.ts";
import { unitsChosen } from "../../../infra/plan/only.ts";
import type { AssetDefinition } from "../../core/asset.ts";
import { ask, canAsk } from "../ask.ts";
import { example, unknownName } from "../command.ts";
import type { ExitCode, Runner } from "../command.ts";
import { printDeployPlan } from "../deploy-plan.ts";
import { openDeployProgress } from "../deploy-progress.ts";
import { smoke } from "../deploy-smoke.ts";
import {
  askable,
  exitCodeOf,
  filesNote,
  isAsWanted,
  printCommands,
  printOutcome,
  printTryIt,
  resultValue,
  tryIt,
} from "../deploy-report.ts";
import { buildProject, compileProject, isHolderGone, openSurroundings } from "../deployment.ts";
import { ENVIRONMENTS, refuse } from "../environment-file.ts";
import type { Shell } from "../shell.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly env: string;
  readonly gcpProject?: string;
  readonly region?: string;
  readonly only?: string;
  readonly prune: boolean;
  readonly refresh: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly wait: boolean;
  readonly smoke?: string | true;
}

export function deployCommand(run: Runner): Command {
  return new Command("deploy")
    .description("bring an environment on Google Cloud to what functions/ defines; what is as wanted is left alone")
    .option("--env <name>", `an environment of ${ENVIRONMENTS}, or of another file: <file.json>:<name>`, "prod")
    .option("--gcp-project <id>", "another project than the environment's own")
    .option("--region <region>", "another region than the environment's own")
    .option("--only <selection>", "only these assets, and what they need")
    .option("--prune", "delete what is no longer wanted; never data", false)
    .option("--refresh", "read everything again, also what changes by deployments alone", false)
    .option("--dry-run", "print the plan and its commands, and change nothing", false)
    .option("--yes", "do not ask", false)
    .option("--wait", "wait while somebody else deploys", false)
    .option("--smoke [asset]", "then ask for one asset, and follow its run to the end")
    .addHelpText(
      "after",
      example(
        "sluice deploy --dry-run",
        "sluice deploy --env pr-42 --yes --smoke gitcoin/passport_scores",
        "sluice deploy --only 'gitcoin/*' --yes",
        "sluice deploy --prune",
      ),
    )
    .action(run(({ shell }, options: Options) => deployProject(shell, options)));
}

async function deployProject(shell: Shell, options: Options): Promise<ExitCode> {
  const began = performance.now();
  const { env, gcpProject: project, region, prune, refresh, dryRun, wait } = options;
  const compiled = await compileProject(shell, env, { project, region });
  const { environment, manifest, definitions, filling } = compiled;
  const now = Date.now();
  const full = filling.flatMap((table) => fullTable(table, now) ?? []);
  refuse(shell, full, "nothing was deployed, because of what is listed above");
  const assets = askable(manifest, definitions);
  const probed = assetToSmoke(options.smoke, assets);
  const only = options.only === undefined ? {} : { only: unitsChosen(options.only, compiled.loaded.definitions) };
  shell.print(
    `${environment.name}: project ${environment.project}, ${environment.region}, data in ${environment.location}`,
  );
  for (const note of fillingNotes(filling, now)) shell.print(note);

  const { caller, workplace, calls, ...surroundings } = await openSurroundings(shell);
  const progress = await openDeployProgress(shell);
  let keep = dryRun;
  try {
    const { code, archive } = await buildProject(shell, compiled, workplace);
    caller.values.set(`archive:${code.archive}`, archive);
    const planner = deployPlanner({ manifest, code }, { prune, refresh, ...only });
    stopNotice(shell, progress.say);
    const result = await deploy({
      ...surroundings,
      planner,
      caller,
      wait,
      dryRun,
      isDead: isHolderGone,
      confirm: (plan) => confirmed(shell, options, () => printDeployPlan(shell, plan)),
      tell: progress.show,
      signal: shell.signal,
    });
    progress.close();
    keep ||= result.outcome === "failed";
    const effort = { ms: performance.now() - began, calls: calls() };
    if (result.outcome === "planned") {
      printDeployPlan(shell, result.plan);
      const before = result.first ? planner.stateCalls.bootstrap : [];
      await printCommands(shell, result, effort, { caller, folder: workplace.folder, before });
      return 0;
    }
    if (result.outcome === "unchanged") printDeployPlan(shell, result.plan);
    printOutcome(shell, "deployed", result, effort);
    if (result.outcome === "failed") shell.warn(filesNote(workplace.folder));
    const isGood = isAsWanted(result);
    if (result.outcome === "done") printTryIt(shell, environment, assets);
    const checked = isGood && probed !== undefined ? await smoke(shell, caller, environment, probed) : undefined;
    const [first] = assets;
    shell.value({
      ...resultValue(result, effort),
      ...(first === undefined || !isGood ? {} : { try: tryIt(environment, first) }),
      ...(checked === undefined ? {} : { smoke: checked.value }),
    });
    return checked?.good === false ? 1 : exitCodeOf(shell, result);
  } finally {
    progress.close();
    if (!keep) await workplace.remove();
  }
}

/** Shows what is planned, and asks unless that was said to be well. */
export async function confirmed(
  shell: Shell,
  { yes }: Pick<Options, "yes">,
  show: () => void,
  question = "carry that out?",
): Promise<boolean> {
  show();
  if (yes) return true;
  if (shell.json || !canAsk())
    throw new UsageError("nobody can be asked here: look at it with --dry-run, and say --yes");
  return await ask(question, shell.signal);
}

/** What Ctrl-C does is said when it is pressed. */
export function stopNotice({ signal }: Shell, say: (line: string) => void): void {
  const text = "stopping after what is under way; Ctrl-C again ends that as well, and the next deployment repairs it";
  signal.addEventListener("abort", () => say(text), { once: true });
}

function assetToSmoke(
  wish: string | true | undefined,
  assets: readonly AssetDefinition[],
): AssetDefinition | undefined {
  if (wish === undefined) return undefined;
  const keys = assets.map(({ key }) => key);
  const found = wish === true ? assets[0] : assets.find(({ key }) => key === wish);
  if (found !== undefined) return found;
  throw unknownName("asset with a topic", wish === true ? "" : wish, keys);
}
