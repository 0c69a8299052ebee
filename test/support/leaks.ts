/**
 * Loaded before every test file (`--import`): a file whose tests are over but whose process lives on, because something
 * was left open, fails with the names of what is open, instead of keeping the whole run waiting for ever.
 */
import { afterEach, beforeEach } from "node:test";

const PATIENCE_MS = Number(process.env["LEAK_PATIENCE_MS"] ?? 60_000);

function watch(): void {
  let running = 0;
  let quietSince = Date.now();
  beforeEach(() => {
    running += 1;
  });
  afterEach(() => {
    running -= 1;
    quietSince = Date.now();
  });
  const check = (): void => {
    if (running > 0 || Date.now() - quietSince < PATIENCE_MS) return;
    const open = process.getActiveResourcesInfo().join(", ");
    process.stderr.write(`The tests are over, but the process is kept alive by: ${open}. Close it in the test.\n`);
    process.exit(1);
  };
  setInterval(check, 1_000).unref();
}

// The parent that only starts the files has no tests of its own.
if (process.env["NODE_TEST_CONTEXT"] !== undefined) watch();
