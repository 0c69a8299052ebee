/** A process that serves one function: it makes what the first message needs, once, and ends without leaving work in hand. */
import type { Request, Response } from "@google-cloud/functions-framework";
import { AsyncLocalStorage } from "node:async_hooks";
import process from "node:process";
import { withDatasetSuffix } from "../core/dataset-suffix.ts";
import { messageOf } from "../core/errors.ts";
import { readConfig } from "./config.ts";
import { handle } from "./handler.ts";
import type { Answer, Ready } from "./handler.ts";
import { structuredLog } from "./log.ts";
import { readAhead } from "./read-ahead.ts";
import { redactOutput, redactor } from "./redact.ts";
import { cloudRuntime } from "./runtime.ts";
import { loadUnit } from "./unit.ts";

export interface Served {
  /** Reads the function's modules ahead of its first message. Never rejects. */
  prepare(): Promise<void>;
  /** Answers one request. Never rejects. */
  serve(request: Request, response: Response): Promise<void>;
}

/** How long a process that is asked to end waits for its runs to let go. Cloud Run gives ten seconds. */
const GRACE_MS = 8_000;

/** `folder` is the URL of the built units, with a slash at its end. */
export function serving(folder: string): Served {
  const { hide, clean } = redactor();
  redactOutput(process.stdout, clean);
  redactOutput(process.stderr, clean);
  const inHand = new Set<Promise<void>>();
  let stopping = false;
  let listening = false;
  let opening: Promise<Ready> | undefined;
  const ready = (): Promise<Ready> => {
    // What went wrong once, such as a module that could not be read, is tried again with the next message.
    opening ??= open(folder, hide).catch((error: unknown) => {
      opening = undefined;
      // Before there is a log: one line that Cloud Logging reads as an error.
      process.stdout.write(`${JSON.stringify({ severity: "ERROR", message: messageOf(error) })}\n`);
      throw error;
    });
    return opening;
  };

  async function stop(): Promise<void> {
    if (stopping) return;
    stopping = true;
    // Runs are parked and their leases released, so that whoever is asked next need not wait for them.
    const made = await opening?.catch(() => undefined);
    made?.runtime.stop();
    const grace = new Promise((resolve) => setTimeout(resolve, GRACE_MS));
    await Promise.race([Promise.all(inHand), grace]);
    process.exit(0);
  }

  async function answerTo(request: Request): Promise<Answer> {
    if (stopping) return { status: 503, text: "stopping" };
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
    );
    const { method, path } = request;
    const made = await ready().catch(() => undefined);
    if (made === undefined) return { status: 500, text: "the function cannot start: see its log" };
    return await handle({ method, path, headers, body: request.body as unknown }, made);
  }

  async function answer(request: Request, response: Response): Promise<void> {
    const { status, text } = await answerTo(request);
    const sent = new Promise<void>((resolve) => response.once("close", resolve).once("finish", resolve));
    response.status(status).send(text);
    await sent;
  }

  /** The framework's own listeners, which are there once it listens, would end the process in the middle of a run. */
  function takeSignals(): void {
    if (listening) return;
    listening = true;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.removeAllListeners(signal);
      process.on(signal, () => void stop());
    }
  }

  return {
    prepare: () =>
      ready().then(
        () => undefined,
        () => undefined,
      ),
    async serve(request, response) {
      takeSignals();
      const work = answer(request, response);
      inHand.add(work);
      await work.finally(() => inHand.delete(work));
    },
  };
}

async function open(folder: string, secret: (value: string) => void): Promise<Ready> {
  const config = readConfig(process.env);
  const traces = new AsyncLocalStorage<string | undefined>();
  const log = structuredLog({
    project: config.project,
    // One line is one entry, whatever else the process prints.
    print: (line) => process.stdout.write(`${line}\n`),
    traces: { run: (trace, work) => traces.run(trace, work), get: () => traces.getStore() },
  });
  const clients = readAhead();
  const unit = await loadUnit(folder, process.env["SLUICE_FUNCTION"] ?? process.env["K_SERVICE"] ?? "");
  clients.need(unit);
  const definitions = withDatasetSuffix(unit.definitions, config.datasetSuffix);
  const runtime = cloudRuntime(config, { definitions: () => definitions, log, secret });
  return { unit, runtime, log, topicPrefix: config.topicPrefix };
}
