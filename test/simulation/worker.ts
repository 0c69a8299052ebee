/** One thread's share of the seeds. */
import { parentPort, workerData } from "node:worker_threads";
import type { Batch } from "./batch.ts";
import { hashQuickly } from "./quick-hash.ts";

hashQuickly();
const { playSeeds } = await import("./batch.ts");
// Only command.ts starts this, with a batch.
const batch = workerData as Batch;
const tally = await playSeeds({ ...batch, onProgress: (done) => parentPort?.postMessage({ done }) });
parentPort?.postMessage({ tally });
