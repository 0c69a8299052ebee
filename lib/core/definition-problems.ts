/** What can be wrong between definitions that are each fine by themselves. */
import { chosenBy } from "./alert.ts";
import { refuseBlocking } from "./asset.ts";
import type { AssetDefinition } from "./asset.ts";
import type { AssetKey } from "./asset-key.ts";
import { requireNoTable } from "./check-needs.ts";
import type { CheckRule } from "./check.ts";
import { allChecks, nameOf } from "./definitions.ts";
import type { Definitions } from "./definitions.ts";
import { DefinitionError } from "./errors.ts";
import { multiProblems } from "./multi-problems.ts";
import { checkMapping } from "./partition-mapping.ts";
import { renameProblems } from "./previous-keys.ts";
import { assetsIn } from "./sql.ts";
import { didYouMean } from "./suggest.ts";
import { formatTable } from "./table.ts";

/** Each problem with the place of the definition that has it. */
export function problemsOf(definitions: Definitions): readonly DefinitionError[] {
  return [
    ...graphProblems(definitions),
    ...tableProblems(definitions),
    ...checkProblems(definitions),
    ...referenceProblems(definitions),
    ...mappingProblems(definitions),
    ...undeclaredProblems(definitions),
    ...tablelessProblems(definitions),
    ...renameProblems(definitions),
    ...multiProblems(definitions),
    ...poolProblems(definitions),
  ];
}

function graphProblems({ graph, places }: Definitions): DefinitionError[] {
  const at = (key: string): { where?: string } => {
    const where = places.get(`asset ${key}`);
    return where === undefined ? {} : { where };
  };
  return [
    ...graph.unknown.map(
      ({ key, dep, remedy }) =>
        new DefinitionError(`${key} depends on ${dep}, which is not defined`, {
          ...at(key),
          ...(remedy === undefined ? {} : { remedy }),
        }),
    ),
    ...graph.cycles.map(
      (cycle) =>
        new DefinitionError(`the dependencies run in a circle: ${cycle.join(" → ")}`, {
          ...at(cycle[0] ?? ""),
          remedy: "take one of them out",
        }),
    ),
  ];
}

/** Two assets with one table would replace each other's rows. */
function tableProblems({ assets, places }: Definitions): DefinitionError[] {
  const owners = new Map<string, AssetDefinition>();
  const problems: DefinitionError[] = [];
  for (const asset of assets.values()) {
    if (asset.target === undefined) continue;
    const table = formatTable({ dataset: asset.target.table.dataset, table: asset.target.table.table }).toLowerCase();
    const owner = owners.get(table);
    const where = places.get(`asset ${asset.key}`) ?? asset.key;
    if (owner === undefined) owners.set(table, asset);
    else if (asset.external === true || owner.external === true) {
      if (asset.external === owner.external) continue; // both only read it
      const [made, maker] = asset.external === true ? [asset, owner] : [owner, asset];
      problems.push(
        new DefinitionError(
          `${made.key} is said to be made elsewhere, but its table ${table} is written by ${maker.key}`,
          {
            where,
            remedy: `depend on ${maker.key} instead`,
          },
        ),
      );
    } else {
      problems.push(
        new DefinitionError(`${asset.key} and ${owner.key} both write the table ${table}`, {
          where,
          remedy: "give one of them another table",
        }),
      );
    }
  }
  return problems;
}

/** A check's results go by its name, whether it is defined with the asset or beside it. */
function checkProblems({ assets, checks, places }: Definitions): DefinitionError[] {
  const remedy = "give one of them another name";
  return [...assets.values()].flatMap((asset) => {
    const where = places.get(`asset ${asset.key}`) ?? asset.key;
    const names = asset.checks.map(({ name }) => name);
    const twice = [...new Set(names.filter((name, index) => names.indexOf(name) !== index))];
    const beside = checks.filter((check) => check.asset === asset.key && names.includes(check.name));
    return [
      ...twice.map(
        (name) => new DefinitionError(`check ${asset.key} ${name} is defined twice here`, { where, remedy }),
      ),
      ...beside.map((check) => {
        const at = places.get(nameOf(check)) ?? check.name;
        return new DefinitionError(`${nameOf(check)} is defined here and in ${where}`, { where: at, remedy });
      }),
    ];
  });
}

/** A statement reads tables, and nothing else. */
function tablelessProblems(definitions: Definitions): DefinitionError[] {
  const { assets, places } = definitions;
  return [...assets.values()].flatMap((asset) => {
    const where = places.get(`asset ${asset.key}`) ?? asset.key;
    const own = { who: `the SQL of ${asset.key}`, where, read: asset.sql === undefined ? [] : assetsIn(asset.sql) };
    const checks = allChecks(definitions, asset).map(({ name, rule }) => ({
      who: `the check ${name} of ${asset.key}`,
      where: places.get(`check ${asset.key} ${name}`) ?? where,
      read: readBy(rule).filter((key) => key !== asset.key),
    }));
    return [own, ...checks].flatMap(({ who, where, read }) =>
      read.flatMap((key) => {
        const upstream = assets.get(key);
        if (upstream === undefined || upstream.target !== undefined) return []; // what is not defined was said already
        const remedy =
          upstream.ioManager === undefined
            ? `give ${key} a target, or name it in deps`
            : `read its rows as an input, or let bigqueryTable keep them`;
        return [new DefinitionError(`${who} reads ${key}, which has no table`, { where, remedy })];
      }),
    );
  });
}

/** The assets that a check reads. */
function readBy(rule: CheckRule): readonly AssetKey[] {
  return rule.kind === "no-rows" ? assetsIn(rule.sql) : rule.kind === "references" ? [rule.asset] : [];
}

/** A check runs within its asset's run, which may read what the asset declares. */
function undeclaredProblems(definitions: Definitions): DefinitionError[] {
  const { assets, places } = definitions;
  return [...assets.values()].flatMap((asset) =>
    allChecks(definitions, asset).flatMap(({ name, rule }) => {
      const undeclared = readBy(rule).filter((key) => key !== asset.key && !asset.deps.includes(key));
      const where = places.get(`check ${asset.key} ${name}`) ?? places.get(`asset ${asset.key}`) ?? asset.key;
      return undeclared.map(
        (key) =>
          new DefinitionError(`the check ${name} of ${asset.key} reads ${key}, which ${asset.key} does not depend on`, {
            where,
            remedy: `add ${key} to its deps`,
          }),
      );
    }),
  );
}

/** A run in a pool that is not there could never begin. */
function poolProblems({ assets, jobs, pools, places }: Definitions): DefinitionError[] {
  return [...assets.values(), ...jobs.values()].flatMap((definition) => {
    const { pool } = definition;
    if (pool === undefined || pools.has(pool)) return [];
    const who = nameOf(definition);
    const remedy = didYouMean(pool, pools.keys()) ?? `export pool({ name: "${pool}", limit: 4 })`;
    const where = places.get(who) ?? who;
    return [new DefinitionError(`${who} is in the pool ${pool}, which is not defined`, { where, remedy })];
  });
}

/** An alert that is about no asset at all. */
export function alertProblems(definitions: Definitions): DefinitionError[] {
  return [...definitions.alerts.values()].flatMap((alert) => {
    try {
      chosenBy(definitions, alert);
      return [];
    } catch (error) {
      const { message, remedy } = error as DefinitionError; // a selection throws nothing else
      const where = definitions.places.get(nameOf(alert)) ?? alert.name;
      return [
        new DefinitionError(`the alert ${alert.name}: ${message}`, {
          where,
          ...(remedy === undefined ? {} : { remedy }),
        }),
      ];
    }
  });
}

function mappingProblems({ assets, places }: Definitions): DefinitionError[] {
  const problems: DefinitionError[] = [];
  for (const asset of assets.values()) {
    for (const [dep, mapping] of Object.entries(asset.mappings)) {
      const upstream = assets.get(dep);
      if (upstream === undefined) continue; // said already
      try {
        checkMapping(mapping, upstream.partitions, asset.partitions);
      } catch (error) {
        const { message, remedy } = error as DefinitionError; // checkMapping throws nothing else
        const where = places.get(`asset ${asset.key}`) ?? asset.key;
        problems.push(
          new DefinitionError(`${asset.key} → ${dep}: ${message}`, {
            where,
            ...(remedy === undefined ? {} : { remedy }),
          }),
        );
      }
    }
  }
  return problems;
}

function referenceProblems(definitions: Definitions): DefinitionError[] {
  const { assets, jobs, places, checks, sensors } = definitions;
  const problems: DefinitionError[] = [];
  const known = (key: AssetKey, who: string): void => {
    if (assets.has(key)) return;
    const hint = didYouMean(key, assets.keys());
    problems.push(
      new DefinitionError(`${who} refers to the asset ${key}, which is not defined`, {
        where: places.get(who) ?? who,
        remedy: hint ?? "export that asset too",
      }),
    );
  };
  for (const check of checks) {
    known(check.asset, `check ${check.asset} ${check.name}`);
    const asset = assets.get(check.asset);
    if (asset === undefined || "stub" in asset) continue;
    try {
      if (check.blocking && (asset.target === undefined || asset.external === true)) refuseBlocking(asset, check.name);
      if (asset.target === undefined) requireNoTable(asset.key, check, asset.ioManager !== undefined);
    } catch (error) {
      const { message, remedy } = error as DefinitionError; // neither throws anything else
      problems.push(
        new DefinitionError(message, {
          where: places.get(nameOf(check)) ?? check.name,
          ...(remedy === undefined ? {} : { remedy }),
        }),
      );
    }
  }
  for (const sensor of sensors.values()) {
    const who = `sensor ${sensor.name}`;
    if (sensor.watches.kind === "asset") known(sensor.watches.asset, who);
    if (sensor.requests.kind === "asset") known(sensor.requests.key, who);
    else if (!jobs.has(sensor.requests.name)) {
      problems.push(
        new DefinitionError(`${who} requests the job ${sensor.requests.name}, which is not exported`, {
          where: places.get(who) ?? who,
          remedy: "export the job, or return it from the factory",
        }),
      );
    }
  }
  return problems;
}
