import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { Command } from "commander";
import { messageOf } from "../../core/errors.ts";
import { didYouMean } from "../../core/suggest.ts";
import { objectPath, parseObjectUri } from "../../local/object-path.ts";
import { example } from "../command.ts";
import type { Runner } from "../command.ts";
import { endOfHistory, follow } from "../follow.ts";
import { seeThrough } from "../outcome.ts";
import { plain } from "../shell.ts";
import { bytesText } from "../tables.ts";
import { UsageError } from "../usage-error.ts";

export function putCommand(run: Runner): Command {
  return new Command("put")
    .description("copy a file into a bucket, and follow what that triggers")
    .argument("<file>", "the file")
    .argument("<uri>", "where to: gs://bucket/name")
    .addHelpText(
      "after",
      example("sluice put scores.parquet gs://oso-dataset-transfer-bucket/passport/2024-05-01/scores.parquet"),
    )
    .action(
      run(async ({ shell, bench: open }, file: string, uri: string) => {
        const { bucket } = checkUri(uri);
        await checkFile(file);
        const bench = await open();
        const { buckets } = await bench.catalog();
        const from = await endOfHistory(bench.store);
        const object = await bench.put(uri, createReadStream(file), shell.signal);
        shell.print(`${plain(uri)}  ${bytesText(object.size)}, generation ${object.generation}`);
        if (!buckets.includes(bucket)) {
          const hint = didYouMean(bucket, buckets);
          shell.warn(`nothing watches the bucket ${bucket}${hint === undefined ? "" : ` (${hint})`}`);
          shell.value({ object, runs: [] });
          return 0;
        }
        const follower = follow(shell, bench, from, { object: { uri, generation: object.generation } });
        const { code, result } = await seeThrough(shell, bench, follower);
        shell.value({ object, ...result });
        return code;
      }),
    );
}

function checkUri(uri: string): { readonly bucket: string } {
  try {
    const { bucket, name } = parseObjectUri(uri);
    objectPath("", bucket, name);
    return { bucket };
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

async function checkFile(file: string): Promise<void> {
  const stats = await stat(file).catch((error: unknown) => {
    const isMissing = error instanceof Error && "code" in error && error.code === "ENOENT";
    const why = isMissing ? "does not exist" : `cannot be read: ${messageOf(error)}`;
    throw new UsageError(`the file ${file} ${why}`, { cause: error });
  });
  if (!stats.isFile()) throw new UsageError(`${file} is not a file; put takes one file at a time`);
}
