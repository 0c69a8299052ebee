/**
 * Whether a row is right at first sight. Only schemas that say no more than their columns do have such rows; for the
 * others, and for a row that is not plainly right, zod has the word. It must never say yes where zod would not let the
 * very same value through, which a property test holds it to.
 */
import { storable } from "./row-fits.ts";
import { isDecimal, isTimestamp } from "./row-values.ts";
import type { Field, Shape, Struct } from "./row-shape.ts";
import { everyProperty } from "./unrolled.ts";

type Test = (value: unknown) => boolean;

export function rowFast(shape: Struct): Test {
  return shape.exact ? struct(shape.fields) : () => false;
}

/** A plain object with these properties and no others. */
function struct(fields: readonly Field[]): Test {
  const fit = everyProperty(fields.map(({ name, shape }) => ({ name, test: testOf(shape) })));
  const gaps = fields.filter(({ shape }) => shape.optional).map(({ name }) => name);
  const always = fields.length - gaps.length;
  return (value) => {
    if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false;
    // It is an object; what it has is looked at here.
    if (!fit(value as Readonly<Record<string, unknown>>)) return false;
    let expected = always;
    for (const name of gaps) if (name in value) expected++;
    for (const _name in value) expected--;
    return expected === 0;
  };
}

function testOf(shape: Shape): Test {
  const one = present(shape);
  const all = shape.repeated ? each(one) : one;
  const { optional, nullable } = shape;
  if (!optional && !nullable) return all;
  return (value) => (value === undefined ? optional : value === null && nullable ? true : all(value));
}

function each(one: Test): Test {
  return (value) => {
    if (!Array.isArray(value)) return false;
    for (let index = 0; index < value.length; index++) if (!one(value[index])) return false;
    return true;
  };
}

/** Where a schema takes less than its column, it is the schema that counts. */
function present(shape: Shape): Test {
  const { form, type, values, fields, limits, offset } = shape;
  if (values !== undefined) return (value) => values.has(value);
  if (form === "struct") return struct(fields ?? []);
  if (form === "float") return Number.isFinite;
  if (limits !== undefined) {
    const { precision, scale } = limits;
    return (value) => typeof value === "string" && isDecimal(value, precision, scale);
  }
  if (type === "TIMESTAMP" && form === "string" && offset !== true)
    return (value) => typeof value === "string" && value.charCodeAt(value.length - 1) === 90 && isTimestamp(value);
  return storable(shape);
}
