/**
 * A renamed asset: `previousKeys` says what it was called before, the oldest name first. What others know it by, in heads,
 * in fingerprints and in the ids of its runs, is its oldest name for ever; so a rename makes nothing anew.
 */
import { assetKey, materializedTopicOf, parseTopic, topicOf } from "./asset-key.ts";
import type { AssetKey } from "./asset-key.ts";
import type { Definitions } from "./definitions.ts";
import { DefinitionError } from "./errors.ts";
import { materializationSchema } from "./request.ts";
import type { OutboxMessage } from "./request.ts";

export interface Named {
  readonly key: AssetKey;
  readonly previousKeys?: readonly AssetKey[] | undefined;
}

/** The name that stays: the oldest. */
export function originOf({ key, previousKeys }: Named): AssetKey {
  return previousKeys?.[0] ?? key;
}

/** Every name, the present one first and the oldest last. */
export function namesOf({ key, previousKeys }: Named): readonly AssetKey[] {
  return [key, ...(previousKeys ?? []).toReversed()];
}

/** A history is asked for by ten names at most: `HistoryQuery.asset`. */
const MAX_PREVIOUS = 9;

/** The canonical keys. Throws `DefinitionError` for what is no key, and for more of them than a history can be asked by. */
export function previousKeysOf(key: AssetKey, previous: readonly string[]): readonly AssetKey[] {
  if (previous.length > MAX_PREVIOUS) {
    throw new DefinitionError(`${key} has ${previous.length} previous keys`, {
      where: "previousKeys",
      remedy: `keep the oldest one and the last ${MAX_PREVIOUS - 1}`,
    });
  }
  return previous.map((name) => assetKey(name));
}

/** What the asset that was once called `key` is called now; `key` itself while an asset is called so, or none ever was. */
export function presentKey(assets: ReadonlyMap<AssetKey, Named>, key: AssetKey): AssetKey {
  if (assets.has(key)) return key;
  for (const asset of assets.values()) if (asset.previousKeys?.includes(key) === true) return asset.key;
  return key;
}

/**
 * The names that the asset may take over, the last one first: none that is, or was, another asset's as well. Definitions that
 * have such a problem may be worked with all the same, and must not cost the other asset its history.
 */
export function adoptableNames(assets: ReadonlyMap<AssetKey, Named>, asset: Named): readonly AssetKey[] {
  const [, ...previous] = namesOf(asset);
  const others = [...assets.values()].filter(({ key }) => key !== asset.key);
  return previous.filter(
    (name) => !assets.has(name) && !others.some(({ previousKeys = [] }) => previousKeys.includes(name)),
  );
}

/** A name belongs to one asset: histories that have met cannot be told apart again. */
export function renameProblems({ assets, places }: Definitions): DefinitionError[] {
  const problems: DefinitionError[] = [];
  const owners = new Map<AssetKey, AssetKey>();
  for (const asset of assets.values()) {
    for (const previous of asset.previousKeys ?? []) {
      const owner = owners.get(previous);
      const fault =
        previous === asset.key
          ? "is what it is called now"
          : assets.has(previous)
            ? "is the key of another asset"
            : owner === asset.key
              ? "is named twice"
              : owner === undefined
                ? undefined
                : `is a previous key of ${owner} as well`;
      owners.set(previous, owner ?? asset.key);
      if (fault === undefined) continue;
      problems.push(
        new DefinitionError(`the previous key ${previous} of ${asset.key} ${fault}`, {
          where: places.get(`asset ${asset.key}`) ?? asset.key,
          remedy: "a previous key belongs to one asset, which is not called so any more",
        }),
      );
    }
  }
  return problems;
}

/** A message that was decided on before a rename, to the present topic and with the present key. */
export function toPresentName(assets: ReadonlyMap<AssetKey, Named>, message: OutboxMessage): OutboxMessage {
  const parsed = parseTopic(message.topic);
  if (parsed === undefined || !("key" in parsed)) return message;
  const key = presentKey(assets, parsed.key);
  if (key === parsed.key) return message;
  const { data } = message;
  if (parsed.kind === "asset") return { topic: topicOf(key), data };
  const news = materializationSchema.safeParse(data);
  return { topic: materializedTopicOf(key), data: news.success ? { ...news.data, asset: key } : data };
}
