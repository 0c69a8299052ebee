/** The steps about Firestore: documents that are created once, and its clock. */
import { at, needed } from "./probe-rest.ts";
import type { RestAnswer } from "./probe-rest.ts";
import type { Desk, ProbeStep } from "./probe.ts";

const rootOf = ({ project, database }: Desk): string => `projects/${project}/databases/${database}/documents`;

const nameOf = (desk: Desk, name: string): string => `${rootOf(desk)}/${collectionOf(desk)}/${name}`;

/** As the event store writes: in one batch, without a transaction. */
function commit(desk: Desk, writes: readonly unknown[]): Promise<RestAnswer> {
  return desk.firestore({ method: "POST", path: `/${rootOf(desk)}:commit`, body: { writes } });
}

/** Commits new documents. */
function create(desk: Desk, names: readonly string[]): Promise<RestAnswer> {
  return commit(
    desk,
    names.map((name) => ({
      update: { name: nameOf(desk, name), fields: { by: { stringValue: "probe" } } },
      updateTransforms: [{ fieldPath: "t", setToServerValue: "REQUEST_TIME" }],
      currentDocument: { exists: false },
    })),
  );
}

/** Sets one field of a document, if it is as it was at that time. */
function setIf(desk: Desk, name: string, by: string, updateTime: string): unknown {
  return {
    update: { name: nameOf(desk, name), fields: { by: { stringValue: by } } },
    updateMask: { fieldPaths: ["by"] },
    currentDocument: { updateTime },
  };
}

const wordOf = ({ status, body }: RestAnswer): string =>
  status === 200 ? "taken" : (at(body, "error", "status") ?? String(status));

export const collectionOf = ({ id }: Pick<Desk, "id">): string => `sluice_probe_${id}`;

function goAtEnd(desk: Desk, ...names: readonly string[]): void {
  for (const name of names) {
    const path = `/${nameOf(desk, name)}`;
    desk.atEnd(`the document ${collectionOf(desk)}/${name}`, ({ firestore }) => firestore({ method: "DELETE", path }));
  }
}

const timeOf = (answer: RestAnswer, write: number): string =>
  at(answer.body, "writeResults", write, "transformResults", 0, "timestampValue") ?? "";

export const firestoreSteps: readonly ProbeStep[] = [
  {
    name: "create-once",
    relies: "of two commits that create one document, one is taken; a later one is told ALREADY_EXISTS",
    where: "lib/gcp/firestore-transact.ts",
    async try(desk) {
      goAtEnd(desk, "once");
      const both = await Promise.all([create(desk, ["once"]), create(desk, ["once"])]);
      const later = await create(desk, ["once"]);
      const committed = both.filter(({ status }) => status === 200).length;
      if (committed === 0) for (const answer of both) needed(answer, "a commit");
      const word = wordOf(later);
      return { holds: committed === 1 && word === "ALREADY_EXISTS", saw: `${committed} of 2 taken; later: ${word}` };
    },
  },
  {
    name: "guards-of-what-was-read",
    relies:
      "a commit is refused when a document that it rests on was changed or made meanwhile; guarding one by a write that changes nothing leaves its time as it was",
    where: "lib/gcp/firestore-changes.ts",
    async try(desk) {
      goAtEnd(desk, "guarded");
      const made = needed(await create(desk, ["guarded"]), "a commit");
      const then = at(made.body, "writeResults", 0, "updateTime") ?? "";
      const missing = { delete: nameOf(desk, "missing"), currentDocument: { exists: false } };
      const guards = needed(await commit(desk, [setIf(desk, "guarded", "probe", then), missing]), "a commit of guards");
      const after = at(guards.body, "writeResults", 0, "updateTime") ?? then;
      needed(await commit(desk, [setIf(desk, "guarded", "other", then)]), "a change on condition");
      const stale = wordOf(await commit(desk, [setIf(desk, "guarded", "probe", then)]));
      const there = { delete: nameOf(desk, "guarded"), currentDocument: { exists: false } };
      const taken = wordOf(await commit(desk, [there]));
      return {
        holds: after === then && stale === "FAILED_PRECONDITION" && taken !== "taken",
        saw: `time ${after === then ? "kept" : `changed from ${then} to ${after}`}; changed meanwhile: ${stale}; made meanwhile: ${taken}`,
      };
    },
  },
  {
    name: "commit-clock",
    relies: "all documents of a commit get one time, and a commit after it a later one: history is ordered by it",
    where: "lib/gcp/firestore-event-store.ts",
    async try(desk) {
      goAtEnd(desk, "first", "second", "third");
      const one = needed(await create(desk, ["first", "second"]), "a commit");
      const two = needed(await create(desk, ["third"]), "a commit");
      const [first, second, third] = [timeOf(one, 0), timeOf(one, 1), timeOf(two, 0)];
      // RFC 3339 in UTC with fractions of different lengths.
      const holds = first !== "" && first === second && nanos(third) > nanos(first);
      return { holds, saw: `${first} and ${second}, then ${third}` };
    },
  },
];

function nanos(time: string): bigint {
  const fraction = /\.(\d+)Z$/.exec(time)?.[1] ?? "";
  const seconds = Math.floor(Date.parse(time) / 1000);
  return Number.isNaN(seconds) ? -1n : BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}
