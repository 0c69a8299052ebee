/** Every fault at every call, single and lasting: some minutes. `node --test test/gcp/bigquery-faults.sweep.ts` */
import { test } from "node:test";
import { bigqueryUnderTest } from "./bigquery-world.ts";
import { faults, nameOf, workUnder, type Injection } from "./bigquery-faults.ts";

for (const lasting of [false, true]) {
  for (const fault of faults) {
    const what = nameOf({ at: 0, fault, lasting }).replace(/ at call 0$/, "");
    test(`${what}, at every call`, { timeout: 600_000 }, async () => {
      const subject = await bigqueryUnderTest({ retry: { pauseMs: 2, timeoutMs: 600 } });
      try {
        const calls = await workUnder(subject, "clean", undefined);
        for (let at = 0; at < calls; at++) {
          const one: Injection = { at, fault, lasting };
          await workUnder(subject, `r${at}`, one).catch((error: unknown) => {
            throw new Error(nameOf(one), { cause: error });
          });
        }
      } finally {
        await subject.close();
      }
    });
  }
}
