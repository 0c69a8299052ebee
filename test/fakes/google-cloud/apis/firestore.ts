/** Firestore's administration: databases, composite indexes, single-field settings and time to live. */
import { createHash } from "node:crypto";
import { CloudError, invalid } from "../errors.ts";
import { at, isJson, listAt, masked, maskOf, textAt, type Json } from "../json.ts";
import { page, route, type Api, type ApiCall } from "../routing.ts";
import { listed, need, put, remove, stamp, type World } from "../world.ts";

const LOCATIONS = /^(eur3|nam5|nam7|[a-z]+-[a-z]+\d)$/;

export function firestore(world: World, options: { readonly indexMs: number }): Api {
  const { state } = world;
  const databaseOf = (call: ApiCall): string => `projects/${call.project}/databases/${call.param("database")}`;
  const groupOf = (call: ApiCall): string => `${databaseOf(call)}/collectionGroups/${call.param("group")}`;
  const fieldOf = (call: ApiCall): string => `${groupOf(call)}/fields/${call.param("field")}`;

  function needDatabase(call: ApiCall): Json {
    const id = call.param("database");
    return need(
      world,
      "database",
      databaseOf(call),
      `The database ${id} does not exist for project ${call.project}. Please visit https://console.cloud.google.com/datastore/setup?project=${call.project} to add a Cloud Datastore or Cloud Firestore database.`,
    );
  }

  const operation = (call: ApiCall, metadata: Json, ms: number, run: () => Promise<Json>): Promise<Json> =>
    world.operations.start({
      parent: `${databaseOf(call)}/operations`,
      metadata: { startTime: stamp(world.now()), ...metadata },
      ms,
      run,
    });

  async function createDatabase(call: ApiCall): Promise<Json> {
    const id = call.query.get("databaseId") ?? "";
    const name = `projects/${call.project}/databases/${id}`;
    if (!/^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$/.test(id)) throw invalid(`Invalid database id: ${id}`);
    if (state.resources.database.has(name))
      throw new CloudError("ALREADY_EXISTS", "Database already exists. Please use another database_id");
    const { locationId, type } = call.body;
    if (!LOCATIONS.test(String(locationId))) throw invalid(`Invalid location: ${String(locationId)}`);
    const database = {
      concurrencyMode: "PESSIMISTIC",
      pointInTimeRecoveryEnablement: "POINT_IN_TIME_RECOVERY_DISABLED",
      deleteProtectionState: "DELETE_PROTECTION_DISABLED",
      ...call.body,
      name,
      type: type ?? "FIRESTORE_NATIVE",
      uid: createHash("sha256").update(name).digest("hex").slice(0, 32),
      createTime: stamp(world.now()),
      updateTime: stamp(world.now()),
      etag: "IKbPqdKWgo4DMKTgzsRZ",
    };
    return await world.operations.start({
      parent: `${name}/operations`,
      metadata: { "@type": "type.googleapis.com/google.firestore.admin.v1.CreateDatabaseMetadata" },
      run: () => put(world, "database", name, database),
    });
  }

  /** What two indexes must not have in common. */
  const shapeOf = (index: Json): string =>
    JSON.stringify([
      index["queryScope"],
      listAt(index, "fields")
        .filter((field) => textAt(field, "fieldPath") !== "__name__")
        .map((field) => [textAt(field, "fieldPath"), textAt(field, "order") || textAt(field, "arrayConfig")]),
    ]);

  async function createIndex(call: ApiCall): Promise<Json> {
    needDatabase(call);
    const fields = listAt(call.body, "fields").filter(isJson);
    const own = fields.filter((field) => textAt(field, "fieldPath") !== "__name__");
    if (own.length < 2 && !own.some((field) => "vectorConfig" in field))
      throw invalid("this index is not necessary, configure using single field index controls");
    if (fields.length > 100) throw invalid("An index has at most 100 fields.");
    const parent = `${groupOf(call)}/indexes/`;
    if (listed(world, "index", parent).some((other) => shapeOf(other) === shapeOf(call.body))) {
      throw new CloudError("ALREADY_EXISTS", "index already exists");
    }
    const id = createHash("sha256").update(shapeOf(call.body)).digest("base64url").replaceAll(/[-_]/g, "").slice(0, 12);
    const name = `${parent}${id}`;
    const last = own.at(-1);
    // The document's name closes every index, in the direction of the last field.
    const closed = [...own, { fieldPath: "__name__", order: textAt(last, "order") || "ASCENDING" }];
    const index = { queryScope: "COLLECTION", ...call.body, fields: closed, name };
    await put(world, "index", name, { ...index, state: options.indexMs > 0 ? "CREATING" : "READY" });
    const metadata = {
      "@type": "type.googleapis.com/google.firestore.admin.v1.IndexOperationMetadata",
      index: name,
      state: "PROCESSING",
    };
    return await operation(call, metadata, options.indexMs, () =>
      put(world, "index", name, { ...index, state: "READY" }),
    );
  }

  /** A field that has no settings of its own: it has those of all fields of its collection, or of the database. */
  function untouched(name: string): Json {
    const fieldPath = name.slice(name.lastIndexOf("/") + 1);
    const group = `${name.slice(0, name.lastIndexOf("/"))}/*`;
    const above = name === group ? undefined : state.resources.field.get(group);
    const hasOwn = above !== undefined && at(above, "indexConfig", "usesAncestorConfig") === false;
    const ancestorField = hasOwn
      ? group
      : name.replace(/collectionGroups\/.*/, "collectionGroups/__default__/fields/*");
    const ways: readonly Json[] = hasOwn
      ? listAt(above, "indexConfig", "indexes").flatMap((index) => listAt(index, "fields").filter(isJson))
      : [{ order: "ASCENDING" }, { order: "DESCENDING" }, { arrayConfig: "CONTAINS" }];
    return {
      name,
      indexConfig: {
        usesAncestorConfig: true,
        ancestorField,
        indexes: ways.map((way) => ({ queryScope: "COLLECTION", fields: [{ ...way, fieldPath }], state: "READY" })),
      },
    };
  }

  async function patchField(call: ApiCall): Promise<Json> {
    needDatabase(call);
    const name = fieldOf(call);
    const before = state.resources.field.get(name) ?? untouched(name);
    const mask = maskOf(call.query) ?? Object.keys(call.body);
    const field = masked(before, call.body, mask);
    // A mask that names settings and a body without them mean: as everywhere else.
    const inherits = field["indexConfig"] === undefined;
    const own = mask.some((each) => each.startsWith("indexConfig") || each.startsWith("index_config")) && !inherits;
    const given = listAt(field, "indexConfig", "indexes")
      .filter(isJson)
      .map((index) => ({
        ...index,
        fields: listAt(index, "fields")
          .filter(isJson)
          .map((each) => ({ fieldPath: call.param("field"), ...each })),
        state: "READY",
      }));
    const config = inherits
      ? untouched(name)["indexConfig"]
      : own
        ? { indexes: given, usesAncestorConfig: false }
        : field["indexConfig"];
    const ttl = field["ttlConfig"] === undefined ? {} : { ttlConfig: { state: "ACTIVE" } };
    const { ttlConfig: _, ...rest } = field;
    const after = { ...rest, name, indexConfig: config, ...ttl };
    const metadata = {
      "@type": "type.googleapis.com/google.firestore.admin.v1.FieldOperationMetadata",
      field: name,
      state: "PROCESSING",
    };
    return await operation(call, metadata, options.indexMs, () => put(world, "field", name, after));
  }

  function listFields(call: ApiCall): Json {
    needDatabase(call);
    const filter = call.query.get("filter") ?? "";
    const wantsTtl = filter.includes("ttlConfig");
    const wantsOwn = filter.includes("usesAncestorConfig");
    const group = call.param("group");
    const prefix = group === "-" || group === "__default__" ? `${databaseOf(call)}/` : `${groupOf(call)}/`;
    const fields = listed(world, "field", prefix).filter(
      (field) =>
        (wantsTtl && field["ttlConfig"] !== undefined) ||
        (wantsOwn && at(field, "indexConfig", "usesAncestorConfig") !== true),
    );
    return page(call, "fields", fields);
  }

  const database = "v1/projects/{project}/databases/{database}";
  const group = `${database}/collectionGroups/{group}`;
  return {
    host: "firestore",
    service: "firestore.googleapis.com",
    title: "Cloud Firestore API",
    routes: [
      route("POST", "v1/projects/{project}/databases", "datastore.databases.create", createDatabase),
      route("GET", "v1/projects/{project}/databases", "datastore.databases.list", (call) => ({
        databases: listed(world, "database", `projects/${call.project}/databases/`),
      })),
      route("GET", database, "datastore.databases.get", needDatabase),
      route("PATCH", database, "datastore.databases.update", (call) => {
        const after = masked(needDatabase(call), call.body, maskOf(call.query) ?? Object.keys(call.body));
        return operation(call, {}, 0, () => put(world, "database", databaseOf(call), after));
      }),
      route("POST", `${group}/indexes`, "datastore.indexes.create", createIndex),
      route("GET", `${group}/indexes`, "datastore.indexes.list", (call) => {
        needDatabase(call);
        const below = call.param("group") === "-" ? `${databaseOf(call)}/` : `${groupOf(call)}/`;
        return page(call, "indexes", listed(world, "index", below));
      }),
      route("GET", `${group}/indexes/{index}`, "datastore.indexes.get", (call) =>
        need(world, "index", `${groupOf(call)}/indexes/${call.param("index")}`, "Index not found."),
      ),
      route("DELETE", `${group}/indexes/{index}`, "datastore.indexes.delete", async (call) => {
        await remove(world, "index", `${groupOf(call)}/indexes/${call.param("index")}`, "Index not found.");
        return {};
      }),
      route("GET", `${group}/fields`, "datastore.indexes.list", listFields),
      route("GET", `${group}/fields/{field}`, "datastore.indexes.get", (call) => {
        needDatabase(call);
        return state.resources.field.get(fieldOf(call)) ?? untouched(fieldOf(call));
      }),
      route("PATCH", `${group}/fields/{field}`, "datastore.indexes.update", patchField),
      route("GET", `${database}/operations`, "datastore.operations.list", (call) => ({
        operations: world.operations.list(`${databaseOf(call)}/operations`),
      })),
      route("GET", `${database}/operations/{operation}`, "datastore.operations.get", (call) =>
        world.operations.get(`${databaseOf(call)}/operations/${call.param("operation")}`),
      ),
    ],
  };
}
