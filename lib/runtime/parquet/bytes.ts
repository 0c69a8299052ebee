/** A buffer that grows, and the few ways in which Parquet writes values into it: little-endian, text as UTF-8. */

export interface Sink {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView;
  length: number;
}

/** What of a TextEncoder is needed. */
export type Encoder = Pick<InstanceType<typeof TextEncoder>, "encodeInto">;

const FIRST_SIZE = 1024;
/** Up to this many letters a loop over ASCII is faster than the encoder's call. */
const SHORT_TEXT = 64;
const WORD = 0x1_0000_0000;

export function sink(size = FIRST_SIZE): Sink {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer), length: 0 };
}

/** Empties the sink; memory beyond `keep` bytes, which one huge value took, is given back. */
export function clear(to: Sink, keep: number): void {
  to.length = 0;
  if (to.bytes.length > keep) replace(to, keep);
}

/** Gives the memory back at once, which otherwise waits for a collection of garbage. Nothing may be put into it any more. */
export function free(to: Sink): void {
  to.length = 0;
  to.bytes.buffer.transfer(0);
}

/** What is in the sink now. It is overwritten by what comes after `clear`. */
export function written(from: Sink): Uint8Array {
  return from.bytes.subarray(0, from.length);
}

/** Room for `count` more bytes. */
export function reserve(to: Sink, count: number): void {
  const needed = to.length + count;
  if (needed > to.bytes.length) replace(to, Math.max(needed, to.bytes.length * 2));
}

function replace(to: Sink, size: number): void {
  const old = to.bytes;
  to.bytes = new Uint8Array(size);
  to.view = new DataView(to.bytes.buffer);
  if (to.length > 0) to.bytes.set(old.subarray(0, to.length));
}

export function putByte(to: Sink, value: number): void {
  reserve(to, 1);
  to.bytes[to.length++] = value;
}

export function putBytes(to: Sink, value: Uint8Array): void {
  reserve(to, value.length);
  to.bytes.set(value, to.length);
  to.length += value.length;
}

export function putInt32(to: Sink, value: number): void {
  reserve(to, 4);
  to.view.setInt32(to.length, value, true);
  to.length += 4;
}

export function putDouble(to: Sink, value: number): void {
  reserve(to, 8);
  to.view.setFloat64(to.length, value, true);
  to.length += 8;
}

/** A safe integer, or any INT64 as a bigint. */
export function putInt64(to: Sink, value: number | bigint): void {
  reserve(to, 8);
  if (typeof value === "bigint") to.view.setBigInt64(to.length, value, true);
  else {
    const high = Math.floor(value / WORD);
    to.view.setUint32(to.length, value - high * WORD, true);
    to.view.setInt32(to.length + 4, high, true);
  }
  to.length += 8;
}

/** Sixteen bytes, big-endian, two's complement, as a decimal is stored. */
export function putInt128(to: Sink, value: number | bigint): void {
  reserve(to, 16);
  const at = to.length;
  if (typeof value === "bigint") {
    to.view.setBigInt64(at, value >> 64n, false);
    to.view.setBigUint64(at + 8, BigInt.asUintN(64, value), false);
  } else {
    const high = Math.floor(value / WORD);
    const sign = value < 0 ? -1 : 0;
    to.view.setInt32(at, sign, false);
    to.view.setInt32(at + 4, sign, false);
    to.view.setInt32(at + 8, high, false);
    to.view.setUint32(at + 12, value - high * WORD, false);
  }
  to.length += 16;
}

/** The length in bytes, and then the bytes. */
export function putByteArray(to: Sink, value: Uint8Array): void {
  putInt32(to, value.length);
  putBytes(to, value);
}

/** Text as a byte array of UTF-8. */
export function putText(to: Sink, text: string, encoder: Encoder): void {
  reserve(to, 4 + 3 * text.length);
  const start = to.length + 4;
  const size = text.length <= SHORT_TEXT ? putAscii(to.bytes, text, start) : -1;
  const length = size >= 0 ? size : encoder.encodeInto(text, to.bytes.subarray(start)).written;
  to.view.setInt32(to.length, length, true);
  to.length = start + length;
}

/** The number of bytes, or -1 when the text is more than ASCII. There is room for it. */
function putAscii(bytes: Uint8Array, text: string, start: number): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 127) return -1;
    bytes[start + index] = code;
  }
  return text.length;
}

/** A small unsigned number, seven bits a byte. */
export function putVarint(to: Sink, value: number): void {
  let rest = value;
  while (rest > 127) {
    putByte(to, (rest & 127) | 128);
    rest >>>= 7;
  }
  putByte(to, rest);
}
