/** How the API writes what it holds. */
import type { NotificationConfig } from "./notifications.ts";
import type { Bucket, StoredObject } from "./object-files.ts";

const iso = (at: number) => new Date(at).toISOString();

export function objectResource(object: StoredObject, base: string): Record<string, unknown> {
  const { bucket, name, generation, attributes, created, updated } = object;
  const path = `storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
  return {
    kind: "storage#object",
    id: `${bucket}/${name}/${generation}`,
    selfLink: `${base}/${path}`,
    mediaLink: `${base}/download/${path}?generation=${generation}&alt=media`,
    name,
    bucket,
    generation,
    metageneration: String(object.metageneration),
    storageClass: "STANDARD",
    size: String(object.size),
    crc32c: object.crc32c,
    ...(object.md5Hash !== undefined && { md5Hash: object.md5Hash }),
    ...(object.componentCount !== undefined && { componentCount: object.componentCount }),
    etag: etagOf(object),
    timeCreated: iso(created),
    timeFinalized: iso(created),
    timeStorageClassUpdated: iso(created),
    updated: iso(updated),
    ...definedOf(attributes),
  };
}

export function etagOf({ generation, metageneration }: StoredObject): string {
  return Buffer.from(`${generation}/${metageneration}`).toString("base64");
}

export function bucketResource({ name, location, created }: Bucket, base: string): Record<string, unknown> {
  return {
    kind: "storage#bucket",
    id: name,
    selfLink: `${base}/storage/v1/b/${name}`,
    name,
    projectNumber: "123456789012",
    generation: "1",
    metageneration: "1",
    location: location.toUpperCase(),
    locationType: location.includes("-") ? "region" : "multi-region",
    storageClass: "STANDARD",
    etag: "CAE=",
    timeCreated: iso(created),
    updated: iso(created),
    iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: "enforced" },
  };
}

export function notificationResource(config: NotificationConfig, base: string): Record<string, unknown> {
  return {
    kind: "storage#notification",
    id: config.id,
    selfLink: `${base}/storage/v1/b/${config.bucket}/notificationConfigs/${config.id}`,
    etag: config.id,
    topic: config.topic,
    payload_format: config.payloadFormat,
    ...(config.eventTypes.length > 0 && { event_types: config.eventTypes }),
    ...(config.prefix !== "" && { object_name_prefix: config.prefix }),
    ...(Object.keys(config.customAttributes).length > 0 && { custom_attributes: config.customAttributes }),
  };
}

function definedOf(values: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
