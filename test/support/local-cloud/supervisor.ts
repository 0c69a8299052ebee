/** Keeps one built function as the cloud does: started when a message comes for it, and again after it has died. */
import { freePort } from "../free-port.ts";
import { startFunction } from "../function-process.ts";
import type { FunctionProcess } from "../function-process.ts";

export interface Supervisor {
  /** The port on which it listens; it is started first where it is not running. */
  port(): Promise<number>;
  isRunning(): boolean;
  /** Kills it as a crash does and waits for its end; `false` where it was not running. */
  kill(): Promise<boolean>;
  /** Asks it to end, as the cloud does before it takes an instance away, and waits for that. */
  stop(): Promise<void>;
  /** How often it was started. */
  starts(): number;
  /** The last lines that it has written, of all its lives. */
  log(): readonly string[];
}

const KEPT_CHARS = 1_000_000;

interface Life {
  readonly process: FunctionProcess;
  readonly listening: Promise<void>;
}

/** `target` is the name that the function is exported by. */
export function supervisor(dist: string, env: Readonly<Record<string, string>>, target = "sluice"): Supervisor {
  let life: Promise<Life> | undefined;
  let count = 0;
  let written = "";

  function begin(): Promise<Life> {
    count += 1;
    const begun = start();
    life = begun;
    const over = (): void => {
      if (life === begun) life = undefined;
    };
    begun.then(({ process }) => process.ended).then(over, over);
    return begun;
  }

  async function start(): Promise<Life> {
    const onOutput = (text: string): void => {
      written += text;
      const surplus = written.length - KEPT_CHARS;
      if (surplus > 0) written = written.slice(written.indexOf("\n", surplus) + 1);
    };
    const process = startFunction(await freePort(), { source: dist, target, env, onOutput });
    const listening = process.listening();
    listening.catch(() => process.kill());
    return { process, listening };
  }

  async function end(signal: NodeJS.Signals): Promise<boolean> {
    const running = await life;
    if (running === undefined) return false;
    running.process.kill(signal);
    await running.process.ended;
    return true;
  }

  return {
    async port() {
      const { process, listening } = await (life ?? begin());
      await listening;
      return process.port;
    },
    isRunning: () => life !== undefined,
    kill: () => end("SIGKILL"),
    stop: async () => void (await end("SIGTERM")),
    starts: () => count,
    log: () => written.split("\n"),
  };
}
