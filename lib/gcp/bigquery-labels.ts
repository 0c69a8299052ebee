/** Labels of jobs. Some are the adapter's own: they say about a job what its id and its end do not, to whoever meets it. */
import { DefinitionError } from "../core/errors.ts";

type Labels = Readonly<Record<string, string>>;

const own = "sluice-warehouse-";

/** What the adapter notes on a job. */
export interface Note {
  /** Tells our own submission from that of another, when the answer to it was lost. */
  readonly nonce: string;
  /** The job does nothing but fail, because what was asked for is refused for this reason. */
  readonly refused?: string;
  /** When the job's table expires. Milliseconds since the epoch. */
  readonly expiresAt?: number;
  /** A query that stands for a copy. */
  readonly copies?: true;
}

/** A reason in the letters of a label: `invalidQuery` is `invalid-query`. */
function spelled(reason: string): string {
  return reason.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll(/[^a-z0-9-]/g, "");
}

function reasonOf(label: string): string {
  return label.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** Throws `DefinitionError` for labels that BigQuery does not take. */
export function withNote(labels: Labels, { nonce, refused, expiresAt, copies }: Note): Labels {
  for (const [key, value] of Object.entries(labels)) {
    const fits =
      /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u.test(key) && /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u.test(value);
    if (!fits || key.startsWith(own)) {
      throw new DefinitionError(`the job label ${JSON.stringify(key)}: ${JSON.stringify(value)} is not legal`, {
        remedy: `use up to 63 lower-case letters, digits, _ and -, the key beginning with a letter and not with ${own}`,
      });
    }
  }
  return {
    ...labels,
    [`${own}nonce`]: nonce,
    ...(refused === undefined ? {} : { [`${own}refused`]: spelled(refused) }),
    ...(expiresAt === undefined ? {} : { [`${own}expires`]: String(Math.trunc(expiresAt)) }),
    ...(copies === undefined ? {} : { [`${own}copies`]: "" }),
  };
}

export function noteOf(labels: Labels): Partial<Note> {
  const refused = labels[`${own}refused`];
  const expires = labels[`${own}expires`];
  return {
    nonce: labels[`${own}nonce`] ?? "",
    ...(refused === undefined ? {} : { refused: reasonOf(refused) }),
    ...(expires === undefined ? {} : { expiresAt: Number(expires) }),
    ...(`${own}copies` in labels ? { copies: true } : {}),
  };
}

/** The labels as they were given. */
export function withoutNote(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !key.startsWith(own)));
}
