import { Command } from "commander";
import { example, unknownName } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import { sensorStates } from "../sensor-states.ts";
import { printTable } from "../tables.ts";

export function sensorCommand(run: Runner): Command {
  const command = deployable(new Command("sensor"))
    .description("list, start and stop sensors; a choice survives restarts and deployments")
    .addHelpText("after", example("sluice sensor list", "sluice sensor start passport_scores_clean_up_sensor"));
  command
    .command("list")
    .description("list the sensors")
    .addHelpText("after", example("sluice sensor list"))
    .action(
      run(async ({ shell, bench }) => {
        const { store, catalog } = await bench();
        const states = await sensorStates((await catalog()).sensors, store);
        shell.value(states);
        if (states.length === 0) shell.print("No sensors.");
        const rows = states.map(({ name, status, chosen, watches, requests, place }) => [
          { text: name, style: "bold" as const },
          { text: status, style: status === "running" ? ("green" as const) : ("dim" as const) },
          chosen ? "chosen" : "default",
          `${watches} → ${requests}`,
          { text: place.split(" ")[0] ?? "", style: "dim" as const },
        ]);
        const head = ["SENSOR", "STATUS", "BY", "WATCHES → REQUESTS", "FILE"];
        if (rows.length > 0) printTable(shell, rows, head);
        return 0;
      }),
    );
  for (const [verb, status] of [
    ["start", "running"],
    ["stop", "stopped"],
  ] as const) {
    command
      .command(verb)
      .description(`${verb} a sensor`)
      .argument("<name>", "the sensor's name")
      .addHelpText("after", example(`sluice sensor ${verb} passport_scores_clean_up_sensor`))
      .action(
        run(async ({ shell, bench: open }, name: string) => {
          const bench = await open();
          const { sensors } = await bench.catalog();
          const names = sensors.map((sensor) => sensor.name);
          if (!names.includes(name)) throw unknownName("sensor", name, names);
          await bench.switchSensor(name, status);
          shell.value({ name, status });
          shell.print(`${name} is ${status}`);
          return 0;
        }),
      );
  }
  return command;
}
