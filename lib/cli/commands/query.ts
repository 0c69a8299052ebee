import { once } from "node:events";
import { stdout } from "node:process";
import { Command } from "commander";
import { example } from "../command.ts";
import { deployable } from "../elsewhere.ts";
import type { Runner } from "../command.ts";
import type { Row } from "../tables.ts";
import { countText, tableLines, textOf } from "../tables.ts";

/** So many rows decide how wide the columns are; what comes later is cut to fit. */
const FIRST_ROWS = 200;
const WIDEST = 60;

export function queryCommand(run: Runner): Command {
  return deployable(new Command("query"))
    .description("ask the warehouse; nothing can be changed by it")
    .argument("<sql>", "one SELECT or WITH statement")
    .addHelpText(
      "after",
      example(
        'sluice query "SELECT COUNT(*) AS n FROM gitcoin.passport_scores"',
        'sluice query --json "SELECT 1 AS a"',
      ),
    )
    .action(
      run(async ({ shell, bench }, sql: string) => {
        const { columns, rows } = await (await bench()).query(sql, shell.signal);
        const texts = (row: Readonly<Record<string, unknown>>): Row => columns.map((column) => cellText(row[column]));
        let widths: readonly number[] | undefined;
        let buffer: Row[] = [];
        let count = 0;
        const write = async (): Promise<void> => {
          const first = widths === undefined;
          widths ??= widthsOf(columns, buffer);
          const head = first ? { head: columns } : {};
          for (const line of tableLines(buffer, { paint: shell.paint, widths, ...head })) shell.print(line);
          buffer = [];
          await drained();
        };
        for await (const row of rows) {
          count++;
          if (shell.json) {
            shell.value(row);
            if (count % FIRST_ROWS === 0) await drained();
            continue;
          }
          buffer.push(texts(row));
          if (buffer.length === FIRST_ROWS) await write();
        }
        if (!shell.json && (buffer.length > 0 || widths === undefined)) await write();
        shell.print(shell.paint("dim", `(${countText(count, "row")})`));
        return 0;
      }),
    );
}

/** Whoever reads slowly is waited for, so that no result has to fit into memory. */
async function drained(): Promise<void> {
  if (stdout.writableNeedDrain) await once(stdout, "drain");
}

function cellText(value: unknown): string {
  if (value === null || value === undefined) return "NULL";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function widthsOf(columns: readonly string[], rows: readonly Row[]): readonly number[] {
  return columns.map((column, index) => {
    const lengths = rows.map((row) => textOf(row[index]).length);
    return Math.min(
      WIDEST,
      lengths.reduce((widest, length) => Math.max(widest, length), column.length),
    );
  });
}
