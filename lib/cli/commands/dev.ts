import { Command } from "commander";
import { example } from "../command.ts";
import type { Runner } from "../command.ts";
import { UsageError } from "../usage-error.ts";

export function devCommand(run: Runner): Command {
  return new Command("dev")
    .description("run the project: watch buckets, fire schedules, deliver messages, reload functions/ when it changes")
    .option("--port <number>", "where commands and gcloud reach it; any free one where it is left out", portOf)
    .addHelpText("after", example("sluice dev", "sluice dev --port 8085"))
    .action(
      run(async ({ shell }, { port }: { readonly port?: number }) => {
        const { dev } = await import("../dev.ts");
        await dev(shell, port === undefined ? {} : { port });
        return 0;
      }),
    );
}

function portOf(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new UsageError(`--port takes a number from 0 to 65535, got ${JSON.stringify(text)}`);
}
