/** What must hold when nothing moves any more: all is done, all is put away, and everybody has seen everything. */
import type { AssetDefinition } from "../../lib/core/asset.ts";
import { followsUpstreams } from "../../lib/core/automation.ts";
import type { PartitionDocument } from "../../lib/core/documents.ts";
import { parsePartition } from "../../lib/core/partitions.ts";
import { destinationOf } from "../../lib/core/placement.ts";
import { originOf } from "../../lib/core/previous-keys.ts";
import { partitionRef } from "../../lib/core/run-identity.ts";
import { formatTable } from "../../lib/core/table.ts";
import { backfillsAtRest } from "./backfills.ts";
import { cancelsAtRest } from "./cancels.ts";
import type { Row, StoredObject } from "./buckets.ts";
import { headsAtRest } from "./heads.ts";
import { isOfPool, poolsAtRest } from "./pools.ts";
import { BUCKET, IMPORT } from "./projects.ts";
import { RANGE, STORED, WRITTEN } from "./untabled.ts";
import { isMade, shownIn, storedLeft } from "./stored.ts";
import { sameRows, show } from "./surroundings.ts";
import type { Surroundings } from "./surroundings.ts";

export interface AtRest {
  readonly messages: readonly string[];
  readonly deleted: readonly StoredObject[];
  readonly mayGoBack: boolean;
  /** What need not show what it is made from: an asset as a whole, or one of its partitions. */
  without(asset: string, partition?: string): boolean;
  /** Whether a dead process may have stored a file when nobody was left who would look for it. */
  readonly late: boolean;
}

const LASTING: ReadonlySet<string> = new Set([BUCKET, STORED, WRITTEN]);

/** What is still staged. */
export function leftovers({ warehouse, buckets }: Surroundings): readonly string[] {
  const staged = [...buckets.all()].filter(({ bucket }) => !LASTING.has(bucket));
  const tables = warehouse.tables().filter(({ table }) => table.includes("__staging"));
  return [...tables.map((table) => `table ${formatTable(table)}`), ...staged.map(({ name }) => `object ${name}`)];
}

export function atRest(around: Surroundings, { messages, deleted, mayGoBack, without, late }: AtRest): void {
  const { documents, fail, warehouse, project } = around;
  const left = [...messages.map((message) => `message ${message}`), ...leftovers(around), ...storedLeft(around, late)];
  left.push(...poolsAtRest(around));
  for (const [id] of documents.all("due")) left.push(`deadline ${id}`);
  for (const [id, { intent }] of documents.all("slot")) if (intent !== undefined) left.push(`intent in ${id}`);
  for (const [id, { name, holder, pending, finish }] of documents.all("partition")) {
    if (isOfPool({ name })) continue;
    if (holder !== undefined) left.push(`holder of ${id}`);
    if (pending !== undefined) left.push(`requests for ${id}`);
    if (finish !== undefined) left.push(`leftovers of ${id}`);
  }
  for (const [id, run] of documents.all("run")) {
    if (run.endedAt === undefined) left.push(`${run.status} run ${id}`);
    else if (run.outbox.length > 0) left.push(`outbox of ${id}`);
    const tooEarly = run.code === "notFound" && ["manual", "backfill"].includes(run.request.cause.kind);
    if (run.status === "failed" && !tooEarly && !EXPECTED_FAILURES.has(run.code ?? ""))
      fail(`run ${id} has failed: ${run.code} ${run.reason}`);
  }
  if (left.length > 0) return fail(`all is quiet, but there is left: ${left.join(", ")}`);

  backfillsAtRest(around);
  cancelsAtRest(around);
  headsAtRest(around);
  for (const asset of (project.renamed ?? project).definitions.assets.values()) {
    if (asset.source !== undefined) watchImport(around, asset, mayGoBack, without);
    else if (followsUpstreams(asset.automation)) watchFollower(around, asset, without);
  }
  const target = project.definitions.assets.get(IMPORT)?.target;
  if (target?.slot !== "partition") return;
  for (const { name } of deleted) {
    const day = dayOf(name);
    const rows = warehouse.rows({ ...target.table, partition: day.replaceAll("-", "") }) ?? [];
    if (!rows.some(({ file }) => file === name)) fail(`${name} was cleaned up, and its rows are lost`);
  }
}

/**
 * Data that is wrong, objects that a person has taken away, and inputs that a person asks for before they are there; each is an
 * answer, and no accident.
 */
const EXPECTED_FAILURES: ReadonlySet<string> = new Set(["check-failed", "inputs-missing", "upstream-missing"]);

/** Each finalized object of an eligible interval is in the table exactly once; in overwrite mode, of the newest such interval. */
function watchImport(
  { documents, buckets, warehouse, project, fail }: Surroundings,
  asset: AssetDefinition,
  mayGoBack: boolean,
  without: AtRest["without"],
): void {
  const { target, partitions, source } = asset;
  if (target === undefined || source === undefined) return;
  const intervals = new Map<string, { rows: Row[]; names: Set<string>; marked: boolean }>();
  for (const { bucket, name, rows } of buckets.all()) {
    if (bucket !== BUCKET) continue;
    const day = dayOf(name);
    const interval = intervals.get(day) ?? { rows: [], names: new Set(), marked: false };
    intervals.set(day, interval);
    if (rows === undefined) interval.marked = true;
    else {
      interval.rows.push(...rows);
      interval.names.add(name);
    }
  }
  const { complete } = source;
  const eligible = [...intervals].filter(([day, { rows, names, marked }]) => {
    if (rows.length === 0 || (project.guarded.has(IMPORT) && rows.some(({ bad }) => bad))) return false;
    if (complete !== undefined && "count" in complete && rows.length !== complete.count) return false;
    if (complete !== undefined && "marker" in complete && !marked) return false;
    if (without(asset.key, day)) return false;
    const { head, seal } = documents.get("partition", partitionRef(asset.key, day).id) ?? {};
    // A sealed interval takes no more; one that lacks what was loaded before waits for it.
    return seal === undefined && (head?.inputs ?? []).every((input) => names.has(input.name));
  });
  if (target.slot === "partition") {
    for (const [day, { rows }] of eligible) {
      const shown = warehouse.rows(destinationOf({ target, partitions }, parsePartition(partitions, day)));
      if (!sameRows(shown ?? [], rows)) fail(`${day} shows ${show(shown)}, and the bucket holds ${show(rows)}`);
    }
    return;
  }
  if (mayGoBack || without(asset.key)) return;
  const newest = eligible.sort(([one], [other]) => (one < other ? 1 : -1))[0];
  const shown = documents.get("slot", formatTable(target.table))?.committed?.partition;
  if (newest === undefined || (shown !== undefined && shown > newest[0])) return;
  const rows = warehouse.rows(target.table);
  if (!sameRows(rows ?? [], newest[1].rows))
    fail(`the table shows ${show(rows)}, and the newest interval ${newest[0]} holds ${show(newest[1].rows)}`);
}

/** Every upstream's materialization was seen: what the asset was made from is what its upstreams show now. */
function watchFollower(around: Surroundings, asset: AssetDefinition, without: AtRest["without"]): void {
  const { documents, project } = around;
  for (const dep of asset.deps) {
    const upstream = (project.renamed ?? project).definitions.assets.get(dep);
    if (upstream === undefined) continue;
    const heads: PartitionDocument[] = [];
    for (const [, document] of documents.all("partition"))
      if (document.name === dep && document.head !== undefined) heads.push(document);
    if (heads.length === 0) continue;
    if (asset.partitions !== undefined)
      for (const head of heads) {
        if (!without(asset.key, head.partition)) watchDay(around, asset, upstream, head);
      }
    else if (!without(asset.key)) watchWhole(around, asset, upstream, heads);
  }
}

function watchDay(
  around: Surroundings,
  asset: AssetDefinition,
  upstream: AssetDefinition,
  above: PartitionDocument,
): void {
  const { documents, project, fail } = around;
  if (above.blocked !== undefined || above.head === undefined) return;
  const key = above.partition;
  const own = documents.get("partition", partitionRef(asset.key, key).id);
  const day = parsePartition(asset.partitions, key);
  const rows = shownIn(around, upstream, day) ?? [];
  if (project.guarded.has(asset.key) && rows.some(({ bad }) => bad)) {
    if (own?.blocked === undefined)
      fail(`${asset.key} ${key} was not refused, and ${upstream.key} shows ${show(rows)}`);
    return;
  }
  const [wanted, seen] = [above.head.materializationId, own?.head?.upstreams?.[`${originOf(upstream)}|${key}`]];
  if (own?.head === undefined) return fail(`${asset.key} ${key} was not made, though ${upstream.key} shows ${wanted}`);
  // It may have been made before its upstream, because somebody asked for it.
  if (asset.automation?.kind === "on-missing") return;
  if (seen !== wanted)
    return fail(`${asset.key} ${key} was made from ${seen ?? "nothing"}, but ${upstream.key} shows ${wanted}`);
  if (asset.key === RANGE) {
    if (!isMade(around, key, rows)) fail(`${asset.key} ${key} was not made from ${show(rows)}`);
    return;
  }
  const shown = shownIn(around, asset, day);
  if (!sameRows(shown ?? [], rows)) fail(`${asset.key} ${key} shows ${show(shown)}, and ${upstream.key} ${show(rows)}`);
}

function watchWhole(
  { documents, warehouse, fail }: Surroundings,
  asset: AssetDefinition,
  upstream: AssetDefinition,
  heads: readonly PartitionDocument[],
): void {
  if (heads.some(({ blocked }) => blocked !== undefined)) return;
  const own = documents.get("partition", partitionRef(asset.key, "").id);
  const last = documents.events.findLast((event) => event.type === "materialized" && event.asset === upstream.key);
  const wanted = last?.type === "materialized" ? last.materializationId : "";
  const seen = own?.head?.upstreams?.[`${upstream.key}|*`];
  // Behind a `+` are others of about the same time.
  if (seen?.split("+")[0] !== wanted)
    return fail(`${asset.key} was made from ${seen ?? "nothing"}, but ${upstream.key} has materialized ${wanted} last`);
  const { target } = asset;
  if (target === undefined || upstream.target === undefined) return;
  const rows = warehouse.rows(upstream.target.table) ?? [];
  const shown = warehouse.rows(target.table) ?? [];
  if (target.publish === undefined || target.publish === "replace") {
    if (!sameRows(shown, rows)) fail(`${asset.key} shows ${show(shown)}, and ${upstream.key} ${show(rows)}`);
    return;
  }
  for (const row of rows) {
    if (!shown.some(({ file, version }) => file === row.file && version === row.version))
      fail(`${asset.key} lacks ${row.file}#${row.version}, which ${upstream.key} shows`);
  }
  const files = shown.map(({ file }) => file);
  if (typeof target.publish === "object" && new Set(files).size < files.length)
    fail(`${asset.key} has a key twice: ${show(shown)}`);
}

function dayOf(name: string): string {
  return /\d{4}-\d\d-\d\d/.exec(name)?.[0] ?? "";
}
