/** Small integers (levels and dictionary indexes) in Parquet's hybrid of runs and packed bits. */
import { putByte, putVarint, reserve, type Sink } from "./bytes.ts";

/** Numbers that are collected for one page. */
export interface Integers {
  items: Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  length: number;
}

/** How many bits the numbers 0 … `max` take. */
export function bitsFor(max: number): number {
  return max === 0 ? 1 : 32 - Math.clz32(max);
}

export function pushInteger(to: Integers, value: number): void {
  if (to.length === to.items.length) {
    const larger = to.items instanceof Uint8Array ? new Uint8Array(to.length * 2) : new Int32Array(to.length * 2);
    larger.set(to.items);
    to.items = larger;
  }
  to.items[to.length++] = value;
}

/** As `free` of a sink. */
export function freeIntegers(to: Integers): void {
  to.length = 0;
  to.items.buffer.transfer(0);
}

/** Numbers of `bits` bits each: eight or more equal ones in a row as a run, the others packed in groups of eight. */
export function putHybrid(to: Sink, { items, length }: Integers, bits: number): void {
  let packed = 0;
  let at = 0;
  while (at < length) {
    const value = items[at] ?? 0;
    let end = at + 1;
    while (end < length && items[end] === value) end++;
    if (end - at < 8) {
      at += 8;
      continue;
    }
    putPacked(to, items, packed, at, length, bits);
    putVarint(to, (end - at) << 1);
    for (let shift = 0; shift < bits; shift += 8) putByte(to, (value >>> shift) & 255);
    at = packed = end;
  }
  putPacked(to, items, packed, length, length, bits);
}

/** The numbers from `start` to `end`, the last group filled up with zeros. */
function putPacked(to: Sink, items: Integers["items"], start: number, end: number, length: number, bits: number): void {
  if (start >= end) return;
  const groups = Math.ceil((end - start) / 8);
  putVarint(to, (groups << 1) | 1);
  reserve(to, groups * bits);
  let buffer = 0;
  let filled = 0;
  for (let at = start; at < start + groups * 8; at++) {
    buffer |= (at < length ? (items[at] ?? 0) : 0) << filled;
    filled += bits;
    while (filled >= 8) {
      to.bytes[to.length++] = buffer & 255;
      buffer >>>= 8;
      filled -= 8;
    }
  }
}
