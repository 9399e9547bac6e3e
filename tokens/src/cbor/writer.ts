import { CborEncodeError } from '../errors.js';

const utf8 = new TextEncoder();
const singles = new Float32Array(1);
const floats = new DataView(new ArrayBuffer(8));

/** Longest run that is worth copying by character; `encodeInto` wins above it. */
const shortText = 48;

const loneSurrogate = /\p{Surrogate}/u;

/**
 * Writes deterministic CBOR (RFC 8949 4.2.1: shortest heads, definite lengths, shortest floats that keep the value)
 * into one growing buffer. Map order is the caller's, as CTA-5007-B 4.5 allows.
 */
export class CborWriter {
  /** The bytes written so far are `bytes[start … end)`; both may be moved by a caller that frames them. */
  bytes: Uint8Array;
  end: number;

  constructor(capacity = 1024, start = 0) {
    this.bytes = new Uint8Array(Math.max(capacity, start + 64));
    this.end = start;
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    if (this.end + count <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.end + count));
    grown.set(this.bytes.subarray(0, this.end));
    this.bytes = grown;
  }

  /** Initial byte and argument: `major` 0…7, `argument` a whole number up to 2^53 - 1. */
  head(major: number, argument: number): void {
    this.reserve(9);
    const type = major << 5;
    if (argument < 24) {
      this.bytes[this.end++] = type | argument;
    } else if (argument < 0x100) {
      this.bytes[this.end++] = type | 24;
      this.bytes[this.end++] = argument;
    } else if (argument < 0x10000) {
      this.bytes[this.end++] = type | 25;
      this.bytes[this.end++] = argument >>> 8;
      this.bytes[this.end++] = argument & 255;
    } else if (argument < 0x100000000) {
      this.bytes[this.end++] = type | 26;
      this.uint32(argument);
    } else {
      this.bytes[this.end++] = type | 27;
      this.uint32(Math.floor(argument / 0x100000000));
      this.uint32(argument % 0x100000000);
    }
  }

  private uint32(value: number): void {
    this.bytes[this.end++] = value >>> 24;
    this.bytes[this.end++] = (value >>> 16) & 255;
    this.bytes[this.end++] = (value >>> 8) & 255;
    this.bytes[this.end++] = value & 255;
  }

  /** A number: an integer head wherever the value is whole and safe, else the shortest float. NaN and -0 are refused (CTA-5007-B 4.5). */
  number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0) this.head(0, value);
      else this.head(1, -1 - value);
      return;
    }
    this.float(value);
  }

  /** An integer of up to 64 bits. */
  bigint(value: bigint): void {
    const major = value >= 0n ? 0 : 1;
    const argument = value >= 0n ? value : -1n - value;
    if (argument >> 64n) throw new CborEncodeError('an integer beyond 64 bits has no CBOR head');
    if (argument <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.head(major, Number(argument));
      return;
    }
    this.reserve(9);
    this.bytes[this.end++] = (major << 5) | 27;
    this.uint32(Number(argument >> 32n));
    this.uint32(Number(argument & 0xffffffffn));
  }

  private float(value: number): void {
    if (Number.isNaN(value) || Object.is(value, -0))
      throw new CborEncodeError('NaN and -0 are invalid (CTA-5007-B 4.5)');
    this.reserve(9);
    // A whole float below 2^64 is an integer in deterministic form.
    if (Number.isInteger(value) && Math.abs(value) < 2 ** 64) {
      this.bigint(BigInt(value));
      return;
    }
    const half = toHalf(value);
    if (half >= 0) {
      this.bytes[this.end++] = 0xf9;
      this.bytes[this.end++] = half >>> 8;
      this.bytes[this.end++] = half & 255;
      return;
    }
    singles[0] = value;
    if (singles[0] === value) {
      floats.setFloat32(0, value);
      this.bytes[this.end++] = 0xfa;
      this.uint32(floats.getUint32(0));
      return;
    }
    floats.setFloat64(0, value);
    this.bytes[this.end++] = 0xfb;
    this.uint32(floats.getUint32(0));
    this.uint32(floats.getUint32(4));
  }

  byteString(value: Uint8Array): void {
    this.head(2, value.length);
    this.raw(value);
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length);
    this.bytes.set(value, this.end);
    this.end += value.length;
  }

  text(value: string): void {
    const length = value.length;
    if (length <= shortText) {
      this.reserve(length + 9);
      const start = this.end;
      this.head(3, length);
      let i = 0;
      for (; i < length; i++) {
        const code = value.charCodeAt(i);
        if (code > 127) break;
        this.bytes[this.end++] = code;
      }
      if (i === length) return;
      this.end = start;
    }
    if (loneSurrogate.test(value)) throw new CborEncodeError('text with a lone surrogate is not UTF-8');
    const encoded = utf8.encode(value);
    this.head(3, encoded.length);
    this.raw(encoded);
  }

  array(count: number): void {
    this.head(4, count);
  }

  map(count: number): void {
    this.head(5, count);
  }

  tag(tag: number): void {
    this.head(6, tag);
  }

  boolean(value: boolean): void {
    this.reserve(1);
    this.bytes[this.end++] = value ? 0xf5 : 0xf4;
  }

  null(): void {
    this.reserve(1);
    this.bytes[this.end++] = 0xf6;
  }
}

/** The 16-bit pattern that holds `value` exactly, or -1. */
function toHalf(value: number): number {
  floats.setFloat32(0, value);
  if (floats.getFloat32(0) !== value) return -1;
  const bits = floats.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = ((bits >>> 23) & 255) - 127;
  const fraction = bits & 0x7fffff;
  if (exponent === 128) return fraction === 0 ? sign | 0x7c00 : -1;
  if (exponent > 15) return -1;
  if (exponent >= -14) return fraction & 0x1fff ? -1 : sign | ((exponent + 15) << 10) | (fraction >>> 13);
  if (exponent < -24) return -1;
  // Subnormal half: the implicit one becomes explicit, shifted down.
  const shift = 13 + (-14 - exponent);
  const mantissa = fraction | 0x800000;
  if (mantissa & ((1 << shift) - 1)) return -1;
  return sign | (mantissa >>> shift);
}
