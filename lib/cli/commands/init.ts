import { basename, relative, resolve } from "node:path";
import { Command } from "commander";
import { example } from "../command.ts";
import type { ExitCode, Runner } from "../command.ts";
import { inTheWay, projectFiles, writeProject } from "../project-template.ts";
import type { Shell } from "../shell.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly name?: string;
  readonly package?: string;
}

export function initCommand(run: Runner): Command {
  return new Command("init")
    .description("start a project: an asset, its test, and all that it takes to run and to deploy it")
    .argument("[dir]", "an empty or new folder", ".")
    .option("--name <name>", "what the project is called (default: as its folder)")
    .option(
      "--package <spec>",
      "what npm installs Sluice from: a tarball, a version, an address (default: the Sluice that runs, put into vendor/)",
    )
    .addHelpText("after", example("sluice init my-project", "sluice init . --name scores"))
    .action(run(({ shell }, dir: string, options: Options) => init(shell, dir, options)));
}

async function init(shell: Shell, dir: string, options: Options): Promise<ExitCode> {
  const folder = resolve(shell.project, dir);
  const name = options.name ?? nameLike(basename(folder));
  if (!NAME.test(name))
    throw new UsageError(
      `${JSON.stringify(name)} is no name of a package: give one with --name, of lower-case letters, digits and hyphens`,
    );
  const files = await projectFiles({ name, ...(options.package === undefined ? {} : { package: options.package }) });
  const there = await inTheWay(folder, files);
  if (there.length > 0)
    throw new UsageError(
      `${folder} is not empty (${listed(there)}): name a new folder, as in sluice init my-project, or move that away`,
    );
  await writeProject(folder, files);
  const paths = files.map(({ path }) => path).sort();
  const shown = relative(process.cwd(), folder);
  const next = [`${shown === "" ? "" : `cd ${quoted(shown)} && `}npm install`, "npm test", "npm start"];
  shell.value({ folder, name, files: paths, next });
  shell.print(`${name} is in ${folder}:`);
  for (const path of paths) shell.print(`  ${path}`);
  shell.print("next:");
  for (const line of next) shell.print(`  ${line}`);
  return 0;
}

const NAME = /^[a-z0-9][a-z0-9._-]{0,99}$/;

/** `My Project` → `my-project` */
function nameLike(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "");
}

const LISTED = 3;

function listed(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : "";
  return `${names.slice(0, LISTED).join(", ")}${more}`;
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
