/** The steps about Firestore: documents that are created once, and its clock. */
import { at, needed } from "./probe-rest.ts";
import type { RestAnswer } from "./probe-rest.ts";
import type { Desk, ProbeStep } from "./probe.ts";

const rootOf = ({ project, database }: Desk): string => `projects/${project}/databases/${database}/documents`;

/** Commits new documents in a transaction of its own. */
async function create(desk: Desk, names: readonly string[]): Promise<RestAnswer> {
  const root = rootOf(desk);
  const began = await desk.firestore({ method: "POST", path: `/${root}:beginTransaction`, body: {} });
  const transaction = at(needed(began, "beginning a transaction").body, "transaction");
  const writes = names.map((name) => ({
    update: { name: `${root}/${collectionOf(desk)}/${name}`, fields: { by: { stringValue: "probe" } } },
    updateTransforms: [{ fieldPath: "t", setToServerValue: "REQUEST_TIME" }],
    currentDocument: { exists: false },
  }));
  return desk.firestore({ method: "POST", path: `/${root}:commit`, body: { transaction, writes } });
}

export const collectionOf = ({ id }: Pick<Desk, "id">): string => `sluice_probe_${id}`;

function goAtEnd(desk: Desk, ...names: readonly string[]): void {
  for (const name of names) {
    const path = `/${rootOf(desk)}/${collectionOf(desk)}/${name}`;
    desk.atEnd(`the document ${collectionOf(desk)}/${name}`, ({ firestore }) => firestore({ method: "DELETE", path }));
  }
}

const timeOf = (answer: RestAnswer, write: number): string =>
  at(answer.body, "writeResults", write, "transformResults", 0, "timestampValue") ?? "";

export const firestoreSteps: readonly ProbeStep[] = [
  {
    name: "create-once",
    relies: "of two transactions that create one document, one commits; a later one is told ALREADY_EXISTS",
    where: "lib/gcp/firestore-transact.ts",
    async try(desk) {
      goAtEnd(desk, "once");
      const both = await Promise.all([create(desk, ["once"]), create(desk, ["once"])]);
      const later = await create(desk, ["once"]);
      const committed = both.filter(({ status }) => status === 200).length;
      if (committed === 0) for (const answer of both) needed(answer, "a commit");
      const word = at(later.body, "error", "status") ?? String(later.status);
      return {
        holds: committed === 1 && word === "ALREADY_EXISTS",
        saw: `${committed} of 2 committed; later: ${word}`,
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
