import { Command } from "commander";
import { chooseAssets, example } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { countText, durationText, printTable } from "../tables.ts";
import type { Row } from "../tables.ts";
import { UsageError } from "../usage-error.ts";
import { isVerifiable, verifyAsset } from "../verify-slots.ts";
import type { VerifiedSlot } from "../verify-slots.ts";

/** Of one asset, so many are shown to people; a program sees all. */
const SHOWN = 20;

export function verifyCommand(run: Runner): Command {
  return deployable(new Command("verify"))
    .description("compare tables with their last publishes: what somebody else has written, or dropped, is drift")
    .argument("[selection]", "which assets: gitcoin/*, +key (with all upstream), …; all where it is left out")
    .addHelpText("after", example("sluice verify", "sluice verify --env prod", 'sluice verify --env prod "gitcoin/*"'))
    .action(
      run(async ({ shell, bench: open }, selection: string | undefined) => {
        const bench = await open();
        const all = await bench.catalog();
        const assets = (selection === undefined ? all.assets : chooseAssets(all, selection)).filter(isVerifiable);
        if (assets.length === 0) throw new UsageError("none of these assets has a table that Sluice publishes");
        const slots: VerifiedSlot[] = [];
        const hidden = new Map<string, number>();
        const rows: Row[] = [];
        for (const asset of assets) {
          const found = await verifyAsset(bench, asset, Date.now());
          slots.push(...found);
          const told = found.filter(({ status }) => status !== "as committed" && status !== "empty");
          rows.push(...told.slice(0, SHOWN).map(rowOf));
          if (told.length > SHOWN) hidden.set(asset.key, told.length - SHOWN);
        }
        shell.value(slots.map(valueOf));
        if (rows.length > 0) printTable(shell, rows, ["TABLE", "STATUS", "WHY"]);
        for (const [key, more] of hidden) shell.print(`and ${more} more of ${key}: see them with --json`);
        const byTime = slots.filter((slot) => slot.byTime === true).length;
        if (byTime > 0)
          shell.print(
            `${countText(byTime, "slot")}: BigQuery does not know the last publish's job any more, so a write within ${durationText(bench.tables.slackMs)} after it is not seen`,
          );
        const drifted = slots.filter(({ drift }) => drift);
        const [first] = drifted;
        const looked = `${countText(slots.length, "slot")} of ${countText(assets.length, "asset")}`;
        if (first === undefined) shell.print(`${looked}: as their last publishes left them`);
        else {
          const { asset, partition = "" } = first;
          const which = partition === "" ? "" : ` --partition ${partition}`;
          const env = bench.deployment === undefined ? "" : ` --env ${bench.deployment}`;
          shell.print(`${looked}: ${drifted.length} not as their last publishes left them`);
          shell.print(`to make one anew: sluice materialize ${asset}${which} --force${env}`);
        }
        return first === undefined ? 0 : 1;
      }),
    );
}

function rowOf({ table, status, drift, reason }: VerifiedSlot): Row {
  return [{ text: table, style: "bold" }, { text: status, style: drift ? "red" : "yellow" }, reason];
}

function valueOf({ committedAt, changedAt, ...slot }: VerifiedSlot): object {
  return {
    ...slot,
    ...(committedAt === undefined ? {} : { committedAt: new Date(committedAt).toISOString() }),
    ...(changedAt === undefined ? {} : { changedAt: new Date(changedAt).toISOString() }),
  };
}
