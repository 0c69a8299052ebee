import { setTimeout as pause } from "node:timers/promises";
import { Command } from "commander";
import type { EventType, StoredEvent } from "../../core/events.ts";
import { namesOf } from "../../core/previous-keys.ts";
import { example, findAsset, positiveCount, unknownName } from "../command.ts";
import { deployable, paceOf } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { EVENT_TYPES, eventTexts } from "../event-lines.ts";
import { metadataLines } from "../metadata-text.ts";
import { plain } from "../shell.ts";
import { timeText } from "../tables.ts";

interface Options {
  readonly asset?: string;
  readonly partition?: string;
  readonly run?: string;
  readonly type?: readonly EventType[];
  readonly limit: number;
  readonly follow?: true;
}

const LOOK_EVERY_MS = 200;

export function eventsCommand(run: Runner): Command {
  return deployable(new Command("events"))
    .description("show the history: the last events, oldest first")
    .option("--asset <key>", "only events of this asset")
    .option("--partition <key>", "only events of this partition")
    .option("--run <id>", "only events of this run")
    .option("--type <types>", `only these types, joined by commas: ${EVENT_TYPES.join(", ")}`, typesOf)
    .option("--limit <count>", "how many, at most 1,000", positiveCount("--limit"), 50)
    .option("--follow", "go on with new events until Ctrl-C")
    .addHelpText(
      "after",
      example(
        "sluice events --asset gitcoin/passport_scores",
        "sluice events --type run.failed,object.refused",
        "sluice events --follow",
      ),
    )
    .action(
      run(async ({ shell, bench }, options: Options) => {
        const opened = await bench();
        const { store, catalog } = opened;
        const { asset, partition, run: runId, type, limit } = options;
        const names = asset === undefined ? undefined : namesOf(findAsset(await catalog(), asset));
        const filter = {
          ...(names === undefined ? {} : { asset: names }),
          ...(partition === undefined ? {} : { partition }),
          ...(runId === undefined ? {} : { run: runId }),
          ...(type === undefined ? {} : { types: type }),
        };
        const texts = eventTexts();
        const show = async (event: StoredEvent): Promise<void> => {
          if (event.run !== undefined && !texts.knows(event.run)) {
            const found = await store.get("run", event.run);
            if (found !== undefined) texts.learn(found);
          }
          shell.value(event);
          const { subject, partition: shown, text, style, details = {} } = texts.of(event);
          const { paint } = shell;
          const what = style === undefined ? plain(text) : paint(style, plain(text));
          const where = [subject, shown].filter((part) => part !== "").map(plain);
          shell.print([paint("dim", timeText(event.at)), ...where, what].join("  "));
          for (const line of metadataLines(details, paint)) shell.print(`    ${line}`);
        };

        const { items } = await store.history({ ...filter, limit });
        for (const event of items.toReversed()) await show(event);
        if (options.follow !== true) {
          if (items.length === 0) shell.print("No events.");
          return 0;
        }
        let after = items[0]?.position;
        while (!shell.signal.aborted) {
          const page = await store.history({ ...filter, order: "oldest", ...(after === undefined ? {} : { after }) });
          for (const event of page.items) await show(event);
          after = page.items.at(-1)?.position ?? after;
          if (page.next === undefined)
            await pause(paceOf(opened, LOOK_EVERY_MS), undefined, { signal: shell.signal }).catch(() => undefined);
        }
        return 0;
      }),
    );
}

function typesOf(text: string): readonly EventType[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .map((name) => {
      const type = EVENT_TYPES.find((known) => known === name);
      if (type === undefined) throw unknownName("type of event", name, EVENT_TYPES);
      return type;
    });
}
