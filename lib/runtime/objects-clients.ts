/** Clients for the objects of a bucket, each confined to the prefix that it was declared with. */
import { PermanentError } from "../core/errors.ts";
import type { ObjectLocation } from "../core/needs.ts";
import type { ReadableObjects, WritableObjects } from "../core/resources.ts";
import type { ObjectInfo } from "../ports/object-store.ts";
import type { Execution } from "./execution.ts";

const NOWHERE: ObjectLocation = { bucket: "", prefix: "" };

export function readableClient({ services, signal }: Execution, location = NOWHERE): ReadableObjects {
  const { bucket } = location;
  return {
    async *list(prefix) {
      for await (const { name, size } of listed(services, location, prefix))
        yield { uri: `gs://${bucket}/${name}`, name, size };
    },
    read: (name) => services.objects.read(bucket, inside(location, name), { signal }),
  };
}

export function writableClient({ services, signal }: Execution, location = NOWHERE): WritableObjects {
  const { objects } = services;
  const { bucket } = location;
  return {
    async *list(prefix) {
      for await (const { name, generation, size } of listed(services, location, prefix))
        yield { name, generation, size };
    },
    read: (name, generation) =>
      objects.read(bucket, inside(location, name), { signal, ...(generation === undefined ? {} : { generation }) }),
    async write(name, body) {
      const { generation, size } = await objects.write(bucket, inside(location, name), body, { signal });
      return { name, generation, size };
    },
    async delete(name, generation) {
      await objects.delete(bucket, inside(location, name), generation);
    },
  };
}

async function* listed(
  { objects }: Execution["services"],
  location: ObjectLocation,
  prefix: string | undefined,
): AsyncGenerator<ObjectInfo, void, void> {
  const { bucket, prefix: base } = location;
  const from = prefix === undefined ? base : inside(location, prefix);
  for await (const object of objects.list(bucket, { prefix: from })) if (isBelow(object.name, base)) yield object;
}

function inside({ bucket, prefix }: ObjectLocation, name: string): string {
  if (isBelow(name, prefix)) return name;
  throw new PermanentError(`gs://${bucket}/${name} is outside of gs://${bucket}/${prefix}, which is declared`, {
    code: "undeclared",
  });
}

export function isBelow(name: string, prefix: string): boolean {
  return prefix === "" || name === prefix || name.startsWith(prefix.endsWith("/") ? prefix : `${prefix}/`);
}
