/**
 * The one entry of all functions, and as little as possible: what it imports stands between the start of the process and its
 * first answer. Everything else loads with the first message, or a moment after the server listens, whichever is first.
 */
import type { HttpFunction } from "@google-cloud/functions-framework";
import type { Served } from "./serve.ts";

// Without it the framework answers a body that is no JSON with its stack, paths of the server and all.
process.env["NODE_ENV"] ||= "production";

// One error is one entry of the log, also where the framework prints it, and nothing but its stack: no body, no headers.
const { console: output } = globalThis;
const print = output.error.bind(output);
output.error = (...parts: readonly unknown[]): void => {
  const [error, ...others] = parts;
  if (!(error instanceof Error) || others.length > 0) return print(...parts);
  print(JSON.stringify({ severity: "ERROR", message: error.stack ?? error.message }));
};

/** By then the server listens; an instance that was started ahead of its messages is ready when one comes. */
const LISTENING_MS = 200;

function onceLoaded(): () => Promise<Served> {
  let loaded: Promise<Served> | undefined;
  return () =>
    (loaded ??= import("./serve.ts").then(({ serving }) => serving(new URL("units/", import.meta.url).href)));
}

const load = onceLoaded();
// What cannot be loaded is an error of the first message.
const ahead = (): Promise<void> =>
  load()
    .then(({ prepare }) => prepare())
    .catch(() => undefined);
setTimeout(() => void ahead(), LISTENING_MS).unref();

export const sluice: HttpFunction = async (request, response) => {
  if (request.method === "GET" || request.method === "HEAD") return void response.status(200).send("ok");
  const { serve } = await load();
  await serve(request, response);
};
