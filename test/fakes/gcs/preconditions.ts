/** The query parameters that make a request conditional. */
import { ApiError } from "../http-fake.ts";

const PARAMETERS = [
  "ifGenerationMatch",
  "ifGenerationNotMatch",
  "ifMetagenerationMatch",
  "ifMetagenerationNotMatch",
] as const;

export type Preconditions = Readonly<Partial<Record<(typeof PARAMETERS)[number], string>>>;

/** With a prefix, e.g. `ifSourceGenerationMatch` as `ifGenerationMatch`. Throws 400 for what is no number. */
export function preconditionsOf(query: URLSearchParams, infix = ""): Preconditions {
  const found: Partial<Record<(typeof PARAMETERS)[number], string>> = {};
  for (const parameter of PARAMETERS) {
    const value = query.get(parameter.replace(/^if/, `if${infix}`));
    if (value === null) continue;
    if (!/^\d{1,19}$/.test(value)) {
      throw new ApiError(400, "invalid", `Invalid value for ${parameter}: '${value}'. Value must be an int64.`);
    }
    found[parameter] = value;
  }
  return found;
}

/** Throws 412, or `notModified` (304) for a "not match" of a reader. An object that is not there has generation 0. */
export function check(
  preconditions: Preconditions,
  present: { readonly generation: string; readonly metageneration: number } | undefined,
  notModified = 412,
): void {
  const generation = present?.generation ?? "0";
  const metageneration = String(present?.metageneration ?? 0);
  const { ifGenerationMatch, ifGenerationNotMatch, ifMetagenerationMatch, ifMetagenerationNotMatch } = preconditions;
  const refuse = (status: number): never => {
    throw new ApiError(status, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
  };
  if (ifGenerationMatch !== undefined && BigInt(ifGenerationMatch) !== BigInt(generation)) refuse(412);
  if (ifMetagenerationMatch !== undefined && ifMetagenerationMatch !== metageneration) refuse(412);
  if (ifGenerationNotMatch !== undefined && BigInt(ifGenerationNotMatch) === BigInt(generation)) refuse(notModified);
  if (ifMetagenerationNotMatch !== undefined && ifMetagenerationNotMatch === metageneration) refuse(notModified);
}
