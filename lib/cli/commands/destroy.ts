import { Command } from "commander";
import { destroyPlanner } from "../../../infra/deploy/planner.ts";
import { deploy } from "../../../infra/deploy.ts";
import type { Manifest } from "../../../infra/manifest.ts";
import type { Plan } from "../../../infra/plan/step.ts";
import { askText } from "../ask.ts";
import { example } from "../command.ts";
import type { ExitCode, Runner } from "../command.ts";
import { printDeployPlan } from "../deploy-plan.ts";
import { openDeployProgress } from "../deploy-progress.ts";
import { exitCodeOf, filesNote, printCommands, printOutcome, resultValue } from "../deploy-report.ts";
import { compileProject, isHolderGone, openSurroundings } from "../deployment.ts";
import { ENVIRONMENTS } from "../environment-file.ts";
import type { Shell } from "../shell.ts";
import { UsageError } from "../usage-error.ts";
import { confirmed, stopNotice } from "./deploy.ts";

interface Options {
  readonly env: string;
  readonly gcpProject?: string;
  readonly region?: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly wait: boolean;
  readonly confirm?: string;
}

export function destroyCommand(run: Runner): Command {
  return new Command("destroy")
    .description("take everything of an environment away but its data: tables, buckets and history stay")
    .requiredOption("--env <name>", `an environment of ${ENVIRONMENTS}, or of another file: <file.json>:<name>`)
    .option("--gcp-project <id>", "another project than the environment's own")
    .option("--region <region>", "another region than the environment's own")
    .option("--dry-run", "print the plan and its commands, and change nothing", false)
    .option("--yes", "do not ask; goes with --confirm", false)
    .option("--confirm <name>", "the environment's name once more, where nobody can be asked for it")
    .option("--wait", "wait while somebody else deploys", false)
    .addHelpText(
      "after",
      example("sluice destroy --env pr-42 --dry-run", "sluice destroy --env pr-42 --yes --confirm pr-42"),
    )
    .action(run(({ shell }, options: Options) => destroy(shell, options)));
}

async function destroy(shell: Shell, options: Options): Promise<ExitCode> {
  const began = performance.now();
  const { env, gcpProject: project, region, dryRun, wait } = options;
  const { environment, manifest } = await compileProject(shell, env, { project, region });
  const { name } = environment;
  if (options.confirm !== undefined && options.confirm !== name)
    throw new UsageError(`--confirm says ${JSON.stringify(options.confirm)}, and the environment is ${name}`);
  if (options.yes && options.confirm === undefined)
    throw new UsageError(`--yes alone destroys nothing: add --confirm ${name}`);

  const { caller, workplace, calls, ...surroundings } = await openSurroundings(shell);
  const progress = await openDeployProgress(shell);
  let keep = dryRun;
  try {
    const planner = destroyPlanner(manifest);
    stopNotice(shell, progress.say);
    const result = await deploy({
      ...surroundings,
      planner,
      caller,
      wait,
      dryRun,
      isDead: isHolderGone,
      async confirm(plan) {
        const question = `destroy ${name} in the project ${environment.project}?`;
        if (!(await confirmed(shell, options, () => printPlan(shell, plan), question))) return false;
        if (options.confirm === name) return true;
        return (await askText(`write ${name} to destroy it:`, shell.signal)) === name;
      },
      tell: progress.show,
      signal: shell.signal,
    });
    progress.close();
    keep ||= result.outcome === "failed";
    const effort = { ms: performance.now() - began, calls: calls() };
    if (result.outcome === "planned") {
      printPlan(shell, result.plan);
      await printCommands(shell, result, effort, { caller, folder: workplace.folder, before: [] });
      return 0;
    }
    printOutcome(shell, "destroyed", result, effort);
    if (result.outcome === "failed") shell.warn(filesNote(workplace.folder));
    const left = leftBehind(manifest);
    if (result.outcome !== "declined") for (const line of left) shell.print(line);
    shell.value({ ...resultValue(result, effort), left });
    return exitCodeOf(shell, result);
  } finally {
    progress.close();
    if (!keep) await workplace.remove();
  }
}

/** What stays is said in the end, in a few lines. */
function printPlan(shell: Shell, plan: Plan): void {
  printDeployPlan(shell, { ...plan, notes: [] });
}

/** What stays, and whoever wants it gone as well has to delete it. */
function leftBehind({ datasets, buckets, firestore, environment, images }: Manifest): readonly string[] {
  const { project } = environment;
  return [
    "left as they are, because they hold data or are not this environment's alone:",
    ...datasets.map(({ name }) => `  dataset ${project}.${name}`),
    ...buckets.map(({ name }) => `  bucket gs://${name}`),
    `  Firestore database ${firestore.database}`,
    `  images in ${images.repository}, and the services that are enabled in ${project}`,
  ];
}
