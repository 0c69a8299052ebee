import { once } from "node:events";
import { createServer } from "node:net";

/** Below those that the system gives to connections, and to whoever does not ask for one. */
const [LOWEST, HIGHEST] = [12_000, 32_000];
/** So many ports are tried first by this process alone, so that of the test files that run at once no two take the same. */
const OWN = 16;
const BLOCKS = (HIGHEST - LOWEST) / OWN;
let next = 0;

/**
 * A port of loopback that nobody listens on, for a program that is started with its number: between the look and the start it must
 * not go to anybody else.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < HIGHEST - LOWEST; tries++) {
    const block = (process.pid + Math.floor(tries / OWN)) % BLOCKS;
    const port = LOWEST + block * OWN + (next++ % OWN);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port");
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
