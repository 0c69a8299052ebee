/** The guards of what people and the clock ask for, of pools, and of data that is in no table; as those of `guards.ts`. */
import { knownIn, putsInstead, retold } from "./lies.ts";
import type { Guard } from "./lies.ts";
import { isOfPool } from "./pools.ts";
import type { Sabotage } from "./sabotage.ts";
import { CURSOR } from "./ticks.ts";

export const guardsOfPeople: readonly Guard[] = [
  {
    name: "cancel before a publish",
    without: "a run that is to be canceled opens its intent",
    sabotage: () => deaf(true),
  },
  {
    name: "cancel before a commit of files",
    without: "a run that is to be canceled commits what it has stored",
    sabotage: () => deaf(false),
  },
  { name: "pause", without: "a claim does not look at it", sabotage: noPause },
  { name: "limit of a pool", without: "every slot of a pool looks free", sabotage: freePools },
  {
    name: "removal of old versions",
    without: "a commit forgets the version that it replaces",
    sabotage: keepsVersions,
  },
  { name: "looking for lost ticks", without: "every tick counts as settled", sabotage: settledTicks },
];

/** Every tick counts as looked at already. */
function settledTicks(): Sabotage {
  return {
    events: (port) => ({
      ...port,
      get: async (kind, id) => {
        const found = await port.get(kind, id);
        if (kind !== "cursor" || id !== CURSOR || found === undefined || !("value" in found)) return found;
        return { ...found, value: String(found.value).replaceAll(/:\d+/g, `:${Number.MAX_SAFE_INTEGER}`) };
      },
    }),
  };
}

/** `publishes`: it is the slot that it asks for; otherwise it commits without one. */
function deaf(publishes: boolean): Sabotage {
  return {
    decide: (refs, decide, read) => {
      const { partition } = knownIn(read);
      const concerned = publishes
        ? refs["slot"] !== undefined && refs["run"] === undefined
        : refs["slot"] === undefined && refs["asset"] !== undefined && refs["run"] !== undefined;
      if (!concerned || partition?.holder?.cancel !== true) return decide(read);
      const { cancel, ...holder } = partition.holder;
      return decide({ ...read, partition: { ...partition, holder } });
    },
  };
}

function noPause(): Sabotage {
  return {
    decide: (refs, decide, read) =>
      refs["run"] === undefined || knownIn(read).pause?.movedTo !== undefined
        ? decide(read)
        : decide({ ...read, pause: undefined }),
  };
}

function freePools(): Sabotage {
  return {
    events: (port) => ({
      ...port,
      partitions: (query) =>
        isOfPool(query) && query.from?.startsWith("slot-") === true
          ? Promise.resolve({ items: [] })
          : port.partitions(query),
    }),
    decide: (refs, decide, read) => {
      const { slot } = refs;
      const isSeat = slot?.kind === "partition";
      return retold(decide, read, ({ result }) => isSeat && result === false, [{ slot: undefined }]);
    },
  };
}

function keepsVersions(): Sabotage {
  return putsInstead("partition", (value) => {
    if (value.finish?.remove === undefined) return value;
    const { finish, ...rest } = value;
    return rest;
  });
}
