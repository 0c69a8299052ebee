/** What the parts of the translator ask of each other. */
import type { TableRef } from "../../core/table.ts";
import type { Argument, Call, Expression, Name, Query } from "./ast.ts";
import type { Place } from "./lexer.ts";
import type { Scope } from "./scope.ts";
import type { Type } from "./type.ts";
import type { Value } from "./value.ts";

/** What a table looks like. */
export interface TableShape {
  readonly columns: readonly { readonly name: string; readonly type: Type }[];
  /** It has the pseudo-column `_PARTITIONTIME`. */
  readonly ingestionTime: boolean;
  /** The rows, where it is a view. */
  readonly view?: Relation;
}

export interface OutputColumn {
  readonly name: string | undefined;
  readonly type: Type;
  /** Its name in the relation's SQL. */
  readonly id: string;
  /** Set when the column is a literal, which a set operation or an INSERT may still turn into another type. */
  readonly constant?: Value["constant"];
}

export interface SortKey {
  readonly sql: string;
  readonly type: Type;
  readonly descending: boolean;
  readonly nulls: "first" | "last";
}

/** A query as DuckDB SQL. `sql` has no order and no limit; both belong to whoever uses the rows. */
export interface Relation {
  readonly sql: string;
  readonly columns: readonly OutputColumn[];
  readonly order: readonly SortKey[];
  readonly limit?: string;
  /** SELECT AS STRUCT and SELECT AS VALUE: each row is the value of the one column. */
  readonly isValue: boolean;
}

export interface Emit {
  readonly value: (node: Expression, scope: Scope) => Value;
  readonly relation: (query: Query, scope: Scope) => Relation;
  readonly call: (node: Call, scope: Scope) => Value;
  readonly parameter: (name: string, at: Place) => Value;
  /** A script's variable of this name, if there is one. */
  readonly variable: (name: string, at: Place) => Value | undefined;
  /** The table that a path names. */
  readonly ref: (path: readonly Name[]) => TableRef;
  readonly table: (table: TableRef, at: Place) => TableShape;
  /** Notes that a table's columns are read as `id."column"`. */
  readonly scan: (id: string, table: TableRef) => void;
  /** A number that no other name of this statement has. */
  readonly fresh: () => number;
}

/** A function call whose arguments are being read. */
export interface Site {
  readonly at: Place;
  readonly node: Call;
  readonly name: string;
  readonly scope: Scope;
  readonly emit: Emit;
  readonly count: number;
  /** The argument's value; each is translated once. */
  readonly value: (index: number) => Value;
  readonly argument: (index: number) => Argument;
}

export type Rule = (site: Site) => Value;

/** An expression that gives the keys' order, for ORDER BY. NaN comes before every number, as in GoogleSQL. */
export function orderTerms(keys: readonly SortKey[]): string {
  return keys
    .flatMap(({ sql, type, descending, nulls }) => {
      const direction = `${descending ? "DESC" : "ASC"} NULLS ${nulls === "first" ? "FIRST" : "LAST"}`;
      const isFloat = type.kind === "scalar" && type.name === "FLOAT64";
      return [...(isFloat ? [`NOT isnan(${sql}) ${direction}`] : []), `${sql} ${direction}`];
    })
    .join(", ");
}
