/** Texts that repeat are stored once in each row group, and by their number after that. */
import { clear, free, putText, sink, written, type Encoder } from "./bytes.ts";
import { bitsFor, freeIntegers, pushInteger, type Integers } from "./levels.ts";

export interface Dictionary {
  /** Appends the text's number to `indexes`; `false` when a dictionary does not pay, and nothing was appended. */
  put(text: string): boolean;
  /** The numbers of the page at hand. */
  readonly indexes: Integers;
  /** How many texts there are. */
  size(): number;
  /** About as many bytes as the page would take without a dictionary. */
  pageBytes(): number;
  /** Begins a new page. */
  endPage(): void;
  /** How many bits a number takes now. */
  bits(): number;
  /** The texts, in the order of their numbers. */
  texts(): readonly string[];
  /** The same in plain encoding. */
  entries(): Uint8Array;
  reset(): void;
  /** Gives the memory back. */
  free(): void;
}

const MAX_ENTRIES = 65_536;
const MAX_BYTES = 1 << 20;
const MAX_LETTERS = 256;
/** From here on at least every second text must be one that was there before. */
const TRIAL = 1024;

export function textDictionary(encoder: Encoder): Dictionary {
  const numbers = new Map<string, number>();
  const texts = sink();
  const indexes: Integers = { items: new Int32Array(1024), length: 0 };
  let seen = 0;
  let plain = 0;
  const endPage = (): void => {
    indexes.length = 0;
    plain = 0;
  };
  return {
    indexes,
    size: () => numbers.size,
    pageBytes: () => plain,
    endPage,
    put(text) {
      let number = numbers.get(text);
      if (number === undefined) {
        number = numbers.size;
        const useless = number >= TRIAL && number * 2 > seen;
        if (useless || number === MAX_ENTRIES || texts.length > MAX_BYTES || text.length > MAX_LETTERS) return false;
        numbers.set(text, number);
        putText(texts, text, encoder);
      }
      seen++;
      plain += 4 + text.length;
      pushInteger(indexes, number);
      return true;
    },
    bits: () => bitsFor(Math.max(0, numbers.size - 1)),
    texts: () => [...numbers.keys()],
    entries: () => written(texts),
    reset() {
      numbers.clear();
      clear(texts, MAX_BYTES);
      endPage();
      seen = 0;
    },
    free() {
      free(texts);
      freeIntegers(indexes);
    },
  };
}
