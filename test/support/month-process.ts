/** A process to be killed: the platform over the folder that its first argument names, until its end. */
import { argv, stdout } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { localPlatform } from "./local-platform.ts";
import * as month from "./month.ts";

const started = Date.now();
const platform = await localPlatform({ home: argv[2] ?? "", exports: month, watch: true });
platform.events.onEvents((events) => {
  if (events.some(({ type }) => type === "run.started")) stdout.write("run\n");
});
stdout.write(`ready ${Date.now() - started}\n`);
for (;;) {
  await platform.runtime.sweepDue();
  await sleep(100);
}
