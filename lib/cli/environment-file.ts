/** The environment that a command is about: of the project's file or another one, or named on the command line alone. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseEnvironments, placeFault } from "../../infra/environments.ts";
import type { Environment } from "../../infra/environments.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import type { Shell } from "./shell.ts";
import { UsageError } from "./usage-error.ts";

export const ENVIRONMENTS = "infra/environments.json";

/** What the command line says in place of the file. */
export interface Place {
  readonly project?: string | undefined;
  readonly region?: string | undefined;
}

export interface ChosenEnvironment {
  readonly environment: Environment;
  /** Those that are beside it in its file. */
  readonly others: readonly Environment[];
}

/** `text` is a name, or `<file.json>:<name>`. Throws `UsageError` for a file that cannot be read, and `DefinitionError` for what it says. */
export async function environmentOf(shell: Shell, text: string, place: Place = {}): Promise<ChosenEnvironment> {
  checkPlace(place);
  const [, other, named] = /^(.+\.json)(?::(.+))?$/.exec(text) ?? [];
  const file = other ?? ENVIRONMENTS;
  const value = await environmentsIn(shell, file, place, text);
  const plain = parseEnvironments(value, file);
  const [only, ...more] = plain.names;
  if (other !== undefined && named === undefined && (only === undefined || more.length > 0))
    throw new UsageError(`${file} has ${plain.names.length} environments: name one, as in ${file}:prod`);
  const name = other === undefined ? text : (named ?? only ?? "");
  const environments = parseEnvironments(moved(value, plain.keyOf(name), place), file);
  return { environment: environments.find(name), others: environments.named };
}

/** What the command line says is its own fault, and not the file's. */
function checkPlace(place: Place): void {
  for (const what of ["project", "region"] as const) {
    const text = place[what];
    const fault = text === undefined ? undefined : placeFault(what, text);
    if (fault !== undefined) throw new UsageError(`${FLAGS[what]} ${JSON.stringify(text)} ${fault}`);
  }
}

const FLAGS = { project: "--gcp-project (of deploy.sh: --project)", region: "--region" } as const;

/** Prints every problem, and throws `PermanentError` that says why nothing was done. */
export function refuse(shell: Shell, problems: readonly Error[], why: string): void {
  if (problems.length === 0) return;
  for (const problem of problems) shell.warn(messageOf(problem));
  throw new PermanentError(why);
}

async function environmentsIn({ project }: Shell, file: string, place: Place, name: string): Promise<unknown> {
  let content: string;
  try {
    content = await readFile(resolve(project, file), "utf8");
  } catch (error) {
    // Whoever names project and region needs no file.
    if (file === ENVIRONMENTS && place.project !== undefined && place.region !== undefined)
      return { version: 1, environments: { [name]: { ...place, location: locationNear(place.region) } } };
    throw new UsageError(
      `${file} cannot be read (${messageOf(error)}): write {"version":1,"environments":{"prod":{"project":…,"region":…,"location":…}}}`,
    );
  }
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new UsageError(`${file} is not JSON: ${messageOf(error)}`);
  }
}

/** The file's value with another project and region for the one entry. */
function moved(value: unknown, key: string | undefined, { project, region }: Place): unknown {
  if (key === undefined || (project === undefined && region === undefined)) return value;
  const instead = { ...(project === undefined ? {} : { project }), ...(region === undefined ? {} : { region }) };
  // It was parsed before: an object of objects.
  const { environments, ...rest } = value as { readonly environments: Readonly<Record<string, object>> };
  return { ...rest, environments: { ...environments, [key]: { ...environments[key], ...instead } } };
}

function locationNear(region: string): string {
  return region.startsWith("europe-") ? "EU" : region.startsWith("us-") ? "US" : region;
}
