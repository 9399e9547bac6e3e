import { has, isBytes, isList, isNumber, isText, must } from './basics.js';
import { CATNIP } from './labels.js';
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
let networks: boolean;

/** Starts reading `input` at `offset`. */
export const openCbor = (input: Buffer, offset: number): void => {
  bytes = input;
  at = offset;
  count = 0;
  // Whoever reads the items of a claim set by themselves may meet tags in any.
  networks = true;
};

/**
 * A float: fractional or beyond 64 bits, since other integers, NaN and -0.0 are not written as floats, and in its shortest
 * form (4.5). No claim takes infinities for numbers.
 * Builds without `rare` read 64 bits, as moments need, and take shorter ones for NaN: no claim of theirs can be one.
 */
const readFloat = (size: number): number => {
  at += size;
  const start = at - size;
  const half = bytes.readUInt16BE(start);
  const value =
    size > 4
      ? bytes.readDoubleBE(start)
      : size > 2
        ? bytes.readFloatBE(start)
        : 2 ** (((half >> 10) & 31 || 1) - 25) * ((half & 31744 && 1024) + (half & 1023)) * (half > 32767 ? -1 : 1);
  must(
    // Of one byte are simple values; longer ones are reserved, or end what has no length.
    size > 1 &&
      size < 9 &&
      (value % 1 || Math.abs(value) >= 2 ** 64) &&
      (size > 4
        ? Math.fround(value) !== value
        : // Thirteen low bits of zero in the range of 16-bit floats: would fit one (RFC 8949 4.2.1).
          size < 3 || bytes.readUInt16BE(start + 2) & 8191 || Math.abs(value) < 2 ** -14 || Math.abs(value) > 65504),
  );
  return value;
};

/**
 * Reads one data item in deterministic encoding (RFC 8949 4.2.1, map order excepted: CTA-5007-B 4.5).
 * Throws when it is none. Whoever calls this must hold `at` against the end of the bytes: reading over the end gives
 * `undefined`, which is no item, or a string that is too short.
 */
export const readCbor = (depth: number): CborValue => {
  const start = at;
  const initial = bytes[at++] as number;
  let argument = initial & 31;
  if (argument > 23) {
    const size = 1 << (argument - 24);
    if (initial > 223)
      return FEATURES.rare ? readFloat(size) : ((at += size), size === 8 ? bytes.readDoubleBE(at - 8) : NaN);
    argument = 0;
    for (let left = size; left--;) argument = argument * 256 + (bytes[at++] as number);
    if (!(argument >= (size > 1 ? 256 ** (size / 2) : 24)) || size > 8) throw 0;
  }
  if (initial < 64) return initial < 32 ? argument : -1 - argument;
  if (initial < 96) return bytes.subarray(at, (at += argument));
  if (initial < 128) {
    const text = bytes.toString('utf8', at, (at += argument));
    // What is not UTF-8 is read as U+FFFD.
    if (has(text, '\ufffd')) throw 0;
    return text;
  }
  if (initial < 192) {
    if ((count += argument) >= MAX_ITEMS || ++depth > MAX_DEPTH) throw 0;
    if (initial < 160) {
      const list: CborValue[] = [];
      while (argument--) list.push(readCbor(depth));
      return list;
    }
    const map: CborMap = {};
    // Where it stands in its bytes: minting copies entries from there. Claim sets stand at 0, or within `catif`.
    if (FEATURES.mint && depth > 4) map[''] = start;
    while (argument--) {
      // Most labels are small integers.
      let label = ((bytes[at] as number) < 24 ? bytes[at++] : readCbor(depth)) as string | number;
      if (isText(label)) label = '$' + label;
      else if (!isNumber(label) && !(FEATURES.catif && isList(label))) throw 0;
      if (label in map) throw 0;
      // Tags stand in `catnip` and nowhere else (CTA-5007-B 4.5).
      if (FEATURES.catnip && depth < 2) networks = label === CATNIP;
      map[label] = readCbor(depth);
    }
    return map;
  }
  // Where no claim has a use for them, one will do for all three.
  if (initial > 243 && initial < 247)
    return FEATURES.rare ? ([false, true, null][initial - 244] as boolean | null) : null;
  // Tags 52 and 54 (RFC 9164), which take a byte more, right in the list.
  must(FEATURES.catnip && networks && depth === 2 && initial === 216 && (argument === 52 || argument === 54));
  return { tag: argument, tagged: readCbor(depth + 1) };
};

export const isMap = (value: unknown): value is CborMap =>
  !!value && typeof value === 'object' && !isList(value) && !isBytes(value);

/** The labels of a map that has some. Throws when it is none. */
export const keysOf = (map: CborValue): string[] => {
  const keys = Object.keys(map as CborMap);
  must(isMap(map) && keys[0]);
  return keys;
};

/** Reads a map that fills `input`. Throws when it does not. */
export const readMap = (input: Buffer): CborMap => {
  openCbor(input, 0);
  const map = readCbor(0);
  must(at === input.length && isMap(map));
  return map as CborMap;
};
