/** What every command has in common. */
import type { Command } from "commander";
import { DefinitionError, messageOf } from "../core/errors.ts";
import { parsePartition } from "../core/partitions.ts";
import { selectAssets } from "../core/selection.ts";
import { assetGraph } from "../core/graph.ts";
import { didYouMean } from "../core/suggest.ts";
import type { AssetEntry, Catalog } from "./catalog.ts";
import type { Shell } from "./shell.ts";
import { UsageError } from "./usage-error.ts";
import type { Workbench } from "./workbench.ts";

export interface Session {
  readonly shell: Shell;
  /** Opened at the first call, and closed when the command ends. */
  bench(): Promise<Workbench>;
}

/** Exit codes: 0 it worked, 1 what was asked for failed, 2 it made no sense. */
export type ExitCode = 0 | 1 | 2;

/** Makes a command's action of its work; opens the session before it and closes it after. */
export type Runner = <A extends unknown[]>(
  work: (session: Session, ...args: A) => Promise<ExitCode>,
) => (...args: A) => Promise<void>;

export type CommandMaker = (run: Runner) => Command;

export function example(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join("\n")}`;
}

/** The asset of a key; throws `UsageError` with the nearest one. */
export function findAsset(catalog: Catalog, key: string): AssetEntry {
  const found = catalog.assets.find((asset) => asset.key === key);
  if (found !== undefined) return found;
  refusePreviousKey(catalog, key);
  const known = catalog.assets.map((asset) => asset.key);
  throw new UsageError(unknownName("asset", key, known).message, { notes: catalog.broken });
}

/** Assets of a selection such as `gitcoin/*` or `+key`, in graph order. Throws `UsageError` for one that chooses nothing. */
export function chooseAssets(catalog: Catalog, selection: string): readonly AssetEntry[] {
  refusePreviousKey(catalog, selection);
  const graph = assetGraph(catalog.assets);
  const attributes = new Map(catalog.assets.map((asset) => [asset.key, asset]));
  try {
    return selectAssets(selection, graph, attributes).map((key) => findAsset(catalog, key));
  } catch (error) {
    // What is not there may be in a file that could not be loaded.
    throw error instanceof DefinitionError
      ? new UsageError(messageOf(error), { notes: catalog.broken, cause: error })
      : error;
  }
}

function refusePreviousKey({ assets }: Catalog, key: string): void {
  if (assets.some((asset) => asset.key === key)) return;
  const renamed = assets.find(({ previousKeys = [] }) => previousKeys.includes(key));
  if (renamed !== undefined) throw new UsageError(`${key} is called ${renamed.key} now`);
}

/** The partition's own spelling; throws `DefinitionError` for one that the asset does not have. */
export function checkPartition(asset: AssetEntry, partition: string): string {
  return parsePartition(asset.partitions, partition).key;
}

export function unknownName(what: string, name: string, known: readonly string[]): UsageError {
  const hint = didYouMean(name, known) ?? `there is no ${what} yet`;
  return new UsageError(`no ${what} is called ${JSON.stringify(name)} (${hint})`);
}

/** A count that an option gives; throws `UsageError` for anything else. */
export function positiveCount(option: string): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (Number.isInteger(count) && count >= 1) return count;
    throw new UsageError(`${option} takes a whole number of 1 or more, got ${JSON.stringify(text)}`);
  };
}

/** JSON that an option gives; throws `UsageError` for anything else. */
export function jsonOf(option: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(
      `${option} is not JSON: ${JSON.stringify(text.slice(0, 60))}; quote it for the shell, as in '{}'`,
    );
  }
}
