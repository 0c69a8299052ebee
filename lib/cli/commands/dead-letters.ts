import { Command } from "commander";
import { deadLetterStates } from "../../core/dead-letter.ts";
import type { DeadLetterState, DeadLettered, Replayed } from "../../core/dead-letter.ts";
import type { EventType, StoredEvent } from "../../core/events.ts";
import { example, findAsset } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { ExitCode, Runner } from "../command.ts";
import { settleOrLeave } from "../settle-or-leave.ts";
import type { Shell } from "../shell.ts";
import { printTable, timeText } from "../tables.ts";
import { UsageError } from "../usage-error.ts";
import type { Workbench } from "../workbench.ts";

interface Options {
  readonly asset?: string;
  readonly all?: true;
}

export function deadLettersCommand(run: Runner): Command {
  const command = deployable(new Command("dead-letters"))
    .description("list messages that were delivered in vain, and what can be done about each")
    .option("--asset <key>", "only those for this asset")
    .option("--all", "those too that were published again")
    .addHelpText("after", example("sluice dead-letters", "sluice dead-letters replay 4f1d0a2b3c4d5e6f"))
    .action(
      run(async ({ shell, bench }, options: Options) => {
        const found = await statesOf(await bench(), options);
        list(shell, options.all === true ? found : found.filter(({ replayed }) => replayed === undefined));
        return 0;
      }),
    );
  command
    .command("replay")
    .description(
      "publish dead letters again, once the reason is mended; each takes effect once, as the message that it was",
    )
    .argument("[id]", "the dead letter; or --all")
    .addHelpText(
      "after",
      example("sluice dead-letters replay 4f1d0a2b3c4d5e6f", "sluice dead-letters --asset demo/scores --all replay"),
    )
    .action(
      run(
        async ({ shell, bench }, id: string | undefined) =>
          await replay(shell, await bench(), id, command.opts<Options>()),
      ),
    );
  return command;
}

/** Last died first. */
async function statesOf(bench: Workbench, { asset }: Options): Promise<readonly DeadLetterState[]> {
  const { assets, topics } = await bench.catalog();
  if (asset !== undefined) findAsset({ ...(await bench.catalog()), assets }, asset);
  const about = asset === undefined ? {} : { asset };
  const dead = await eventsOf(bench, "message.dead-lettered", about);
  const replayed = await eventsOf(bench, "message.replayed", about);
  // Each list was asked for by its type.
  return deadLetterStates(dead as readonly DeadLettered[], replayed as readonly Replayed[], new Set(topics));
}

async function eventsOf(
  { store }: Workbench,
  type: EventType,
  about: { readonly asset?: string },
): Promise<readonly StoredEvent[]> {
  const found: StoredEvent[] = [];
  let after: string | undefined;
  do {
    const page = await store.history({
      ...about,
      types: [type],
      limit: 1_000,
      ...(after === undefined ? {} : { after }),
    });
    found.push(...page.items);
    after = page.next;
  } while (after !== undefined);
  return found;
}

function list(shell: Shell, states: readonly DeadLetterState[]): void {
  shell.value(
    states.map(({ event, replayed, problem }) => {
      const { v, id, type, at, ...rest } = event;
      const published = replayed === undefined ? {} : { replayedAs: replayed.messageId };
      return {
        ...rest,
        diedAt: new Date(at).toISOString(),
        ...published,
        canReplay: problem === undefined,
        ...(problem === undefined ? {} : { problem }),
      };
    }),
  );
  if (states.length === 0) return shell.print("No dead letters.");
  const rows = states.map(({ event, replayed, problem }) => [
    timeText(event.at),
    { text: event.deadLetter, style: "bold" as const },
    event.subscription,
    String(event.attempts),
    event.reason ?? "",
    replayed !== undefined
      ? { text: "published again", style: "dim" as const }
      : problem === undefined
        ? `sluice dead-letters replay ${event.deadLetter}`
        : { text: problem, style: "yellow" as const },
  ]);
  printTable(shell, rows, ["DIED (UTC)", "DEAD LETTER", "OF", "TRIES", "WHY", "WHAT TO DO"]);
}

async function replay(shell: Shell, bench: Workbench, id: string | undefined, options: Options): Promise<ExitCode> {
  if ((id === undefined) === (options.all !== true)) throw new UsageError("name one dead letter, or say --all");
  const open = (await statesOf(bench, options)).filter(({ replayed }) => replayed === undefined);
  // The oldest first, as they were sent.
  const ids = id === undefined ? open.map(({ event }) => event.deadLetter).reverse() : [id];
  const results: object[] = [];
  let refused = false;
  for (const deadLetter of ids) {
    const answer = await bench.operations.replayDeadLetter(deadLetter);
    results.push({ deadLetter, ...answer });
    if (answer.kind === "refused") {
      refused = true;
      shell.warn(`error: ${deadLetter}: ${answer.reason}`);
    } else {
      const before = answer.kind === "replayed" ? "was" : "was before";
      shell.print(`${deadLetter} ${before} published again on ${answer.topic}, as message ${answer.messageId}`);
    }
  }
  if (ids.length === 0) shell.print("No dead letters.");
  else if (!bench.remote) await settleOrLeave(shell, bench);
  shell.value(results);
  return refused ? 1 : 0;
}
