import { join, resolve } from "node:path";
import { Command } from "commander";
import { build } from "../../../infra/build.ts";
import type { Contributor } from "../../../infra/build.ts";
import { PermanentError } from "../../core/errors.ts";
import { example } from "../command.ts";
import type { Runner } from "../command.ts";
import { functionsLoader } from "../load-functions.ts";
import { printTable } from "../tables.ts";

export function buildCommand(run: Runner): Command {
  return new Command("build")
    .description("bundle every function for the cloud, into one folder")
    .option("--out <dir>", "where it is written; emptied first", "dist")
    .addHelpText("after", example("sluice build", "sluice build --out /tmp/dist --json"))
    .action(
      run(async ({ shell }, { out }: { readonly out: string }) => {
        const { definitions, problems, modules } = await functionsLoader(shell.project).load();
        const [problem] = problems;
        if (problem !== undefined) {
          for (const { message, where } of problems) shell.warn(`${where ?? ""}: ${message}`);
          throw new PermanentError("nothing was built, because the definitions have problems: correct them first");
        }
        const outDir = resolve(shell.project, out);
        const report = await build({ root: shell.project, outDir, definitions, modules });
        shell.value({
          outDir,
          platformBytes: report.platformBytes,
          platformContributors: report.platformContributors,
          totalBytes: report.totalBytes,
          contributors: report.contributors,
          functions: report.functions.map(({ unit, ...built }) => ({ ...built, unit: unit.id })),
        });
        const rows = report.functions.map(({ name, unit, bytes, contributors }) => [
          { text: name, style: "bold" as const },
          unit.id,
          sizeText(bytes),
          contributorsText(contributors),
        ]);
        printTable(shell, rows, ["FUNCTION", "IS", "OWN SIZE", "MOST OF IT"]);
        shell.print();
        shell.print(`shared by all: ${sizeText(report.platformBytes)}, loaded as needed`);
        shell.print(`most of that: ${contributorsText(report.platformContributors)}`);
        shell.print(`all together: ${sizeText(report.totalBytes)} in ${join(out, "/")}`);
        shell.print(`most of it: ${contributorsText(report.contributors)}`);
        const [first] = report.functions;
        if (first !== undefined) {
          shell.print();
          shell.print("one of them on this machine, with the environment that `sluice compile` has written:");
          shell.print(`  ${startLine(first.name, out)}`);
        }
        return 0;
      }),
    );
}

/** For a shell. The framework starts whichever function it is told by the environment; all have the same entry. */
function startLine(name: string, out: string): string {
  const config = `$(node -p 'require("./infra/manifest.json").functions[0].env.SLUICE_CONFIG')`;
  const source = /^[\w./-]+$/.test(out) ? out : `'${out.replaceAll("'", `'\\''`)}'`;
  return `SLUICE_FUNCTION=${name} SLUICE_CONFIG="${config}" npx functions-framework --source=${source} --target=sluice`;
}

function contributorsText(contributors: readonly Contributor[]): string {
  return contributors.map(({ name, bytes }) => `${name} ${sizeText(bytes)}`).join(", ");
}

function sizeText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
