/** Labels: keys and values of lower-case letters, digits, `_` and `-`, 63 characters at most, 64 of them. */
import { invalid } from "./errors.ts";
import { jsonAt, type Json } from "./json.ts";

const KEY = /^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$/u;
const VALUE = /^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$/u;

export function checkLabels(resource: Json): void {
  const labels = Object.entries(jsonAt(resource, "labels"));
  if (labels.length > 64) throw invalid("A resource has at most 64 labels.");
  for (const [key, value] of labels) {
    if (!KEY.test(key) || !VALUE.test(String(value))) throw invalid(`Invalid label: ${key}=${String(value)}`);
  }
}
