import { Command } from "commander";
import { z } from "zod";
import { checkPartition, example, findAsset, jsonOf } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { requestResult, requestRun } from "../request-run.ts";
import { UsageError } from "../usage-error.ts";

interface Options {
  readonly partition?: string;
  readonly version?: string;
  readonly metadata?: string;
}

export function reportCommand(run: Runner): Command {
  return deployable(new Command("report"))
    .description("say that an external asset has new data, so that what depends on it follows")
    .argument("<asset>", "the external asset's key")
    .option("--partition <key>", "which partition; the newest where it is left out")
    .option("--version <text>", "the version of the data: an equal one tells that nothing is new")
    .option("--metadata <json>", "what else is known of the data, as a JSON object")
    .addHelpText(
      "after",
      example(
        "sluice report crm/accounts --partition 2024-05-01",
        `sluice report crm/accounts --version 7f3a --metadata '{"rows":1200}'`,
      ),
    )
    .action(
      run(async ({ shell, bench: open }, key: string, options: Options) => {
        const { partition, version, metadata } = options;
        const said = metadata === undefined ? undefined : metadataOf(metadata);
        const bench = await open();
        const asset = findAsset(await bench.catalog(), key);
        if (asset.external === undefined)
          throw new UsageError(`${key} is made by its own code: materialize it with \`sluice materialize ${key}\``);
        if (asset.external === "observed")
          throw new UsageError(`${key} is looked at by its own code: do so with \`sluice materialize ${key}\``);
        if (version === "") throw new UsageError("--version is empty: give the data's version, or leave it out");
        const config = {
          ...(version === undefined ? {} : { dataVersion: version }),
          ...(said === undefined ? {} : { metadata: said }),
        };
        const requested = await requestRun(shell, bench, asset, {
          ...(partition === undefined ? {} : { partition: checkPartition(asset, partition) }),
          ...(Object.keys(config).length === 0 ? {} : { config }),
        });
        if (requested.kind === "refused") shell.warn(`error: ${requested.reason}`);
        shell.value({ asset: key, ...requestResult(requested) });
        if (requested.kind === "refused") return 2;
        return requested.run.status === "failed" || requested.run.status === "canceled" ? 1 : 0;
      }),
    );
}

function metadataOf(text: string): Readonly<Record<string, unknown>> {
  const parsed = z.record(z.string(), z.unknown()).safeParse(jsonOf("--metadata", text));
  if (parsed.success) return parsed.data;
  throw new UsageError(`--metadata takes a JSON object, got ${text}`);
}
