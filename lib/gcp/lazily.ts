/** A client that is made when it is first needed, once, and that is closed only if it was made. */
export interface Lazy<T> {
  open(): Promise<T>;
  /** Closes what was opened; what is opened afterwards is refused. May be called twice. */
  close(): Promise<void>;
}

export function lazily<T>(make: () => Promise<T>, end: (made: T) => Promise<unknown>): Lazy<T> {
  let made: Promise<T> | undefined;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // One that could not be made has nothing to close.
    const opened = await made?.catch(() => undefined);
    if (opened !== undefined) await end(opened);
  };
  return {
    async open() {
      if (closing !== undefined) throw new Error("the client was closed");
      made ??= make();
      return await made;
    },
    close: () => (closing ??= close()),
  };
}
