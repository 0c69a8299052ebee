/** The steps about Cloud Storage: generations that are gone, and sessions of uploads. */
import { at, CannotTry, needed } from "./probe-rest.ts";
import type { RestAnswer } from "./probe-rest.ts";
import type { Desk, ProbeStep } from "./probe.ts";

/** All objects of the probe are below this. */
export function prefixOf({ id }: Pick<Desk, "id">): string {
  return `sluice_probe_${id}/`;
}

export function bucketOf({ bucket }: Desk): string {
  if (bucket !== undefined) return bucket;
  throw new CannotTry("it takes a bucket: name one by --bucket");
}

const pathOf = (desk: Desk, name: string): string =>
  `/storage/v1/b/${bucketOf(desk)}/o/${encodeURIComponent(prefixOf(desk) + name)}`;

export function upload(
  desk: Desk,
  name: string,
  query: Readonly<Record<string, string>> = {},
  body = "probe",
): Promise<RestAnswer> {
  const path = `/upload/storage/v1/b/${bucketOf(desk)}/o`;
  // Until it is there, there is nothing to delete: 404.
  desk.atEnd(`gs://${bucketOf(desk)}/${prefixOf(desk)}${name}`, (cleaner) => remove(cleaner, name));
  const all = { uploadType: "media", name: prefixOf(desk) + name, ...query };
  return desk.storage({ method: "POST", path, query: all, body, headers: { "content-type": "text/plain" } });
}

const remove = (desk: Desk, name: string, query: Readonly<Record<string, string>> = {}): Promise<RestAnswer> =>
  desk.storage({ method: "DELETE", path: pathOf(desk, name), query });

async function goneGeneration(desk: Desk, name: string): Promise<string> {
  const { body } = needed(await upload(desk, name), `writing an object in gs://${bucketOf(desk)}`);
  const generation = at(body, "generation");
  if (generation === undefined) throw new CannotTry("an upload's answer has no generation");
  needed(await remove(desk, name, { ifGenerationMatch: generation }), "deleting an object");
  return generation;
}

export const storageSteps: readonly ProbeStep[] = [
  {
    name: "delete-gone-generation",
    relies: "deleting a generation of an object that is gone answers 404 or 412, and nothing else",
    where: "lib/gcp/storage-client.ts, deleteObject",
    async try(desk) {
      const ifGenerationMatch = await goneGeneration(desk, "gone");
      const { status } = await remove(desk, "gone", { ifGenerationMatch });
      return { holds: status === 404 || status === 412, saw: `${status}` };
    },
  },
  {
    name: "write-over-gone-generation",
    relies: "writing over a generation where there is no object answers 404 or 412, and writes nothing",
    where: "lib/gcp/storage-settle.ts",
    async try(desk) {
      const ifGenerationMatch = await goneGeneration(desk, "over");
      const { status } = await upload(desk, "over", { ifGenerationMatch });
      const there = (await desk.storage({ path: pathOf(desk, "over") })).status;
      const holds = (status === 404 || status === 412) && there === 404;
      return { holds, saw: `${status}; then the object is ${there === 404 ? "not there" : "there"}` };
    },
  },
  {
    name: "upload-session-without-token",
    relies: "the URI of a resumable upload needs no credentials, so that blocks go on when a token has expired",
    where: "lib/gcp/storage-session.ts",
    async try(desk) {
      const name = "session";
      desk.atEnd(`gs://${bucketOf(desk)}/${prefixOf(desk)}${name}`, (cleaner) => remove(cleaner, name));
      const opened = await desk.storage({
        method: "POST",
        path: `/upload/storage/v1/b/${bucketOf(desk)}/o`,
        query: { uploadType: "resumable", name: prefixOf(desk) + name },
        body: {},
      });
      const path = needed(opened, "opening an upload session").headers.get("location");
      if (path === null) throw new CannotTry("an upload session came without its URI");
      const headers = { "content-range": "bytes 0-4/5" };
      const sent = await desk.storage({ method: "PUT", path, body: "probe", headers, anonymous: true });
      const there = (await desk.storage({ path: pathOf(desk, name) })).status;
      return { holds: sent.status === 200 && there === 200, saw: `${sent.status}; then the object answers ${there}` };
    },
  },
];
