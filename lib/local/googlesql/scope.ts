/** What names mean at a place in the statement. */
import type { Name, Query, WindowSpec } from "./ast.ts";
import { refuse, type Place } from "./lexer.ts";
import type { Type } from "./type.ts";
import type { Value } from "./value.ts";

export interface ScopeColumn {
  readonly name: string | undefined;
  readonly type: Type;
  readonly sql: string;
  /** Seen by name, and not by a star: `_PARTITIONTIME`. */
  readonly hidden?: boolean;
}

/** One thing in FROM under one name. */
export interface Source {
  readonly alias: string | undefined;
  readonly columns: readonly ScopeColumn[];
  /** What the alias alone stands for, where rows are values: `UNNEST(…) AS x`. */
  readonly value?: { readonly type: Type; readonly sql: string };
}

export interface Scope {
  readonly sources: readonly Source[];
  /** What `*` gives, with joined columns once; left out, the sources' columns. */
  readonly columns: readonly ScopeColumn[];
  readonly parent?: Scope;
  readonly ctes: ReadonlyMap<string, Cte>;
  /** Names of the select list that may be used beside those of FROM (in HAVING, QUALIFY, ORDER BY, GROUP BY). */
  readonly aliases?: ReadonlyMap<string, Value>;
  readonly windows?: ReadonlyMap<string, WindowSpec>;
  /** Where an aggregate function may stand. */
  readonly aggregates?: boolean;
  readonly analytics?: boolean;
}

export interface Cte {
  readonly sql: string;
  readonly columns: readonly { readonly name: string | undefined; readonly type: Type; readonly id: string }[];
  readonly isValue: boolean;
}

export type CteQuery = { readonly name: Name; readonly query: Query };

export const emptyScope: Scope = { sources: [], columns: [], ctes: new Map() };

export type Found =
  | { readonly kind: "value"; readonly type: Type; readonly sql: string; readonly value?: Value }
  | { readonly kind: "source"; readonly source: Source };

/** What `name` means, in the nearest scope that knows it. */
export function lookUp(scope: Scope, name: string, at: Place): Found | undefined {
  const wanted = name.toLowerCase();
  for (let place: Scope | undefined = scope; place !== undefined; place = place.parent) {
    const alias = place.aliases?.get(wanted);
    if (alias !== undefined) return { kind: "value", type: alias.type, sql: alias.sql, value: alias };
    const columns = [
      ...place.columns,
      ...place.sources.flatMap((source) => source.columns.filter(({ hidden }) => hidden === true)),
    ];
    const found = columns.filter((column) => column.name?.toLowerCase() === wanted);
    const source = place.sources.find((one) => one.alias?.toLowerCase() === wanted);
    if (found.length > 1) refuse(`the ambiguous name ${name}`, at, "say of which table");
    const [column] = found;
    if (source !== undefined && source.value !== undefined) {
      if (column !== undefined && column.sql !== source.value.sql)
        refuse(`the ambiguous name ${name}`, at, "rename the alias");
      return { kind: "value", ...source.value };
    }
    if (column !== undefined && source !== undefined)
      refuse(`${name} as both a column and a table`, at, "rename the alias");
    if (column !== undefined) return { kind: "value", type: column.type, sql: column.sql };
    if (source !== undefined) return { kind: "source", source };
  }
  return undefined;
}

export function columnIn(source: Source, name: string, at: Place): ScopeColumn | undefined {
  const found = source.columns.filter((column) => column.name?.toLowerCase() === name.toLowerCase());
  if (found.length > 1) refuse(`the ambiguous name ${name}`, at);
  return found[0];
}
