/** What an RE2 pattern's structure tells about the texts that it can match. */
import type { Group, Node } from "./re2-syntax.ts";

type Sequence = readonly Node[];

/** The one text that a node matches, or `undefined` where it can match several (or none at all). */
export function fixedText(node: Node): string | undefined {
  switch (node.kind) {
    case "literal":
      return node.fold && hasCase(node.char) ? undefined : node.char;
    case "set":
      return node.only === undefined || (node.fold && hasCase(node.only)) ? undefined : node.only;
    case "any":
      return undefined;
    case "assertion":
      return "";
    case "repeat": {
      const text = fixedText(node.node);
      if (text === "") return "";
      return node.min === node.max ? text?.repeat(node.min) : undefined;
    }
    case "group": {
      const texts = new Set(node.alternatives.map(fixedSequence));
      return texts.size === 1 ? [...texts][0] : undefined;
    }
  }
}

function fixedSequence(nodes: Sequence): string | undefined {
  const texts = nodes.map(fixedText);
  return texts.some((text) => text === undefined) ? undefined : texts.join("");
}

function hasCase(char: string): boolean {
  return char.toLowerCase() !== char.toUpperCase();
}

/** The named group, if it takes part in every match: in no alternative, and under no quantifier. */
export function mandatoryGroup(root: Group, name: string): Group | undefined {
  if (root.name === name) return root;
  if (root.alternatives.length !== 1) return undefined;
  for (const node of root.alternatives[0] ?? []) {
    const found = node.kind === "group" ? mandatoryGroup(node, name) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether texts can differ outside of `group`. */
export function variesOutside(node: Node, group: Group): boolean {
  if (node === group) return false;
  const holds = node.start <= group.start && group.end <= node.end;
  if (!holds || node.kind !== "group") return fixedText(node) === undefined;
  return node.alternatives.some((nodes) => nodes.some((inner) => variesOutside(inner, group)));
}

export interface Prefix {
  readonly text: string;
  /** What comes right after it: the group asked for, something that varies, or the end of the match. */
  readonly next: "group" | "varies" | "end";
}

/** The longest literal text that every match starts with, as far as `group`. */
export function literalPrefix(node: Node, group: Group): Prefix {
  if (node === group) return { text: "", next: "group" };
  if (node.kind === "group" && node.alternatives.length === 1) {
    let text = "";
    for (const inner of node.alternatives[0] ?? []) {
      const prefix = literalPrefix(inner, group);
      text += prefix.text;
      if (prefix.next !== "end") return { text, next: prefix.next };
    }
    return { text, next: "end" };
  }
  const fixed = fixedText(node);
  if (fixed !== undefined) return { text: fixed, next: "end" };
  if (node.kind !== "repeat" || node.min === 0) return { text: "", next: "varies" };
  const whole = fixedText(node.node);
  return { text: whole?.repeat(node.min) ?? literalPrefix(node.node, group).text, next: "varies" };
}

/** Where dots stand that count as literal ones: those without a quantifier, outside the named group. */
export function loneDots(node: Node, exceptIn: string): number[] {
  if (node.kind === "any") return [node.start];
  if (node.kind === "repeat") return node.node.kind === "any" ? [] : loneDots(node.node, exceptIn);
  if (node.kind !== "group" || node.name === exceptIn) return [];
  return node.alternatives.flatMap((nodes) => nodes.flatMap((inner) => loneDots(inner, exceptIn)));
}

export function hasAssertion(node: Node): boolean {
  if (node.kind === "repeat") return hasAssertion(node.node);
  if (node.kind !== "group") return node.kind === "assertion";
  return node.alternatives.some((nodes) => nodes.some(hasAssertion));
}
