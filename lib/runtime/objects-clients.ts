/** Clients for the objects of a bucket, each confined to the prefix that it was declared with. */
import { PermanentError } from "../core/errors.ts";
import type { ObjectLocation } from "../core/needs.ts";
import type { ReadableObjects, WritableObjects } from "../core/resources.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import type { Execution } from "./execution.ts";

const NOWHERE: ObjectLocation = { bucket: "", prefix: "" };

export function readableClient(execution: Execution, location = NOWHERE): ReadableObjects {
  const { services, signal } = execution;
  const { bucket } = location;
  const inside = confinedTo(execution, location, "read");
  return {
    async *list(prefix) {
      for await (const { name, size } of listed(
        services,
        location,
        prefix === undefined ? location.prefix : inside(prefix),
      ))
        yield { uri: `gs://${bucket}/${name}`, name, size };
    },
    read: (name) => services.objects.read(bucket, inside(name), { signal }),
  };
}

export function writableClient(execution: Execution, location = NOWHERE): WritableObjects {
  const { services, signal } = execution;
  const { objects } = services;
  const { bucket } = location;
  const inside = confinedTo(execution, location, "write");
  return {
    async *list(prefix) {
      for await (const { name, generation, size } of listed(
        services,
        location,
        prefix === undefined ? location.prefix : inside(prefix),
      ))
        yield { name, generation, size };
    },
    read: (name, generation) =>
      objects.read(bucket, inside(name), { signal, ...(generation === undefined ? {} : { generation }) }),
    async write(name, body) {
      const { generation, size } = await objects.write(bucket, inside(name), body, { signal });
      return { name, generation, size };
    },
    async delete(name, generation) {
      await objects.delete(bucket, inside(name), generation);
    },
  };
}

async function* listed(
  { objects }: Execution["services"],
  { bucket, prefix: base }: ObjectLocation,
  from: string,
): AsyncGenerator<ObjectInfo, void, void> {
  for await (const object of objects.list(bucket, { prefix: from })) if (isBelow(object.name, base)) yield object;
}

/** A name as it is, if it is declared; throws `PermanentError` (`undeclared`) for any other. */
function confinedTo(
  { identity }: Execution,
  { bucket, prefix }: ObjectLocation,
  how: "read" | "write",
): (name: string) => string {
  return (name) => {
    if (isBelow(name, prefix)) return name;
    throw new PermanentError(
      `gs://${bucket}/${name} is outside of gs://${bucket}/${prefix}, which is declared: ` +
        `declare gcs.${how}("gs://${bucket}/…") in the resources of ${identity.kind} ${identity.name}`,
      { code: "undeclared" },
    );
  };
}

export function isBelow(name: string, prefix: string): boolean {
  return prefix === "" || name === prefix || name.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
