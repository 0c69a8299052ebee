/** What producers and people do in a world. */
import { bucketTopicOf, jobTopicOf, topicOf } from "../../lib/core/asset-key.ts";
import type { Row } from "./buckets.ts";
import { command } from "./commands.ts";
import type { Instances } from "./instances.ts";
import type { Outside } from "./outside.ts";
import { BUCKET, CLEAN_UP, SEVERAL } from "./projects.ts";
import type { Act, Part } from "./schedule.ts";

type ActOf<Do extends Act["do"]> = Extract<Act, { readonly do: Do }>;

export function perform(around: Outside, instances: Instances, act: Act): void {
  const { project, transport, buckets, watch, journal } = around;
  journal.say?.(`— ${JSON.stringify(act)}`);
  switch (act.do) {
    case "write":
      write(around, act);
      break;
    case "remove":
      buckets.remove(BUCKET, fileOf(act.day, act.part));
      break;
    case "ask": {
      const asset = [...around.deployed.definitions.assets.values()][act.asset];
      if (asset === undefined) break;
      const day = asset.partitions === undefined ? {} : { partition: dayOf(act.day) };
      transport.publish(topicOf(asset.key), { ...day, ...(act.wish === undefined ? {} : { [act.wish]: true }) });
      if (act.wish === "rollback") watch.allowRollback();
      break;
    }
    case "ask several": {
      const { day, select, force } = act;
      const wish = { partition: dayOf(day), ...(select === undefined ? {} : { select }) };
      transport.publish(jobTopicOf(SEVERAL), { config: { ...wish, ...(force === undefined ? {} : { force }) } });
      break;
    }
    case "backfill": {
      const assets = [...around.deployed.definitions.assets.values()];
      const asset = assets.find(({ backfill }) => backfill !== undefined) ?? assets[0];
      const { which, order } = act;
      const days = order.action === "start" ? { from: dayOf(order.from), to: dayOf(order.to) } : {};
      const id = String(which).padStart(16, "b");
      transport.publish(topicOf(asset?.key ?? ""), { backfill: { ...order, ...days, id } });
      break;
    }
    case "cancel":
    case "pause":
    case "resume":
      command(around, instances, act);
      break;
    case "deploy":
      around.deployed = project.renamed ?? project;
      // An older process may take a message for its own that it makes nothing of.
      around.lost = true;
      for (const instance of instances.all)
        if (act.only === undefined || act.only === instance.slot) instances.crash(instance, act.fate);
      break;
    case "clean":
      // As greedy as a request can be.
      transport.publish(jobTopicOf(CLEAN_UP), { config: { before: "2999-01-01", dryRun: act.dryRun } });
      break;
  }
}

function write(around: Outside, act: ActOf<"write">): void {
  const { buckets, transport, time, journal } = around;
  const { day, part, bad = false, unsettledMs = 0 } = act;
  const file = fileOf(day, part);
  const extra = act.wide === true ? { extra: true as const } : {};
  const rowsAt = (generation: string): { readonly rows?: readonly Row[] } =>
    part === "marker" ? {} : { rows: [{ file, day: dayOf(day), version: Number(generation), bad, ...extra }] };
  if (unsettledMs > 0) {
    journal.count("object that is not listed yet");
    around.lost = true;
  }
  const { bucket, name, generation, size } = buckets.put(BUCKET, file, rowsAt, time.now() + unsettledMs);
  if (act.silent === true) around.lost = true;
  else transport.publish(bucketTopicOf(bucket), { bucket, name, generation, size });
}

export function dayOf(day: number): string {
  return `2024-05-0${day}`;
}

export function fileOf(day: number, part: Part): string {
  return part === "marker" ? `days/${dayOf(day)}/_SUCCESS` : `days/${dayOf(day)}/part-${part}.parquet`;
}
