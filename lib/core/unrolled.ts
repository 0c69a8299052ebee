/**
 * Going through the properties of a row, unrolled. A loop over names meets another property at each step, so that the engine looks
 * every one of them up; code in which each property stands by its name finds it where it was in the row before. With ten
 * million rows of seven columns this is a tenth of the time.
 */

type Row = Readonly<Record<string, unknown>>;

/** Beyond this, the code would be too long for the engine to make it fast. */
const MOST = 64;

/** Whether every test holds for the property of its name. */
export function everyProperty(
  tests: readonly { readonly name: string; readonly test: (value: unknown) => boolean }[],
): (row: Row) => boolean {
  if (tests.length > MOST) return (row) => tests.every(({ name, test }) => test(row[name]));
  const body = tests.map(({ name }, at) => `f${at}(row[${JSON.stringify(name)}])`).join(" && ");
  return compiled(
    tests.map(({ test }) => test),
    `return ${body || "true"};`,
  ) as (row: Row) => boolean;
}

/** Calls each function with the property of its name, and twice with 0. */
export function eachProperty(
  puts: readonly {
    readonly name: string;
    readonly put: (value: unknown, definition: number, repetition: number) => void;
  }[],
): (row: Row) => void {
  if (puts.length > MOST) {
    return (row) => {
      for (const { name, put } of puts) put(row[name], 0, 0);
    };
  }
  const body = puts.map(({ name }, at) => `f${at}(row[${JSON.stringify(name)}], 0, 0);`).join(" ");
  return compiled(
    puts.map(({ put }) => put),
    body,
  ) as (row: Row) => void;
}

/** A function of `row`, whose code sees the functions as `f0`, `f1`, …; its only texts are names that JSON has quoted. */
function compiled(functions: readonly unknown[], body: string): unknown {
  const names = functions.map((_, at) => `f${at}`);
  // oxlint-disable-next-line typescript/no-implied-eval -- made of numbers and quoted names alone
  const make = new Function(...names, `"use strict"; return (row) => { ${body} };`) as (
    ...functions: readonly unknown[]
  ) => unknown;
  return make(...functions);
}
