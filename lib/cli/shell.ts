/** Where commands write: people's lines or JSON on stdout, everything about the command itself on stderr. */
import { join, resolve } from "node:path";
import { stderr, stdout } from "node:process";
import { styleText } from "node:util";

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";
/** Colours the text where stdout is a terminal that wants colours (`NO_COLOR` and `FORCE_COLOR` are heeded). */
export type Paint = (style: Style, text: string) => string;

export interface GlobalOptions {
  readonly home?: string;
  readonly project: string;
  readonly json: boolean;
  readonly verbose: boolean;
}

export interface Shell {
  /** Absolute, as is the project. */
  readonly home: string;
  readonly project: string;
  readonly json: boolean;
  readonly paint: Paint;
  /** How wide the terminal is; undefined where stdout is none. */
  readonly columns: number | undefined;
  /** Aborted by Ctrl-C or a request to end. */
  readonly signal: AbortSignal;
  /** A line for people; nothing with `--json`. */
  print(line?: string): void;
  /** A JSON value on a line of its own; nothing without `--json`. */
  value(value: unknown): void;
  /** A line on stderr. */
  warn(line: string, style?: Style): void;
}

/** `home` stands in where the options name none. */
export function openShell(options: GlobalOptions, home: string | undefined, signal: AbortSignal): Shell {
  const project = resolve(options.project);
  return {
    home: resolve(options.home ?? home ?? join(project, ".sluice")),
    project,
    json: options.json,
    signal,
    columns: stdout.isTTY ? stdout.columns : undefined,
    paint: (style, text) => styleText(style, text, { stream: stdout }),
    print(line = "") {
      if (!options.json) stdout.write(`${line}\n`);
    },
    value(value) {
      if (options.json) stdout.write(`${JSON.stringify(value)}\n`);
    },
    warn(line, style) {
      stderr.write(`${style === undefined ? line : styleText(style, line, { stream: stderr })}\n`);
    },
  };
}

/** Text from outside on one line, unable to move a terminal's cursor: control characters are shown as escapes. */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (control) =>
    control === "\n" ? "\\n" : `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
