/**
 * The one entry of all functions, and as little as possible: what it imports stands between the start of the process and its
 * first answer. Everything else loads with the first message, or a moment after the server listens, whichever is first.
 */
import type { HttpFunction } from "@google-cloud/functions-framework";
import type { Served } from "./serve.ts";

// As an import, either would load what nobody here needs.
const { existsSync } = process.getBuiltinModule("node:fs");
const { enableCompileCache } = process.getBuiltinModule("node:module");

/** What `compile.ts` has left there; a folder that is not there is not made. */
const compiled = `${import.meta.dirname}/compile-cache`;
if (existsSync(compiled)) enableCompileCache(compiled);

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
