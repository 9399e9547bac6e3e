import { createHash, createHmac } from 'node:crypto';

/**
 * Makes tokens from nothing but the standards' texts, so that a fault in the project's own encoder cannot hide in the
 * tests of its decoder. It encodes what it is told: wrong types, wrong tags, wrong lengths included.
 */

/** Claim labels: CTA-5007-B 4.6 and the IANA CWT registry; the two negative ones are this project's. */
export const LABEL = {
  iss: 1,
  sub: 2,
  aud: 3,
  exp: 4,
  nbf: 5,
  iat: 6,
  cti: 7,
  cnf: 8,
  geohash: 282,
  catreplay: 308,
  catpor: 309,
  catv: 310,
  catnip: 311,
  catu: 312,
  catm: 313,
  catalpn: 314,
  cath: 315,
  catgeoiso3166: 316,
  catgeocoord: 317,
  catgeoalt: 318,
  cattpk: 319,
  catifdata: 320,
  catdpop: 321,
  catif: 322,
  catr: 323,
  session: -65537,
  sxp: -65538,
} as const;

/** A CBOR data item with a tag before it (RFC 8949 3.4). */
export class Tagged {
  constructor(
    readonly tag: number | bigint,
    readonly value: unknown,
  ) {}
}

/** A number to encode as a float of 2, 4 or 8 bytes, however whole it is. */
export class Float {
  constructor(
    readonly value: number,
    readonly bytes: 2 | 4 | 8 = 8,
  ) {}
}

/** Bytes to put into the encoding as they are: for ill-formed items. */
export class Raw {
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array | string) {
    this.bytes = typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes;
  }
}

/** A head of a CBOR item in its shortest form (RFC 8949 3), or in `bytes` argument bytes where a test wants it longer. */
export function cborHead(major: number, argument: number | bigint, bytes?: 0 | 1 | 2 | 4 | 8): Buffer {
  const value = BigInt(argument);
  const width =
    bytes ?? (value < 24n ? 0 : value < 0x100n ? 1 : value < 0x1_0000n ? 2 : value < 0x1_0000_0000n ? 4 : 8);
  if (width === 0) return Buffer.from([(major << 5) | Number(value)]);
  const head = Buffer.alloc(1 + width);
  head[0] = (major << 5) | (24 + Math.log2(width));
  for (let place = width; place > 0; place--) head[place] = Number((value >> BigInt(8 * (width - place))) & 0xffn);
  return head;
}

/**
 * Encodes a value as CBOR: numbers and bigints, strings, byte arrays, arrays, `Map` (any keys, in their order) or plain
 * objects (text keys), booleans, null, undefined, `Tagged`, `Float`, `Raw`. Fractional numbers take the shortest float
 * that keeps them.
 */
export function cbor(value: unknown): Buffer {
  if (value instanceof Raw) return Buffer.from(value.bytes);
  if (value instanceof Tagged) return Buffer.concat([cborHead(6, value.tag), cbor(value.value)]);
  if (value instanceof Float) return float(value.value, value.bytes);
  if (value instanceof Uint8Array) return Buffer.concat([cborHead(2, value.length), value]);
  if (Array.isArray(value)) return Buffer.concat([cborHead(4, value.length), ...value.map(cbor)]);
  if (value instanceof Map) return cborMap([...value]);
  switch (typeof value) {
    case 'bigint':
      return value < 0n ? cborHead(1, -1n - value) : cborHead(0, value);
    case 'number':
      if (!Number.isInteger(value) || Object.is(value, -0)) return float(value, shortestFloat(value));
      return value < 0 ? cborHead(1, -1n - BigInt(value)) : cborHead(0, BigInt(value));
    case 'string': {
      const text = Buffer.from(value);
      return Buffer.concat([cborHead(3, text.length), text]);
    }
    case 'boolean':
      return Buffer.from([value ? 0xf5 : 0xf4]);
    case 'undefined':
      return Buffer.from([0xf7]);
    case 'object':
      return value === null ? Buffer.from([0xf6]) : cborMap(Object.entries(value));
    default:
      throw new TypeError(`no CBOR for a ${typeof value}`);
  }
}

/** A map from its pairs, in their order; the same key twice is encoded twice. */
export function cborMap(pairs: readonly (readonly [unknown, unknown])[]): Buffer {
  return Buffer.concat([cborHead(5, pairs.length), ...pairs.flatMap(([key, value]) => [cbor(key), cbor(value)])]);
}

function float(value: number, bytes: 2 | 4 | 8): Buffer {
  const encoded = Buffer.alloc(1 + bytes);
  encoded[0] = bytes === 2 ? 0xf9 : bytes === 4 ? 0xfa : 0xfb;
  if (bytes === 8) encoded.writeDoubleBE(value, 1);
  else if (bytes === 4) encoded.writeFloatBE(value, 1);
  else encoded.writeUInt16BE(halfFloat(value) ?? 0x7e00, 1);
  return encoded;
}

function shortestFloat(value: number): 2 | 4 | 8 {
  if (halfFloat(value) !== undefined) return 2;
  return Object.is(Math.fround(value), value) ? 4 : 8;
}

/** The 16 bits of an IEEE 754 half float, if the value has one. */
function halfFloat(value: number): number | undefined {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  if (size === Infinity) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  if (exponent > 15) return undefined;
  const mantissa = (size / 2 ** exponent) * 1024;
  if (!Number.isInteger(mantissa)) return undefined;
  return mantissa < 1024 ? sign | mantissa : sign | ((exponent + 15) << 10) | (mantissa - 1024);
}

/** Claims by name (`LABEL`), by number, or as pairs; a `Raw` or any other value is encoded as it is. */
export type Claims =
  Readonly<Record<string, unknown>> | ReadonlyMap<unknown, unknown> | readonly (readonly [unknown, unknown])[];

/** A map's pairs with names put into labels. `undefined` leaves a claim out. */
export function claimPairs(claims: Claims): [unknown, unknown][] {
  if (claims instanceof Map) return [...claims] as [unknown, unknown][];
  if (Array.isArray(claims)) return claims as [unknown, unknown][];
  return Object.entries(claims as Record<string, unknown>)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const label = (LABEL as Record<string, number>)[name];
      if (label !== undefined) return [label, value];
      return [/^-?\d+$/.test(name) ? Number(name) : name, value];
    });
}

export interface CatParts {
  readonly claims?: Claims;
  /** The HMAC key. */
  readonly key: Uint8Array;
  /** Put into the protected header as bytes (a string as UTF-8). */
  readonly kid?: string | Uint8Array;
  /** In the protected header; 5 is HMAC 256/256, the default. `null` leaves it out. */
  readonly alg?: number | string | null;
  /** More, or other, protected headers: by label. A `Raw` stands for the bytes inside the byte string. */
  readonly protectedHeader?: ReadonlyMap<unknown, unknown> | Raw;
  readonly unprotectedHeader?: ReadonlyMap<unknown, unknown> | Raw;
  /** The payload's bytes in the place of the claims. `null` is a detached payload. */
  readonly payload?: Uint8Array | null;
  /** Tags, outermost first. Default `[61, 17]`: CWT and COSE_Mac0. */
  readonly tags?: readonly number[];
  /** The MAC's bytes, or a change of the true ones. */
  readonly mac?: Uint8Array | ((mac: Buffer) => Uint8Array);
  /** The context string that is MACed; default `MAC0` (RFC 9052 6.3). */
  readonly context?: string;
  readonly externalAad?: Uint8Array;
  /** More elements after the fourth. */
  readonly more?: readonly unknown[];
  /** Bytes after the token. */
  readonly trailing?: Uint8Array;
}

/** A Common Access Token's bytes: COSE_Mac0 with HMAC-SHA-256 (RFC 9052 6.2, CTA-5007-B 4.3). */
export function makeCatBytes(parts: CatParts): Buffer {
  const protectedPairs: [unknown, unknown][] = [];
  if (parts.alg !== null) protectedPairs.push([1, parts.alg ?? 5]);
  if (parts.kid !== undefined) protectedPairs.push([4, Buffer.from(parts.kid as string)]);
  const header = parts.protectedHeader;
  if (header instanceof Map) protectedPairs.push(...(header as Map<unknown, unknown>));
  // RFC 9052 3: a header without entries is a byte string of length zero.
  const empty = protectedPairs.length === 0 ? Buffer.alloc(0) : cborMap(protectedPairs);
  const protectedBytes = header instanceof Raw ? header.bytes : empty;
  const payload = parts.payload === undefined ? cborMap(claimPairs(parts.claims ?? {})) : parts.payload;
  const structure = [
    parts.context ?? 'MAC0',
    protectedBytes,
    parts.externalAad ?? Buffer.alloc(0),
    payload ?? Buffer.alloc(0),
  ];
  const trueMac = createHmac('sha256', parts.key).update(cbor(structure)).digest();
  const mac = typeof parts.mac === 'function' ? parts.mac(trueMac) : (parts.mac ?? trueMac);
  let message: unknown = [protectedBytes, parts.unprotectedHeader ?? new Map(), payload, mac, ...(parts.more ?? [])];
  for (const tag of [...(parts.tags ?? [61, 17])].reverse()) message = new Tagged(tag, message);
  return Buffer.concat([cbor(message), parts.trailing ?? Buffer.alloc(0)]);
}

/** The same as text: base64url without padding. */
export function makeCat(parts: CatParts): string {
  return makeCatBytes(parts).toString('base64url');
}

export interface JwtParts {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly key: Uint8Array;
  readonly kid?: string;
  /** Over the default header `{"alg":"HS256","typ":"JWT"}`; `undefined` takes a name out. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** The header's text in the place of JSON made from `header`. */
  readonly headerText?: string | Uint8Array;
  readonly payloadText?: string | Uint8Array;
  /** The hash of the HMAC; default `sha256`, whatever the header says. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512';
  /** The signature's bytes, or a change of the true ones. */
  readonly signature?: Uint8Array | ((signature: Buffer) => Uint8Array);
}

/** A JWT in compact form, HS256 (RFC 7515 7.1, RFC 7519). */
export function makeJwt(parts: JwtParts): string {
  const kid = parts.kid === undefined ? {} : { kid: parts.kid };
  const header = parts.headerText ?? JSON.stringify({ alg: 'HS256', typ: 'JWT', ...kid, ...parts.header });
  const payload = parts.payloadText ?? JSON.stringify(parts.claims ?? {});
  const input = `${base64url(header)}.${base64url(payload)}`;
  const trueSignature = createHmac(parts.hash ?? 'sha256', parts.key)
    .update(input)
    .digest();
  const signature =
    typeof parts.signature === 'function' ? parts.signature(trueSignature) : (parts.signature ?? trueSignature);
  return `${input}.${base64url(signature)}`;
}

export function base64url(value: string | Uint8Array): string {
  return Buffer.from(value as string).toString('base64url');
}

/** The value of `k:<kid>` in the KeyValueStore: see docs/kvs-layout.md. */
export function keyRecord(key: Uint8Array, more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ alg: 'HS256', k: base64url(key), ...more });
}

/** Where a revocation stands: scope letter and id give the bucket's key and the fingerprint inside it (docs/kvs-layout.md). */
export function revocationPlace(scope: string, id: string): { readonly key: string; readonly fingerprint: string } {
  const digest = createHash('sha256').update(`${scope}:${id}`).digest();
  return { key: `r${digest.readUInt16BE(0) >> 3}`, fingerprint: digest.toString('base64url').slice(9, 16) };
}

/** A bucket of `count` strangers' revocations, with entries of ours among them: sorted, as writers must leave it. */
export function revocationBucket(count: number, ours: readonly string[] = []): string {
  const strangers = Array.from(
    { length: count },
    (_, number) => revocationPlace('t', `stranger ${number}`).fingerprint,
  );
  return [...strangers, ...ours]
    .map((entry) => `,${entry}`)
    .sort()
    .join('');
}
