/** Keeps secrets out of everything that a process prints: what code writes past the run's log, and what libraries say. */

export interface Redactor {
  /** From now on, this text is printed as `[secret]`. */
  hide(secret: string): void;
  clean(text: string): string;
}

export function redactor(): Redactor {
  const hidden = new Set<string>();
  return {
    hide(secret) {
      if (secret === "") return;
      hidden.add(secret);
      // As it stands in JSON, where quotes and line ends are escaped.
      hidden.add(JSON.stringify(secret).slice(1, -1));
    },
    clean(text) {
      let shown = text;
      for (const secret of hidden) shown = shown.replaceAll(secret, "[secret]");
      return shown;
    },
  };
}

/** A secret that is written in two pieces is not recognised: a line is. */
export function redactOutput(stream: Pick<NodeJS.WriteStream, "write">, clean: (text: string) => string): void {
  // The overloads differ in what follows the text, which is handed on as it came.
  const write = stream.write.bind(stream) as (text: string, ...rest: unknown[]) => boolean;
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]) =>
    write(clean(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString()), ...rest);
}
