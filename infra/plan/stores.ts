/** What holds data, and what everything else stands on: APIs, accounts, buckets, datasets, the Firestore database, the images. */
import type { Manifest } from "../manifest.ts";
import { APIS, bq, cut, flags, gcloud, idOf, jsonFile } from "./item.ts";
import type { Item, Place } from "./item.ts";
import type { ToolCall } from "./step.ts";

export function storeItems(manifest: Manifest): Item[] {
  const place = manifest.environment;
  return [
    apis(manifest),
    ...manifest.accounts.map((account) => accountItem(place, account)),
    ...manifest.buckets.map((bucket) => bucketItem(place, bucket)),
    ...manifest.datasets.map((dataset) => datasetItem(place, dataset)),
    ...firestoreItems(place, manifest.firestore),
    imagesItem(place, manifest.images),
  ];
}

/** So many are enabled by one call at most. */
const APIS_AT_ONCE = 20;

/** Who acts for Cloud Storage in a project. Google makes that account when it is first asked for. */
const STORAGE_AGENT = "@gs-project-accounts.";

function apis({ environment: place, apis: names, bindings }: Manifest): Item {
  const chunks = Array.from({ length: Math.ceil(names.length / APIS_AT_ONCE) }, (_, index) =>
    names.slice(index * APIS_AT_ONCE, (index + 1) * APIS_AT_ONCE),
  );
  const enable = chunks.map((chunk) => gcloud(place, ["services", "enable", ...chunk]));
  const isTold = bindings.some(({ member }) => member.includes(`{number:${place.project}}${STORAGE_AGENT}`));
  const calls = isTold ? [...enable, gcloud(place, ["storage", "service-agent"])] : enable;
  const about = "everything else needs them";
  return { id: APIS, kind: "apis", name: "project", about, form: names, needs: [], create: calls, update: calls };
}

const MAX_DISPLAY = 100;
const MAX_ABOUT = 256;

/** By which one sees whose an account is. */
export function accountTitle(environment: string, name: string): string {
  return cut(`Sluice ${environment}: ${name}`, MAX_DISPLAY);
}

function accountItem(place: Manifest["environment"], { name, email, about }: Manifest["accounts"][number]): Item {
  const facts = { title: accountTitle(place.name, name), description: cut(about, MAX_ABOUT) };
  const texts = flags({ "display-name": facts.title, description: facts.description });
  const update = gcloud(place, ["iam", "service-accounts", "update", email, ...texts]);
  return {
    id: idOf("account", name),
    kind: "account",
    name,
    about,
    form: { email, texts },
    needs: [APIS],
    create: [gcloud(place, ["iam", "service-accounts", "create", name, ...texts], { ifExists: [update] })],
    update: [update],
    facts,
    complete: true,
  };
}

type Bucket = Manifest["buckets"][number];

/** Also what has to be there before there can be a state. */
export function createBucket(place: Place, bucket: Bucket): ToolCall {
  const { name, location } = bucket;
  const settings = bucketSettings(bucket);
  const update = updateBucket(place, bucket);
  const args = ["storage", "buckets", "create", `gs://${name}`, `--location=${location}`, ...settings.args];
  return gcloud(place, args, { files: settings.files, ifExists: [update] });
}

function updateBucket(place: Place, bucket: Bucket): ToolCall {
  const { args, files } = bucketSettings(bucket);
  return gcloud(place, ["storage", "buckets", "update", `gs://${bucket.name}`, ...args], { files });
}

function bucketSettings({ lifecycle, softDeleteDays }: Bucket): { args: string[]; files: Record<string, string> } {
  const rule = lifecycle.map(({ action, ageDays, matchesSuffix }) => ({
    action: { type: action },
    condition: { age: ageDays, ...(matchesSuffix === undefined ? {} : { matchesSuffix }) },
  }));
  return {
    args: [
      "--uniform-bucket-level-access",
      "--public-access-prevention",
      "--lifecycle-file={file:lifecycle.json}",
      `--soft-delete-duration=${softDeleteDays === 0 ? "0" : `${softDeleteDays}d`}`,
    ],
    files: jsonFile("lifecycle.json", { rule }),
  };
}

function bucketItem(place: Place, bucket: Bucket): Item {
  const { reasons, ...form } = bucket;
  return {
    id: idOf("bucket", bucket.name),
    kind: "bucket",
    name: bucket.name,
    about: reasons.join("; "),
    form,
    needs: [APIS],
    create: [createBucket(place, bucket)],
    update: [updateBucket(place, bucket)],
    facts: { location: bucket.location.toUpperCase() },
    fixed: ["location"],
  };
}

function datasetItem(place: Place, dataset: Manifest["datasets"][number]): Item {
  const { name, location, defaultTableExpirationSeconds: expiration } = dataset;
  const full = `${place.project}:${name}`;
  const update = bq(place, ["update", "--dataset", `--default_table_expiration=${expiration ?? 0}`, full]);
  const set = flags({ default_table_expiration: expiration });
  return {
    id: idOf("dataset", name),
    kind: "dataset",
    name,
    about: cutReasons(dataset.reasons),
    form: { name, location, expiration: expiration ?? 0 },
    needs: [APIS],
    create: [bq(place, ["mk", "--dataset", `--location=${location}`, ...set, full], { ifExists: [update] })],
    update: [update],
    facts: { location: location.toUpperCase() },
    fixed: ["location"],
  };
}

/** So many reasons are told. */
const REASONS = 2;

function cutReasons(reasons: readonly string[]): string {
  const more = reasons.length - REASONS;
  return `${reasons.slice(0, REASONS).join("; ")}${more > 0 ? `; and ${more} more` : ""}`;
}

function firestoreItems(place: Place, { database, location, indexes, fields }: Manifest["firestore"]): Item[] {
  const at = `--database=${database}`;
  const made: Item = {
    id: idOf("database", database),
    kind: "database",
    name: database,
    about: "the history is kept in it",
    form: { database, location },
    needs: [APIS],
    create: [
      gcloud(place, ["firestore", "databases", "create", at, `--location=${location}`, "--type=firestore-native"], {
        ifExists: [],
      }),
    ],
    update: [],
    facts: { location },
    fixed: ["location"],
  };
  return [
    made,
    ...indexes.map((index) => indexItem(place, made, index)),
    ...fields.map((field) => fieldItem(place, made, field)),
  ];
}

/** Built in the background: of a large history, that takes hours. */
function indexItem(
  place: Place,
  { id, name: database }: Item,
  { collectionGroup, queryScope, fields }: Manifest["firestore"]["indexes"][number],
): Item {
  const config = fields.map(
    ({ fieldPath, order }) => `--field-config=field-path=${fieldPath},order=${order.toLowerCase()}`,
  );
  const name = indexName(collectionGroup, fields);
  const scope = [`--collection-group=${collectionGroup}`, `--query-scope=${queryScope.toLowerCase()}`];
  const create = gcloud(
    place,
    ["firestore", "indexes", "composite", "create", `--database=${database}`, ...scope, ...config, "--async"],
    { ifExists: [] },
  );
  return {
    id: idOf("index", name),
    kind: "index",
    name,
    about: "the history is asked by it",
    form: { database, collectionGroup, queryScope, fields },
    needs: [id],
    on: [id],
    create: [create],
    update: [create],
    facts: {},
  };
}

/** `events(asset, t desc, n desc)`. */
export function indexName(
  group: string,
  fields: readonly { readonly fieldPath: string; readonly order: string }[],
): string {
  const parts = fields.map(({ fieldPath, order }) => (order === "ASCENDING" ? fieldPath : `${fieldPath} desc`));
  return `${group}(${parts.join(", ")})`;
}

function fieldItem(place: Place, { id, name: database }: Item, field: Manifest["firestore"]["fields"][number]): Item {
  const { collectionGroup, fieldPath } = field;
  const where = [fieldPath, `--collection-group=${collectionGroup}`, `--database=${database}`];
  const own = "ttl" in field ? [] : field.indexes.map(({ arrayConfig }) => arrayConfig);
  const index =
    own.length === 0 ? ["--disable-indexes"] : own.map((each) => `--index=array-config=${each.toLowerCase()}`);
  const words =
    "ttl" in field
      ? ["firestore", "fields", "ttls", "update", ...where, "--enable-ttl"]
      : ["firestore", "indexes", "fields", "update", ...where, ...index];
  const calls = [gcloud(place, [...words, "--async"])];
  const name = `${collectionGroup}.${fieldPath}`;
  return {
    id: idOf("field", name),
    kind: "field",
    name,
    about:
      "ttl" in field
        ? "documents go when that time has passed"
        : own.length === 0
          ? "nothing is asked by it"
          : "the history is asked by what it contains",
    form: { database, ...field },
    needs: [id],
    on: [id],
    create: calls,
    update: calls,
    facts: "ttl" in field ? { ttl: "on" } : { indexes: own.join() },
  };
}

/** Google makes the repository with the first function; one that is there already is just given the policies. */
function imagesItem(place: Place, { repository, location, policies }: Manifest["images"]): Item {
  const at = `--location=${location}`;
  const policy = gcloud(
    place,
    [
      "artifacts",
      "repositories",
      "set-cleanup-policies",
      repository,
      at,
      "--policy={file:policies.json}",
      "--no-dry-run",
    ],
    { files: jsonFile("policies.json", policies) },
  );
  const create = gcloud(place, ["artifacts", "repositories", "create", repository, at, "--repository-format=docker"], {
    ifExists: [],
  });
  return {
    id: idOf("images", repository),
    kind: "images",
    name: repository,
    about: "old images of functions are cleaned up",
    form: { repository, location, policies },
    needs: [APIS],
    create: [create, policy],
    update: [create, policy],
  };
}
