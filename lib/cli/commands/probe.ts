import { existsSync } from "node:fs";
import { Command } from "commander";
import { systemRandom } from "../../local/system-clock.ts";
import type { ProbeResult } from "../../gcp/probe.ts";
import { example, positiveCount } from "../command.ts";
import type { Runner } from "../command.ts";
import { endpointsOf, gcpProjectOf } from "../gcp-address.ts";
import { requireCredentials } from "../gcp-ports.ts";
import { plain } from "../shell.ts";
import type { GlobalOptions, Shell, Style } from "../shell.ts";
import { countText } from "../tables.ts";

interface Options {
  readonly gcpProject?: string;
  readonly location: string;
  readonly region?: string;
  readonly bucket?: string;
  readonly database: string;
  readonly taskAccount?: string;
  readonly patience: number;
}

const WORDS: Readonly<Record<ProbeResult["outcome"], readonly [text: string, style: Style]>> = {
  confirmed: ["confirmed", "green"],
  "not-confirmed": ["NOT CONFIRMED", "red"],
  "not-tried": ["could not be tried", "yellow"],
};

export function probeCommand(run: Runner): Command {
  return new Command("probe")
    .description("see, on a real project, what Sluice relies on and cannot check elsewhere; takes minutes, costs cents")
    .option(
      "--gcp-project <id>",
      "the project, as is --project where that is no folder; GOOGLE_CLOUD_PROJECT where it is left out",
    )
    .option("--location <name>", "of its BigQuery dataset", "US")
    .option("--region <name>", "of its task queue; near the location where it is left out")
    .option("--bucket <name>", "a bucket in which it may write and delete objects of its own")
    .option("--database <name>", "the Firestore database", "(default)")
    .option("--task-account <email>", "the account that tasks call as")
    .option("--patience <seconds>", "how long a message is waited for", positiveCount("--patience"), 180)
    .addHelpText(
      "after",
      example(
        "sluice probe --gcp-project my-project --bucket my-bucket",
        "sluice probe --gcp-project my-project --json",
      ),
    )
    .action(
      run(async ({ shell }, { gcpProject, patience, region, ...options }: Options, command: Command) => {
        const { project } = command.optsWithGlobals<GlobalOptions>();
        // It needs no definitions, so that what is no folder of these can only be meant as the project in the cloud.
        const named = gcpProject ?? (existsSync(project) ? undefined : project);
        const address = { project: gcpProjectOf(named), endpoints: endpointsOf() };
        await requireCredentials(address);
        const id = systemRandom().id();
        const { runProbe } = await import("../../gcp/probe.ts");
        const { probeSteps } = await import("../../gcp/probe-steps.ts");
        const settings = {
          ...address,
          ...options,
          id,
          region: region ?? regionNear(options.location),
          patienceMs: patience * 1_000,
        };
        const where = `project ${address.project}, BigQuery in ${options.location}, tasks in ${settings.region}`;
        shell.print(`${shell.paint("bold", "sluice probe")}  ${where}`);
        shell.print(
          shell.paint("dim", `whatever it makes has sluice_probe_${id} (or with -) in its name, and goes at the end`),
        );
        const { signal } = shell;
        const onResult = (result: ProbeResult): void => print(shell, result);
        const { results, leftovers } = await runProbe(settings, probeSteps, { signal, onResult });
        for (const leftover of leftovers) shell.warn(`not taken away: ${leftover}`, "yellow");
        signal.throwIfAborted();
        shell.value({ project: address.project, id, results, leftovers });
        const count = (outcome: ProbeResult["outcome"]): number =>
          results.filter((result) => result.outcome === outcome).length;
        const denied = count("not-confirmed");
        shell.print(
          `${countText(count("confirmed"), "behaviour")} confirmed, ${denied} not confirmed, ${count("not-tried")} could not be tried`,
        );
        return denied > 0 ? 1 : 0;
      }),
    );
}

function print(shell: Shell, { name, relies, where, outcome, saw }: ProbeResult): void {
  const [word, style] = WORDS[outcome];
  shell.print(`${shell.paint(style, word.padEnd(18))}  ${name}: ${plain(saw)}`);
  if (outcome !== "confirmed") shell.print(shell.paint("dim", `${"".padEnd(20)}relied on: ${relies} (${where})`));
}

/** Cloud Tasks has no multi-regions. */
function regionNear(location: string): string {
  if (location.includes("-")) return location.toLowerCase();
  return location.toUpperCase() === "EU" ? "europe-west1" : "us-central1";
}
