/**
 * What a client needs of its package's protobuf description, which its REST transport turns into classes when it is made: the
 * messages that the methods it calls send and receive, and those within them.
 */

/** protobuf.js's JSON of a namespace, and of what is in one: a message, an enum, a service, or an extension. */
export interface Described {
  readonly nested?: Readonly<Record<string, Described>>;
  readonly fields?: Readonly<Record<string, DescribedField>>;
  readonly methods?: Readonly<Record<string, DescribedMethod>>;
  readonly values?: Readonly<Record<string, number>>;
}

interface DescribedField {
  readonly type: string;
  readonly keyType?: string;
}

interface DescribedMethod {
  readonly requestType: string;
  readonly responseType: string;
}

/**
 * The description with that one service, of which only the named methods are left, and with nothing that these do not need.
 * Throws for a service, method or type that is not in it.
 */
export function prunedProto(root: Described, service: string, methods: readonly string[]): Described {
  const needed = new Set<string>();
  const need = (type: string, scope: string): void => {
    const path = pathOf(root, type, scope);
    if (path === undefined || needed.has(path)) return;
    needed.add(path);
    // A field's type is looked for from within its own message outwards.
    for (const field of Object.values(at(root, path)?.fields ?? {})) need(field.type, path);
  };
  const all = at(root, service)?.methods;
  const kept = methods.map((name) => {
    const method = all?.[name];
    if (method === undefined) throw new Error(`${service} has no method ${name}`);
    need(method.requestType, service);
    need(method.responseType, service);
    return [name, method] as const;
  });
  const prune = (node: Described, path: string): Described | undefined => {
    if (path === service) return { ...node, methods: Object.fromEntries(kept) };
    const inner = Object.entries(node.nested ?? {}).flatMap(([name, child]) => {
      const left = prune(child, path === "" ? name : `${path}.${name}`);
      return left === undefined ? [] : [[name, left] as const];
    });
    if (inner.length === 0 && !needed.has(path)) return undefined;
    const { nested: _, ...own } = node;
    return inner.length === 0 ? own : { ...own, nested: Object.fromEntries(inner) };
  };
  return prune(root, "") ?? {};
}

/** What a field or method can be made of without any description. */
const SCALARS: ReadonlySet<string> = new Set(
  "double float int32 uint32 sint32 fixed32 sfixed32 int64 uint64 sint64 fixed64 sfixed64 bool string bytes".split(" "),
);

/** The full name of a type as it is called within `scope`; `undefined` for a scalar. */
function pathOf(root: Described, type: string, scope: string): string | undefined {
  if (SCALARS.has(type)) return undefined;
  for (let outer = scope; ; outer = outer.slice(0, Math.max(0, outer.lastIndexOf(".")))) {
    const path = outer === "" ? type.replace(/^\./, "") : `${outer}.${type}`;
    const found = at(root, path);
    if (found?.fields !== undefined || found?.values !== undefined) return path;
    if (outer === "") throw new Error(`the description has no type ${type}, which ${scope} names`);
  }
}

function at(root: Described, path: string): Described | undefined {
  return path.split(".").reduce<Described | undefined>((node, name) => node?.nested?.[name], root);
}
