/**
 * Loads the scripts that the platform's bundle consists of, each with what V8 compiled of it before, where that is kept beside it.
 * V8 compiles most functions when they are first called. Node's own compile cache holds what was compiled when a module was
 * read, and so hardly any of them; a script's can be taken when its functions have run.
 */
export interface Scripts {
  /** What the script exports; it runs once. */
  load(file: string): unknown;
  /** Keeps what is compiled of every script that was loaded. */
  keep(): void;
}

interface Loaded {
  readonly exports: Record<string, unknown>;
  keep(): void;
}

/** What the build wraps every script in; `later` is its `import()`. */
type Wrapped = (
  exports: Record<string, unknown>,
  load: (name: string) => unknown,
  module: { exports: Record<string, unknown> },
  folder: string,
  file: string,
  later: (name: string) => Promise<unknown>,
) => void;

// As an import, each would also read what nobody here needs.
const { readFileSync, writeFileSync } = process.getBuiltinModule("node:fs");
const { createRequire } = process.getBuiltinModule("node:module");
const { Script } = process.getBuiltinModule("node:vm");

export function scriptsIn(folder: string): Scripts {
  const loaded = new Map<string, Loaded>();
  const other = createRequire(`${folder}/`);

  function run(file: string): Loaded {
    const path = `${folder}/${file}`;
    const cachedData = compiledOf(path);
    const script = new Script(readFileSync(path, "latin1"), {
      filename: path,
      ...(cachedData === undefined ? {} : { cachedData }),
    });
    const module: Loaded & { exports: Record<string, unknown> } = {
      exports: {},
      keep: () => writeFileSync(`${path}${KEPT}`, script.createCachedData()),
    };
    // Two scripts may need each other.
    loaded.set(file, module);
    try {
      // The build has made this function.
      const wrapped = script.runInThisContext() as Wrapped;
      wrapped(module.exports, required, module, folder, path, later);
    } catch (error) {
      loaded.delete(file);
      throw error;
    }
    return module;
  }

  function required(name: string): unknown {
    return name.startsWith("./") ? load(name.slice(2)) : other(name);
  }

  /** The functions' own modules are no scripts; they come by their URLs. */
  async function later(name: string): Promise<unknown> {
    return name.startsWith("./") ? required(name) : await import(name);
  }

  function load(file: string): unknown {
    return (loaded.get(file) ?? run(file)).exports;
  }

  return {
    load,
    keep() {
      for (const script of loaded.values()) script.keep();
    },
  };
}

const KEPT = ".compiled";

/** One that does not fit, made by another Node say, is passed over by V8. */
function compiledOf(path: string): Buffer | undefined {
  try {
    return readFileSync(`${path}${KEPT}`);
  } catch {
    return undefined;
  }
}
