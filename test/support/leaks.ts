/**
 * Loaded before every test file (`--import`): a file whose tests are over but whose process lives on, because something
 * was left open, fails with the names of what is open, instead of keeping the whole run waiting for ever.
 */
import { after, afterEach, beforeEach } from "node:test";

/** So many seconds may pass after the tests, in which hooks close what they have opened. Seconds in which this process stood still do not count. */
const PATIENCE = Number(process.env["LEAK_PATIENCE_SECONDS"] ?? 120);

function watch(): void {
  // What comes before and between the tests is no leak, however long it takes: starting an emulator, building what they need.
  let over = false;
  let running = 0;
  let quiet = 0;
  after(() => {
    over = true;
  });
  beforeEach(() => {
    running += 1;
  });
  afterEach(() => {
    running -= 1;
    quiet = 0;
  });
  const check = (): void => {
    quiet = over && running === 0 ? quiet + 1 : 0;
    if (quiet < PATIENCE) return;
    const open = process.getActiveResourcesInfo().join(", ");
    process.stderr.write(`The tests are over, but the process is kept alive by: ${open}. Close it in the test.\n`);
    process.exit(1);
  };
  setInterval(check, 1_000).unref();
}

// The parent that only starts the files has no tests of its own.
if (process.env["NODE_TEST_CONTEXT"] !== undefined) watch();
