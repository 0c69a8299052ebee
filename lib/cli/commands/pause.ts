import { Command } from "commander";
import { chooseAssets, example } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { settleOrLeave } from "../settle-or-leave.ts";

const SELECTION = "an asset's key, or a selection such as gitcoin/* or +key";

export function pauseCommand(run: Runner): Command {
  return deployable(new Command("pause"))
    .description(
      "let what asks for an asset by itself wait, until it is resumed; a deployment changes nothing about it",
    )
    .argument("<selection>", SELECTION)
    .option("--reason <text>", "why, for whoever looks")
    .addHelpText("after", example("sluice pause gitcoin/passport_scores --reason 'the source is broken'"))
    .action(
      run(async ({ shell, bench: open }, selection: string, { reason }: { readonly reason?: string }) => {
        const bench = await open();
        const assets = chooseAssets(await bench.catalog(), selection);
        const results: { asset: string; changed: boolean }[] = [];
        for (const { key } of assets) {
          const changed = await bench.operations.pause(key, reason);
          results.push({ asset: key, changed });
          shell.print(`${key} ${changed ? "is paused" : "was paused before"}`);
        }
        shell.value(results);
        return 0;
      }),
    );
}

export function resumeCommand(run: Runner): Command {
  return deployable(new Command("resume"))
    .description("end the pause of an asset: what waited goes out, one request for each partition")
    .argument("<selection>", SELECTION)
    .addHelpText("after", example("sluice resume gitcoin/passport_scores"))
    .action(
      run(async ({ shell, bench: open }, selection: string) => {
        const bench = await open();
        const assets = chooseAssets(await bench.catalog(), selection);
        const results: { asset: string; changed: boolean }[] = [];
        for (const { key } of assets) {
          const changed = await bench.operations.resume(key);
          results.push({ asset: key, changed });
          shell.print(`${key} ${changed ? "goes on" : "was not paused"}`);
        }
        if (!bench.remote && results.some(({ changed }) => changed)) await settleOrLeave(shell, bench);
        shell.value(results);
        return 0;
      }),
    );
}
