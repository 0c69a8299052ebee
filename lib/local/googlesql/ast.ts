/** The tree of a GoogleSQL statement, as the parser builds it. Every node knows its place. */
import type { Place } from "./lexer.ts";

export interface Name {
  readonly text: string;
  readonly at: Place;
}

export type TypeNode =
  | { readonly kind: "scalar"; readonly at: Place; readonly name: string; readonly arguments: readonly string[] }
  | { readonly kind: "array"; readonly at: Place; readonly element: TypeNode }
  | {
      readonly kind: "struct";
      readonly at: Place;
      readonly fields: readonly { readonly name: string | undefined; readonly type: TypeNode }[];
    };

export interface OrderItem {
  readonly value: Expression;
  readonly descending: boolean;
  readonly nulls: "first" | "last" | undefined;
}

export interface FrameBound {
  readonly at: Place;
  readonly edge: "unbounded preceding" | "preceding" | "current row" | "following" | "unbounded following";
  readonly offset?: Expression;
}

export interface WindowSpec {
  readonly at: Place;
  readonly base?: Name;
  readonly partitionBy: readonly Expression[];
  readonly orderBy: readonly OrderItem[];
  readonly frame?: { readonly unit: "ROWS" | "RANGE"; readonly start: FrameBound; readonly end: FrameBound };
}

export interface Call {
  readonly kind: "call";
  readonly at: Place;
  /** In capitals; dotted names (`NET.HOST`) keep their dots. `SAFE.` is taken off. */
  readonly name: string;
  readonly safe: boolean;
  readonly arguments: readonly Argument[];
  readonly distinct: boolean;
  readonly nulls?: "IGNORE" | "RESPECT";
  readonly having?: { readonly kind: "MAX" | "MIN"; readonly value: Expression };
  readonly orderBy: readonly OrderItem[];
  readonly limit?: Expression;
  readonly over?: WindowSpec;
}

/** `f(name => value)` has a name; `f(* )` is a star. */
export interface Argument {
  readonly name?: string;
  readonly value: Expression;
  readonly alias?: string;
}

export type Expression =
  | { readonly kind: "null"; readonly at: Place }
  | { readonly kind: "boolean"; readonly at: Place; readonly value: boolean }
  | { readonly kind: "integer" | "float" | "string"; readonly at: Place; readonly text: string }
  | { readonly kind: "bytes"; readonly at: Place; readonly bytes: Uint8Array }
  /** `DATE '2024-01-01'` and its like. */
  | { readonly kind: "typed"; readonly at: Place; readonly type: string; readonly text: string }
  | {
      readonly kind: "interval";
      readonly at: Place;
      readonly value: Expression;
      readonly part: string;
      readonly to?: string;
    }
  | { readonly kind: "parameter"; readonly at: Place; readonly name: string }
  | { readonly kind: "name"; readonly at: Place; readonly name: string; readonly quoted: boolean }
  | { readonly kind: "field"; readonly at: Place; readonly of: Expression; readonly name: string }
  | {
      readonly kind: "index";
      readonly at: Place;
      readonly of: Expression;
      readonly index: Expression;
      readonly mode: string;
    }
  | { readonly kind: "unary"; readonly at: Place; readonly operator: "-" | "+" | "~" | "NOT"; readonly of: Expression }
  | {
      readonly kind: "binary";
      readonly at: Place;
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | {
      readonly kind: "is";
      readonly at: Place;
      readonly of: Expression;
      readonly what: "NULL" | "TRUE" | "FALSE";
      readonly not: boolean;
    }
  | {
      readonly kind: "distinct";
      readonly at: Place;
      readonly left: Expression;
      readonly right: Expression;
      readonly not: boolean;
    }
  | {
      readonly kind: "like";
      readonly at: Place;
      readonly of: Expression;
      readonly pattern: Expression;
      readonly not: boolean;
    }
  | {
      readonly kind: "between";
      readonly at: Place;
      readonly of: Expression;
      readonly low: Expression;
      readonly high: Expression;
      readonly not: boolean;
    }
  | {
      readonly kind: "in";
      readonly at: Place;
      readonly of: Expression;
      readonly not: boolean;
      readonly among: readonly Expression[] | { readonly unnest: Expression } | { readonly query: Query };
    }
  | {
      readonly kind: "case";
      readonly at: Place;
      readonly of?: Expression;
      readonly arms: readonly { readonly when: Expression; readonly result: Expression }[];
      readonly otherwise?: Expression;
    }
  | {
      readonly kind: "cast";
      readonly at: Place;
      readonly safe: boolean;
      readonly of: Expression;
      readonly type: TypeNode;
      readonly format?: Expression;
    }
  | {
      readonly kind: "extract";
      readonly at: Place;
      readonly part: Expression;
      readonly of: Expression;
      readonly zone?: Expression;
    }
  | { readonly kind: "array"; readonly at: Place; readonly element?: TypeNode; readonly items: readonly Expression[] }
  | {
      readonly kind: "struct";
      readonly at: Place;
      readonly type?: TypeNode;
      readonly fields: readonly { readonly name: string | undefined; readonly value: Expression }[];
    }
  | {
      readonly kind: "subquery";
      readonly at: Place;
      readonly form: "scalar" | "exists" | "array";
      readonly query: Query;
    }
  | { readonly kind: "star"; readonly at: Place }
  | Call;

export type SelectItem =
  | { readonly kind: "expression"; readonly value: Expression; readonly alias: Name | undefined }
  | {
      readonly kind: "star";
      readonly at: Place;
      /** `t.*`; left out for `*`. */
      readonly of?: Expression;
      readonly except: readonly Name[];
      readonly replace: readonly { readonly value: Expression; readonly alias: Name }[];
    };

export interface Select {
  readonly kind: "select";
  readonly at: Place;
  readonly distinct: boolean;
  readonly as?: "STRUCT" | "VALUE";
  readonly items: readonly SelectItem[];
  readonly from?: From;
  readonly where?: Expression;
  readonly groupBy?: Grouping;
  readonly having?: Expression;
  readonly qualify?: Expression;
  readonly windows: readonly { readonly name: Name; readonly spec: WindowSpec }[];
}

export type Grouping =
  | { readonly kind: "all"; readonly at: Place }
  | { readonly kind: "plain"; readonly at: Place; readonly keys: readonly Expression[] }
  /** `ROLLUP`, `CUBE` and `GROUPING SETS`, each as the list of its sets' keys. */
  | {
      readonly kind: "rollup" | "cube" | "sets";
      readonly at: Place;
      readonly sets: readonly (readonly Expression[])[];
    };

export interface Query {
  readonly kind: "query";
  readonly at: Place;
  readonly recursive: boolean;
  readonly with: readonly { readonly name: Name; readonly query: Query }[];
  readonly body: Body;
  readonly orderBy: readonly OrderItem[];
  readonly limit?: Expression;
  readonly offset?: Expression;
}

export type Body =
  | Select
  | Query
  | {
      readonly kind: "set";
      readonly at: Place;
      readonly operator: "UNION" | "INTERSECT" | "EXCEPT";
      readonly distinct: boolean;
      readonly left: Body;
      readonly right: Body;
    };

export type From =
  | {
      readonly kind: "table";
      readonly at: Place;
      readonly path: readonly Name[];
      readonly alias: Name | undefined;
      readonly quoted: boolean;
    }
  | {
      readonly kind: "unnest";
      readonly at: Place;
      readonly value: Expression;
      readonly alias: Name | undefined;
      readonly offset: Name | undefined;
    }
  | { readonly kind: "subquery"; readonly at: Place; readonly query: Query; readonly alias: Name | undefined }
  | {
      readonly kind: "join";
      readonly at: Place;
      readonly type: "CROSS" | "INNER" | "LEFT" | "RIGHT" | "FULL";
      readonly left: From;
      readonly right: From;
      readonly on?: Expression;
      readonly using?: readonly Name[];
    }
  | {
      readonly kind: "pivot";
      readonly at: Place;
      readonly of: From;
      readonly aggregates: readonly { readonly value: Expression; readonly alias: Name | undefined }[];
      readonly input: Expression;
      readonly values: readonly { readonly value: Expression; readonly alias: Name | undefined }[];
      readonly alias: Name | undefined;
    }
  | {
      readonly kind: "unpivot";
      readonly at: Place;
      readonly of: From;
      readonly includeNulls: boolean;
      readonly value: Name;
      readonly name: Name;
      readonly columns: readonly { readonly column: Name; readonly label: Expression | undefined }[];
      readonly alias: Name | undefined;
    };

export interface Assignment {
  readonly column: Name;
  /** What stands before the column, with a dot: the alias of the table. */
  readonly qualifier?: Name;
  readonly value: Expression;
}

export interface ColumnNode {
  readonly name: Name;
  readonly type: TypeNode;
  readonly required: boolean;
}

export interface MergeClause {
  readonly at: Place;
  readonly when: "matched" | "not matched by target" | "not matched by source";
  readonly and?: Expression;
  readonly action:
    | { readonly kind: "delete" }
    | { readonly kind: "update"; readonly set: readonly Assignment[] }
    /** `INSERT ROW` has neither columns nor values. */
    | { readonly kind: "insert"; readonly columns?: readonly Name[]; readonly values?: readonly Expression[] };
}

export type Statement =
  | { readonly kind: "query"; readonly at: Place; readonly query: Query }
  | {
      readonly kind: "create-table";
      readonly at: Place;
      readonly what: "table" | "view";
      /** It lives as long as its script. */
      readonly temporary: boolean;
      readonly replace: boolean;
      readonly ifNotExists: boolean;
      readonly target: readonly Name[];
      readonly columns?: readonly ColumnNode[];
      /** What a view calls its query's columns. */
      readonly names?: readonly Name[];
      readonly partitionBy?: Expression;
      readonly clusterBy: readonly Name[];
      readonly query?: Query;
      /** The query as it is written. */
      readonly text?: string;
    }
  | {
      readonly kind: "insert";
      readonly at: Place;
      readonly target: readonly Name[];
      readonly columns?: readonly Name[];
      readonly source: { readonly query: Query } | { readonly rows: readonly (readonly (Expression | "default")[])[] };
    }
  | {
      readonly kind: "delete";
      readonly at: Place;
      readonly target: readonly Name[];
      readonly alias?: Name;
      readonly where: Expression;
    }
  | {
      readonly kind: "update";
      readonly at: Place;
      readonly target: readonly Name[];
      readonly alias?: Name;
      readonly set: readonly Assignment[];
      readonly from?: From;
      readonly where: Expression;
    }
  | {
      readonly kind: "merge";
      readonly at: Place;
      readonly target: readonly Name[];
      readonly alias?: Name;
      readonly source: From;
      readonly on: Expression;
      readonly clauses: readonly MergeClause[];
    }
  | { readonly kind: "truncate"; readonly at: Place; readonly target: readonly Name[] }
  | {
      readonly kind: "drop";
      readonly at: Place;
      readonly what: "table" | "view";
      readonly target: readonly Name[];
      readonly ifExists: boolean;
    };

/** What a script is made of. */
export type Step =
  | { readonly kind: "statement"; readonly at: Place; readonly statement: Statement }
  | {
      readonly kind: "declare";
      readonly at: Place;
      readonly names: readonly Name[];
      readonly type?: TypeNode;
      readonly value?: Expression;
    }
  /** `SET (a, b) = …` has several names, and a value of as many fields. */
  | { readonly kind: "set"; readonly at: Place; readonly names: readonly Name[]; readonly value: Expression }
  | {
      readonly kind: "if";
      readonly at: Place;
      readonly arms: readonly { readonly when: Expression; readonly body: readonly Step[] }[];
      readonly otherwise: readonly Step[];
    }
  | { readonly kind: "block"; readonly at: Place; readonly body: readonly Step[] }
  /** Without a condition it goes on until it is left. */
  | { readonly kind: "loop"; readonly at: Place; readonly condition?: Expression; readonly body: readonly Step[] }
  | { readonly kind: "leave" | "continue"; readonly at: Place };
