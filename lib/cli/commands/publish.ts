import { Command } from "commander";
import { z } from "zod";
import { didYouMean } from "../../core/suggest.ts";
import { example, jsonOf } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { endOfHistory, follow } from "../follow.ts";
import { seeThrough } from "../outcome.ts";
import type { Roots } from "../trail.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly message?: string;
  readonly raw?: string;
  readonly attribute: Readonly<Record<string, string>>;
}

export function publishCommand(run: Runner): Command {
  return deployable(new Command("publish"))
    .description("publish a message to a topic, and follow what that triggers")
    .argument("<topic>", "asset.<prefix>.<name>, job.<name>, sensor.<name>, materialized.… or bucket.<bucket>")
    .option("--message <json>", "the message's data, as JSON")
    .option("--raw <text>", "the message's data as it is, JSON or not")
    .option("--attribute <key=value>", "an attribute; may be given several times", addAttribute, {})
    .addHelpText(
      "after",
      example(
        "sluice publish asset.gitcoin.passport_scores --message '{}'",
        `sluice publish job.passport_scores_clean_up_job --message '{"config":{"before":"2024-05-01","dryRun":true}}'`,
      ),
    )
    .action(
      run(async ({ shell, bench: open }, topic: string, options: Options) => {
        const { message, raw, attribute: attributes } = options;
        if (message !== undefined && raw !== undefined) throw new UsageError("give --message or --raw, not both");
        const body: unknown = message === undefined ? undefined : jsonOf("--message", message);
        const bench = await open();
        const { topics } = await bench.catalog();
        if (!topics.includes(topic)) {
          const hint = didYouMean(topic, topics) ?? "no asset is defined";
          throw new UsageError(`there is no topic ${JSON.stringify(topic)} (${hint})`);
        }
        const from = await endOfHistory(bench.store);
        const data = Buffer.from(message ?? raw ?? "").toString("base64");
        const messageId = await bench.publish(topic, { data, attributes });
        shell.print(`published message ${messageId} to ${topic}`);
        const follower = follow(shell, bench, from, rootsOf(messageId, { ...dataOf(body), ...dataOf(attributes) }));
        const { deployment } = bench;
        if (deployment !== undefined && !/^(?:asset|job)\./.test(topic)) {
          // Nobody can say from here whether anything follows from it.
          shell.print(`what follows from it: sluice events --follow --env ${deployment}`);
          shell.value({ topic, messageId });
          return 0;
        }
        const { code, result } = await seeThrough(shell, bench, follower);
        shell.value({ topic, messageId, ...result });
        return code;
      }),
    );
}

const dataSchema = z.object({
  runKey: z.string().optional(),
  materializationId: z.string().optional(),
  bucket: z.string().optional(),
  name: z.string().optional(),
  generation: z.coerce.string().optional(),
  bucketId: z.string().optional(),
  objectId: z.string().optional(),
  objectGeneration: z.string().optional(),
});

function dataOf(value: unknown): z.infer<typeof dataSchema> {
  return dataSchema.safeParse(value).data ?? {};
}

/** A message may say what its run is called: by a run key of its own, an upstream's materialization, or an object. */
function rootsOf(messageId: string, data: z.infer<typeof dataSchema>): Roots {
  const { runKey, materializationId } = data;
  const bucket = data.bucketId ?? data.bucket;
  const name = data.objectId ?? data.name;
  const generation = data.objectGeneration ?? data.generation;
  const isObject = bucket !== undefined && name !== undefined && generation !== undefined;
  return {
    messageId,
    runKeys: [runKey, materializationId].filter((key) => key !== undefined),
    ...(isObject ? { object: { uri: `gs://${bucket}/${name}`, generation } } : {}),
  };
}

function addAttribute(text: string, before: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`--attribute takes key=value, got ${JSON.stringify(text)}`);
  return { ...before, [text.slice(0, equals)]: text.slice(equals + 1) };
}
