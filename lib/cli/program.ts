/** The `sluice` command: its options, its commands, its exit codes. */
import process, { argv, env, exit, stderr, stdout } from "node:process";
import { Command, CommanderError } from "commander";
import { DefinitionError, messageOf } from "../core/errors.ts";
import { example } from "./command.ts";
import type { ExitCode, Runner } from "./command.ts";
import { backfillCommand } from "./commands/backfill.ts";
import { buildCommand } from "./commands/build.ts";
import { cancelCommand } from "./commands/cancel.ts";
import { compileCommand } from "./commands/compile.ts";
import { deadLettersCommand } from "./commands/dead-letters.ts";
import { deployCommand } from "./commands/deploy.ts";
import { destroyCommand } from "./commands/destroy.ts";
import { devCommand } from "./commands/dev.ts";
import { eventsCommand } from "./commands/events.ts";
import { initCommand } from "./commands/init.ts";
import { listCommand } from "./commands/list.ts";
import { materializeCommand } from "./commands/materialize.ts";
import { pauseCommand, resumeCommand } from "./commands/pause.ts";
import { probeCommand } from "./commands/probe.ts";
import { publishCommand } from "./commands/publish.ts";
import { putCommand } from "./commands/put.ts";
import { queryCommand } from "./commands/query.ts";
import { replayCommand } from "./commands/replay.ts";
import { reportCommand } from "./commands/report.ts";
import { rollbackCommand } from "./commands/rollback.ts";
import { runsCommand } from "./commands/runs.ts";
import { sensorCommand } from "./commands/sensor.ts";
import { showCommand } from "./commands/show.ts";
import { verifyCommand } from "./commands/verify.ts";
import { whyCommand } from "./commands/why.ts";
import type { DeploymentAddress } from "./deployed-workbench.ts";
import { interrupts } from "./interrupts.ts";
import { openShell } from "./shell.ts";
import type { GlobalOptions, Shell } from "./shell.ts";
import { UsageError } from "./usage-error.ts";
import { openWorkbench } from "./workbench.ts";
import type { Workbench } from "./workbench.ts";

const COMMANDS = [
  listCommand,
  showCommand,
  whyCommand,
  materializeCommand,
  backfillCommand,
  replayCommand,
  rollbackCommand,
  cancelCommand,
  pauseCommand,
  resumeCommand,
  reportCommand,
  runsCommand,
  eventsCommand,
  queryCommand,
  verifyCommand,
  putCommand,
  publishCommand,
  deadLettersCommand,
  sensorCommand,
  devCommand,
  buildCommand,
  compileCommand,
  deployCommand,
  destroyCommand,
  initCommand,
  probeCommand,
] as const;

/** After Ctrl-C, as shells have it. */
const INTERRUPTED = 130;
/** Under npm one Ctrl-C arrives twice: from the terminal, and passed on by npm. */
const SAME_KEY_MS = 300;

/** The command with all of its subcommands; `run` makes their actions. */
export function sluiceProgram(run: Runner): Command {
  const program = new Command("sluice");
  program
    .description("Data assets without a server: see, materialize and query what functions/ defines.")
    .option(
      "--home <dir>",
      "where buckets, warehouse and history are (default: SLUICE_HOME, or .sluice in the project)",
    )
    .option("--project <dir>", "where functions/ is", ".")
    .option("--json", "write JSON to stdout, and nothing else", false)
    .option("--verbose", "show the stack of an error", false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", example("sluice dev", "sluice list", "sluice show gitcoin/passport_scores"));
  for (const make of COMMANDS) program.addCommand(make(run));
  forEachCommand(program, (command) => {
    command.exitOverride().configureOutput({ outputError: (text) => void stderr.write(oneLine(text)) });
    if (command !== program) command.copyInheritedSettings(program);
  });
  return program;
}

/** Does what the command line says; resolves with the exit code. */
export async function runProgram(): Promise<number> {
  // Whoever reads only the first lines, as `head` does, ends the command without a fuss.
  stdout.on("error", (error: NodeJS.ErrnoException) => exit(error.code === "EPIPE" ? 0 : 1));
  const stopping = new AbortController();
  let code: number = 0;
  const run: Runner =
    (work) =>
    async (...args) => {
      const shell = openShell(program.opts<GlobalOptions>(), env["SLUICE_HOME"], stopping.signal);
      let bench: Promise<Workbench> | undefined;
      const open = (): Promise<Workbench> => (bench ??= openBench(shell, args.at(-1)));
      try {
        code = await work({ shell, bench: open }, ...args);
      } finally {
        await (await bench?.catch(() => undefined))?.close();
      }
    };

  const program = sluiceProgram(run);

  const interrupt = interrupts({
    now: () => performance.now(),
    sameKeyMs: SAME_KEY_MS,
    stop: () => stopping.abort(new Error("interrupted")),
    // Whatever still runs is left as it is, and goes on with the next command.
    end: () => exit(INTERRUPTED),
  });
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);

  try {
    await program.parseAsync(argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    if (stopping.signal.aborted) return INTERRUPTED;
    const { verbose } = program.opts<GlobalOptions>();
    const stack = verbose && error instanceof Error ? error.stack : undefined;
    stderr.write(`error: ${stack ?? messageOf(error)}\n`);
    if (error instanceof UsageError) for (const note of error.notes) stderr.write(`${note}\n`);
    const isUsage = error instanceof UsageError || error instanceof DefinitionError;
    const failed: ExitCode = isUsage ? 2 : 1;
    return failed;
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}

/** Here, or the deployment that the command's options name; commander hands every action its command last. */
async function openBench(shell: Shell, command: unknown): Promise<Workbench> {
  const options = command instanceof Command ? command.optsWithGlobals<Partial<DeploymentAddress>>() : {};
  const { env: name, gcpProject } = options;
  if (name === undefined && gcpProject !== undefined) throw new UsageError("--gcp-project goes with --env");
  if (name === undefined) return await openWorkbench(shell);
  // Loaded here, so that local work never reads a line of it.
  const { deployedWorkbench } = await import("./deployed-workbench.ts");
  return await deployedWorkbench(shell, { env: name, ...(gcpProject === undefined ? {} : { gcpProject }) });
}

function forEachCommand(command: Command, visit: (command: Command) => void): void {
  visit(command);
  for (const child of command.commands) forEachCommand(child, visit);
}

/** Commander puts its suggestion on a second line. */
function oneLine(text: string): string {
  return `${text.trim().replaceAll(/\s*\n\s*/g, " ")}\n`;
}
