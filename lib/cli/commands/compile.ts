import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, relative, resolve } from "node:path";
import { Command } from "commander";
import { compile } from "../../../infra/compile.ts";
import { fillingNotes } from "../../../infra/compile/partitions.ts";
import { manifestText } from "../../../infra/manifest.ts";
import type { Binding, Manifest } from "../../../infra/manifest.ts";
import { PermanentError } from "../../core/errors.ts";
import { example } from "../command.ts";
import type { Runner } from "../command.ts";
import { environmentOf, ENVIRONMENTS, refuse } from "../environment-file.ts";
import { functionsLoader } from "../load-functions.ts";
import type { Shell } from "../shell.ts";
import { countText } from "../tables.ts";

interface Options {
  readonly env: string;
  readonly out: string;
  readonly check: boolean;
}

export function compileCommand(run: Runner): Command {
  return new Command("compile")
    .description("write down all that a deployment consists of, with its permissions and their reasons")
    .option("--env <name>", `an environment of ${ENVIRONMENTS}, or of another file: <file.json>:<name>`, "prod")
    .option("--out <file>", "where it is written", "infra/manifest.json")
    .option("--check", "write nothing, and fail if the file is not what would be written", false)
    .addHelpText(
      "after",
      example("sluice compile", "sluice compile --env pr-42 --out /tmp/manifest.json", "sluice compile --check"),
    )
    .action(
      run(async ({ shell }, { env, out, check }: Options) => {
        const { environment, others } = await environmentOf(shell, env);
        const { definitions, problems: wrong } = await functionsLoader(shell.project).load();
        refuse(shell, wrong, "nothing was compiled, because the definitions have problems: correct them first");
        // The one thing of the cloud's adapters that a deployment has to know, and it loads no SDK.
        const { COMPOSITE_INDEXES, FIELD_OVERRIDES } = await import("../../gcp/firestore-indexes.ts");
        const firestore = { indexes: COMPOSITE_INDEXES, fields: FIELD_OVERRIDES };
        const { manifest, problems, filling } = compile({ definitions, environment, firestore, others });
        refuse(shell, problems, "nothing was written, because of what is listed above");
        const file = resolve(shell.project, out);
        const text = manifestText(manifest);
        if (check) {
          await compareWith(
            file,
            text,
            `${out}: run \`sluice compile --env ${env} --out ${out}\` and look at the difference`,
          );
        } else {
          await mkdir(dirname(file), { recursive: true });
          await writeFile(file, text);
        }
        shell.value(manifest);
        printSummary(shell, manifest);
        for (const note of fillingNotes(filling, Date.now())) shell.print(note);
        shell.print(check ? `${out} is up to date` : `written to ${relative(shell.project, file)}`);
        return 0;
      }),
    );
}

/** Throws `PermanentError` with the first line that differs. */
async function compareWith(file: string, text: string, remedy: string): Promise<void> {
  const there = await readFile(file, "utf8").catch(() => "");
  if (there === text) return;
  const [old, fresh] = [there.split("\n"), text.split("\n")];
  const line = fresh.findIndex((one, index) => one !== old[index]);
  const at = line < 0 ? fresh.length : line;
  throw new PermanentError(
    `not up to date at line ${at + 1} (${JSON.stringify((old[at] ?? "").trim())}, now ${JSON.stringify((fresh[at] ?? "").trim())}), ${remedy}`,
  );
}

function printSummary(shell: Shell, manifest: Manifest): void {
  const { environment, functions, topics, subscriptions, schedules, accounts, datasets, bindings } = manifest;
  shell.print(
    `${environment.name}: project ${environment.project}, ${environment.region}, datasets in ${environment.location}`,
  );
  const counts = [
    [functions.length, "function"],
    [topics.length, "topic"],
    [subscriptions.length, "subscription"],
    [schedules.length, "scheduler job"],
    [datasets.length, "dataset"],
    [accounts.length, "service account"],
    [bindings.length, "binding"],
  ] as const;
  shell.print(counts.map(([count, what]) => countText(count, what)).join(", "));
  const { foreignBindings, withheld } = manifest;
  if (foreignBindings.length > 0) shell.print("to be granted by the owners of other projects:");
  for (const binding of foreignBindings) shell.print(`  ${bindingText(binding)}`);
  if (withheld.length > 0) shell.print(`not allowed in ${environment.name}, which shares it with other environments:`);
  for (const { unit, access, reason } of withheld) shell.print(`  ${unit}: ${access} (${reason})`);
}

function bindingText({ resource, role, member, reasons }: Binding): string {
  const what = `${resource.kind} ${resource.project === undefined ? "" : `${resource.project}.`}${resource.name}`;
  return `${role} on ${what} for ${member}: ${reasons.join("; ")}`;
}
