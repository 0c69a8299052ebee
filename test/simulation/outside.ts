/** What is outside of the processes, and stays when they die: storage, the warehouse, the event store, the transport, time. */
import type { Surroundings } from "./surroundings.ts";
import { memoryBuckets } from "./buckets.ts";
import { plainDocuments } from "./documents.ts";
import type { PlainDocuments } from "./documents.ts";
import { journal } from "./journal.ts";
import type { Journal } from "./journal.ts";
import type { Deployment, Project } from "./projects.ts";
import { worldTime } from "./time.ts";
import type { Time } from "./time.ts";
import { knowTicks, tickPublisher } from "./ticks.ts";
import { transport } from "./transport.ts";
import type { Transport } from "./transport.ts";
import { memoryWarehouse } from "./warehouse.ts";
import { watcher } from "./watch.ts";
import type { Watcher } from "./watch.ts";

export interface Outside extends Surroundings {
  readonly documents: PlainDocuments;
  readonly journal: Journal;
  readonly time: Time;
  readonly transport: Transport;
  readonly watch: Watcher;
  /** The next number of the world: the same is never given twice. */
  number(): number;
  /** What processes are started with now. */
  deployed: Deployment;
  /** Whether a message was lost, so that only reconciling can find what it was about. */
  lost: boolean;
}

export function outside(project: Project, skews: readonly number[], traced: boolean): Outside {
  const written = journal(traced);
  const own = worldTime();
  // Only where something ticks does it cost anything.
  const time = project.ticking.length === 0 ? own : { ...own, pass };
  function pass(until: number): void {
    own.pass(until);
    publishTicks?.();
  }
  let numbers = 0;
  const number = (): number => ++numbers;
  const buckets = memoryBuckets(time.now);
  const documents = plainDocuments({ onChanges: (changes) => watch.changed(changes) });
  const warehouse = memoryWarehouse(
    (uri) => {
      const slash = uri.indexOf("/", SCHEME.length);
      return buckets.get(uri.slice(SCHEME.length, slash), uri.slice(slash + 1))?.rows;
    },
    (job, destination) => watch.written(job, destination),
  );
  const { fail } = written;
  const surroundings = { project, documents, warehouse, buckets, now: time.now, ahead: Math.max(0, ...skews), fail };
  const watch = watcher(surroundings);
  const made: Outside = {
    ...surroundings,
    // Of these, it knows more.
    documents,
    journal: written,
    time,
    watch,
    number,
    transport: transport({
      now: time.now,
      number,
      consumersOf: (topic) => made.deployed.consumers.get(topic) ?? project.consumers.get(topic) ?? [],
    }),
    deployed: project,
    lost: false,
  };
  const { ticking } = project;
  const publishTicks =
    ticking.length === 0 ? undefined : tickPublisher({ ticking, transport: made.transport, now: own.now });
  knowTicks(documents, ticking, own.now());
  return made;
}

const SCHEME = "gs://";
