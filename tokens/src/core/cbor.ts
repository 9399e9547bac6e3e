import { isList, isText, must } from './basics.js';
import { isBytes, shortText } from './bytes.js';
import { CATNIP, CATU } from './labels.js';
import { MAX_DEPTH, MAX_ITEMS } from './limits.js';

/**
 * A CBOR map: integer labels as they are, lists of integers joined by commas (which only `catif` has), and texts with
 * a `$` before them, so that neither an integer nor an inherited member (`__proto__`) is taken for one.
 * A JWT's objects are used in the same way, with plain names.
 */
export interface CborMap {
  [label: string]: CborValue;
}

/** A network address with its tag (RFC 9164). */
export interface CborTagged {
  readonly tag: number;
  readonly tagged: CborValue;
}

export type CborValue = number | string | boolean | null | undefined | Buffer | CborValue[] | CborMap | CborTagged;

// The decoder's state. Decoding is synchronous and never re-entered; module variables are the fastest njs has.
let bytes: Buffer;
/** The offset of the next item; beyond the end when reading ran over it. */
export let at: number;
let count: number;
/** Called behind each entry of the outermost map, with its label and the offset where it starts. */
let visit: ((label: CborValue, start: number) => void) | undefined;
/** Labels of the map last read in their order, which an object would have to be asked for; integers are dear to njs. */
export let labels: (number | string)[];

/** Starts reading `input` at `offset`. */
export const openCbor = (input: Buffer, offset: number, visitor?: typeof visit): void => {
  bytes = input;
  at = offset;
  count = 0;
  if (FEATURES.mint) visit = visitor;
  if (FEATURES.fast) labels = [];
};

/**
 * The float that was just read as an unsigned integer: fractional or beyond 64 bits, since other integers, NaN and -0.0 are
 * not written as floats, and in its shortest form (4.5). No claim takes infinities for numbers.
 */
const floatOf = (size: number, bits: number): number => {
  const value =
    size > 4
      ? bytes.readDoubleBE(at - 8)
      : size > 2
        ? bytes.readFloatBE(at - 4)
        : 2 ** (((bits >> 10) & 31 || 1) - 25) * ((bits & 31744 && 1024) + (bits & 1023)) * (bits > 32767 ? -1 : 1);
  must(
    // Of one byte are simple values; longer ones are reserved, or end what has no length.
    size > 1 &&
      (value % 1 || Math.abs(value) >= 2 ** 64) &&
      (size > 4
        ? Math.fround(value) !== value
        : // Fits 16 bits: thirteen low bits of zero, no finer than the smallest, no bigger than the biggest (RFC 8949 4.2.1).
          size < 3 || bits & 8191 || (value * 2 ** 24) % 1 || !(value % 1)),
  );
  return value;
};

/**
 * Reads one data item in deterministic encoding (RFC 8949 4.2.1, map order excepted: CTA-5007-B 4.5).
 * Throws when it is none. Whoever calls this must hold `at` against the end of the bytes: reading over the end gives
 * `undefined`, which is no item, or a string that is too short.
 *
 * @param depth How many arrays and maps are around it; a quarter more within `catnip`, where tags may stand.
 */
export const readCbor = (depth: number): CborValue => {
  const start = at;
  const initial = bytes[at++] as number;
  let argument = initial & 31;
  if (FEATURES.fast && initial === 0x1a) {
    // Moments, mostly.
    argument = bytes.readUInt32BE(at);
    at += 4;
    if (argument < 65536) throw 0;
    return argument;
  }
  if (argument > 23) {
    // 1, 2, 4 or 8 bytes; 0 for what is reserved or has no length, which nothing takes.
    const size = (1 << (argument - 24)) & 15;
    argument = 0;
    for (let left = size; left--;) argument = argument * 256 + (bytes[at++] as number);
    if (initial > 223) {
      if (FEATURES.rare) return floatOf(size, argument);
      // Builds without `rare` read 64 bits, as moments need, and take shorter ones for NaN: no claim of theirs can be one.
      must(size > 1);
      return size > 4 ? bytes.readDoubleBE(at - 8) : NaN;
    }
    if (!(argument >= (size > 2 ? 256 ** (size / 2) : size > 1 ? 256 : 24))) throw 0;
  }
  if (initial < 64) return initial < 32 ? argument : -1 - argument;
  if (initial < 96) return bytes.subarray(at, (at += argument));
  if (initial < 128) {
    const short = FEATURES.anyEngine ? shortText(bytes, at, at + argument, 0, 127) : undefined;
    if (short !== undefined) {
      at += argument;
      return short;
    }
    const text = bytes.toString('utf8', at, (at += argument));
    // What is not UTF-8 is read as U+FFFD. No call of our own here: there is one for every text.
    if (text.includes('\ufffd')) throw 0;
    return text;
  }
  if (initial < 192) {
    if ((count += argument) >= MAX_ITEMS || ++depth > MAX_DEPTH) throw 0;
    const items = (initial < 160 ? [] : {}) as CborMap;
    // Where a claim set within `catif` stands in its bytes: minting copies entries from there.
    if (FEATURES.mint && depth > 4) items[''] = start;
    for (let i = 0; i < argument; i++) {
      const from = at;
      let label = i as number | string | CborValue[];
      if (initial > 159) {
        // Most labels are small integers.
        label = ((bytes[at] as number) < 24 ? bytes[at++] : readCbor(depth)) as typeof label;
        if (
          // Equal to its own number is a number alone.
          !(label === +label || (isText(label) && (label = '$' + label)) || (FEATURES.catif && isList(label))) ||
          (label as string) in items
        )
          throw 0;
      }
      if (FEATURES.fast && depth < 2) labels.push(label as number | string);
      // A `catu` of {3: {1: text}}, a prefix of the path, is left without its maps: '' is no label that CBOR could have.
      // Elsewhere than at the edge claims are there to be shown, too.
      if (
        FEATURES.fast &&
        FEATURES.catu &&
        !FEATURES.anyEngine &&
        label === CATU &&
        at < bytes.length - 5 &&
        bytes.readUInt32BE(at) === 0xa103a101 &&
        (bytes[at + 4] as number) >> 5 === 3
      ) {
        at += 4;
        count += 2;
        items[label] = { '': readCbor(3) };
      }
      // Tags stand in `catnip` and nowhere else (CTA-5007-B 4.5).
      else items[label as string] = readCbor(FEATURES.catnip && label === CATNIP ? depth * 1.25 : depth);
      if (FEATURES.mint && depth < 2 && visit) visit(label, from);
    }
    return items;
  }
  // Where no claim has a use for them, one will do for all three.
  if (initial > 243 && initial < 247)
    return FEATURES.rare ? ([false, true, null][initial - 244] as boolean | null) : null;
  // Tags 52 and 54 (RFC 9164), right in the list, whose depth no other has.
  must(FEATURES.catnip && depth === 2.25 && Math.abs(argument - 53) === 1);
  return { tag: argument, tagged: readCbor(depth + 1) };
};

export const isMap = (value: unknown): value is CborMap =>
  !!value && typeof value === 'object' && !isList(value) && !(FEATURES.cat && isBytes(value));

/** The labels of a map that has some. Throws when it is none. */
export const keysOf = (map: CborValue): string[] => {
  const keys = Object.keys(map as CborMap);
  must(isMap(map) && keys[0]);
  return keys;
};

/** Reads a map that fills `input` between two offsets. Throws when it does not. */
export const readMap = (input: Buffer, start: number, end: number): CborMap => {
  openCbor(input, start);
  const map = readCbor(0);
  must(at === end && isMap(map));
  return map as CborMap;
};
