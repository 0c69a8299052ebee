/** One thread's share of the seeds. */
import { parentPort, workerData } from "node:worker_threads";
import { playSeeds } from "./batch.ts";
import type { Batch } from "./batch.ts";

// Only main.ts starts this, with a batch.
const batch = workerData as Batch;
const tally = await playSeeds({ ...batch, onProgress: (done) => parentPort?.postMessage({ done }) });
parentPort?.postMessage({ tally });
