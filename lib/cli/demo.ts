/** `npm run demo`: a month of real flights through the whole platform, in a folder of its own. */
import { mkdtemp, mkdir, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PermanentError, messageOf } from "../core/errors.ts";
import {
  askTheTable,
  cleanUp,
  correctionComes,
  duplicateComes,
  lateDayComes,
  monthArrives,
  webPageComes,
} from "./demo-acts.ts";
import type { Scene } from "./demo-acts.ts";
import { chainHasFollowed, rightFileComes, secondsCome } from "./demo-chain-acts.ts";
import { prepareDrops } from "./demo-data.ts";
import { openScreen, seconds } from "./demo-screen.ts";
import type { Screen } from "./demo-screen.ts";
import { openStage } from "./demo-stage.ts";
import { verify } from "./demo-verify.ts";
import { interrupts } from "./interrupts.ts";
import { functionsLoader } from "./load-functions.ts";

const HELP = `Usage: npm run demo -- [--keep DIR]

Feeds a month of real flights through the platform and checks the result against the source.

  --keep DIR   do it in DIR, which must be empty or new, and leave it there
  --help       show this
`;

const project = fileURLToPath(new URL("../../", import.meta.url));

/** Resolves with the exit code. */
async function main(): Promise<number> {
  const began = performance.now();
  const { values } = parseArgs({ options: { keep: { type: "string" }, help: { type: "boolean" } } });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const home = await freshFolder(values.keep);
  const interrupted = new AbortController();
  const interrupt = interrupts({
    now: () => performance.now(),
    sameKeyMs: 1_000,
    stop: () => interrupted.abort(new PermanentError("interrupted", { code: "interrupted" })),
    end: () => process.exit(130),
  });
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, interrupt);
  // Whoever reads the output may leave before its end, as `head` does.
  process.stdout.on("error", interrupt);
  const screen = openScreen(process.stdout, process.stdout.isTTY && process.env["CI"] === undefined);
  try {
    await play(home, screen, interrupted.signal);
  } catch (error) {
    screen.close();
    screen.line("");
    screen.verdict(false, messageOf(error));
  } finally {
    screen.close();
    if (values.keep === undefined) await rm(home, { recursive: true, force: true });
    for (const name of ["SIGINT", "SIGTERM"] as const) process.removeListener(name, interrupt);
  }
  screen.line("");
  screen.line(`${seconds(performance.now() - began)} in all.`);
  if (values.keep === undefined) screen.line("The folder is gone again; npm run demo -- --keep DIR keeps it.");
  else screen.line(`It is all in ${home}; look around: npm run sluice -- --home ${home} runs`);
  if (interrupted.signal.aborted) return 130;
  return screen.failures === 0 ? 0 : 1;
}

async function play(home: string, screen: Screen, signal: AbortSignal): Promise<void> {
  screen.title(
    "Sluice: from dropped files to tables",
    `A bucket, a watcher, a bus, runs and a warehouse, all in this process, in\n${home}.`,
  );
  const { definitions, problems } = await functionsLoader(project).load();
  for (const problem of problems) screen.verdict(false, messageOf(problem));
  const incoming = join(home, "incoming");
  const drops = await prepareDrops(incoming, signal);
  const stage = await openStage({
    home,
    definitions,
    signal,
    onError: (error) => screen.verdict(false, messageOf(error)),
  });
  const scene: Scene = { stage, drops, screen };
  try {
    await monthArrives(scene);
    await duplicateComes(scene);
    await lateDayComes(scene);
    await correctionComes(scene);
    await webPageComes(scene);
    await cleanUp(scene);
    await askTheTable(scene);
    await chainHasFollowed(scene);
    await secondsCome(scene);
    await rightFileComes(scene);
    screen.act("The reckoning", "Every figure again, computed from the source file by a DuckDB alone.");
    screen.figures(await verify(stage));
  } finally {
    screen.close();
    await stage.close();
    await rm(incoming, { recursive: true, force: true });
  }
}

async function freshFolder(keep: string | undefined): Promise<string> {
  if (keep === undefined) return await mkdtemp(join(tmpdir(), "sluice-demo-"));
  const folder = resolve(keep);
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0) {
    throw new PermanentError(`${folder} is not empty: name a new folder with --keep`, { code: "bad-input" });
  }
  return folder;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`demo: ${messageOf(error)}\n`);
  process.exitCode = 1;
}
