export interface Secrets {
  /** The latest version of a secret; throws `PermanentError` (`not-found`) with its name and where to set it. */
  access(name: string): Promise<string>;
}
