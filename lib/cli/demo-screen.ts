/** What the demo shows: headings, lines, a table, and a progress bar below them where there is a terminal. */
import { styleText } from "node:util";
import { MultiBar } from "cli-progress";

export interface Screen {
  title(text: string, below: string): void;
  /** The next act: what to look at, and why it matters. */
  act(heading: string, look: string): void;
  line(text: string): void;
  /** A line with its verdict in front. */
  verdict(good: boolean, text: string): void;
  /** Text that is not the demo's own, such as a query. */
  quote(text: string): void;
  /** A verdict on each, its text aligned; what is off shows what it should be. */
  figures(figures: readonly Figure[]): void;
  table(columns: readonly TableColumn[], rows: readonly (readonly string[])[]): void;
  /** Shows a bar until `done` is called; without a terminal, nothing. */
  progress(what: string, total: number): { step(): void; done(): void };
  /** Leaves the terminal as it was. */
  close(): void;
  /** How many verdicts were bad. */
  readonly failures: number;
}

/** One figure, as it should be and as it is. */
export interface Figure {
  readonly what: string;
  readonly expected: string;
  readonly found: string;
}

export interface TableColumn {
  readonly title: string;
  readonly align: "left" | "right";
}

type Style = Parameters<typeof styleText>[0];

const MARGIN = "   ";

/** `terminal`: whether the stream can move its cursor. Colours follow the stream and NO_COLOR. */
export function openScreen(
  stream: NodeJS.WritableStream & { readonly columns?: number | undefined },
  terminal: boolean,
): Screen {
  const paint = (style: Style, text: string): string => styleText(style, text, { stream });
  let bars: MultiBar | undefined;
  let acts = 0;
  let failures = 0;

  function write(text: string): void {
    // The bar's own log puts lines above it; it is drawn anew at once, so that no line waits for the next step.
    if (bars === undefined) return void stream.write(`${text}\n`);
    bars.log(`${text}\n`);
    bars.update();
  }

  function closeBars(): void {
    bars?.stop();
    bars = undefined;
  }

  const width = (): number => Math.min(stream.columns ?? 80, 100) - 2 * MARGIN.length;
  /** The text in lines that leave room for a mark; as it is, with all its spaces, where it fits. */
  const fitted = (text: string): string[] => {
    const room = width() - 2;
    if (text.length <= room) return [text];
    // What goes on in another line stands below the words, not below their place in a tree or their mark.
    const start = /^ *(?:[✓✗] )?/.exec(text)?.[0] ?? "";
    const parts = wrapped(text.slice(start.length), room - start.length);
    return parts.map((part, index) => (index === 0 ? start : " ".repeat(start.length)) + part.trimEnd());
  };
  const line = (text: string): void => write(text === "" ? "" : `${MARGIN}${text}`);

  function verdict(good: boolean, text: string): void {
    if (!good) failures += 1;
    const [first = "", ...rest] = fitted(text);
    line(`${paint(good ? "green" : "red", good ? "✓" : "✗")} ${first}`);
    for (const part of rest) line(`  ${part}`);
  }

  return {
    title(text, below) {
      write("");
      write(paint("bold", text));
      for (const part of below.split("\n")) write(paint("dim", part));
    },

    act(heading, look) {
      acts += 1;
      write("");
      write(`${paint(["bold", "cyan"], String(acts).padEnd(2))} ${paint("bold", heading)}`);
      for (const part of wrapped(look, width())) line(paint("dim", part));
    },

    line,

    verdict,

    quote(text) {
      for (const part of text.split("\n").flatMap(fitted)) line(paint("dim", `  ${part}`));
    },

    figures(figures) {
      const what = Math.max(...figures.map((figure) => figure.what.length));
      const found = Math.max(...figures.map((figure) => figure.found.length));
      for (const figure of figures) {
        const good = figure.found === figure.expected;
        const text = `${figure.what.padEnd(what)}  ${figure.found.padStart(found)}`;
        verdict(good, good ? text : `${text}  but it should be ${figure.expected}`);
      }
      const agreed = figures.filter((figure) => figure.found === figure.expected).length;
      line(
        paint(
          "bold",
          `${agreed === figures.length ? `All ${agreed}` : `${agreed} of ${figures.length}`} figures agree.`,
        ),
      );
    },

    table(columns, rows) {
      const widths = columns.map(({ title }, at) =>
        Math.max(title.length, ...rows.map((row) => (row[at] ?? "").length)),
      );
      const cells = (row: readonly string[]): string =>
        columns
          .map(({ align }, at) =>
            align === "left" ? (row[at] ?? "").padEnd(widths[at] ?? 0) : (row[at] ?? "").padStart(widths[at] ?? 0),
          )
          .join("  ")
          .trimEnd();
      line(paint("dim", cells(columns.map(({ title }) => title))));
      for (const row of rows) line(cells(row));
    },

    progress(what, total) {
      if (!terminal) return { step: () => undefined, done: () => undefined };
      closeBars();
      bars = new MultiBar({
        stream,
        format: `${MARGIN}${what} {bar} {value} of {total}`,
        barsize: 28,
        barCompleteChar: "━",
        barIncompleteChar: "─",
        clearOnComplete: true,
        hideCursor: true,
        // A line above the bar clears it, although the bar itself has not changed.
        forceRedraw: true,
        // Ctrl-C is the demo's own to handle.
        gracefulExit: false,
      });
      const bar = bars.create(total, 0);
      return { step: () => bar.increment(), done: closeBars };
    },

    close: closeBars,
    get failures() {
      return failures;
    },
  };
}

/** Broken between words, where that is possible. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** `1,234,567`. */
export function number(value: number): string {
  return value.toLocaleString("en-US");
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
