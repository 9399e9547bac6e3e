import { fromBase64, isBytes, isText, must, toBase64 } from './basics.js';
import { cborOffset, openCbor, readCbor, type CborMap } from './cbor.js';
import type { GateHost, KeyRecord } from './gate.js';
import { claimName } from './labels.js';
import type { ParsedToken } from './token.js';

/** A CBOR head (RFC 8949 3): major type and argument, in the shortest form. */
export const cborHead = (major: number, argument: number): Buffer => {
  const bytes: number[] = [];
  const size = argument < 24 ? 0 : argument < 256 ? 1 : argument < 65536 ? 2 : argument < 2 ** 32 ? 4 : 8;
  for (let rest = argument; bytes.length < size; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([major * 32 + (size ? 24 + Math.log2(size) : argument)].concat(bytes));
};

/** An integer, a byte string or a text in CBOR. */
export const cborItem = (value: unknown): Buffer => {
  if (typeof value === 'number') return value < 0 ? cborHead(1, ~value) : cborHead(0, value);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([cborHead(isText(value) ? 3 : 2, bytes.length), bytes]);
};

/** Claims to be written anew, by key. */
export type Changes = Record<number, number | Buffer | string | undefined>;

/**
 * Signs a claim set of a token once more with some claims changed; all others are copied as they stand.
 * Throws where the key is not an HMAC key.
 *
 * @param claims The token's own claims, or a set within them.
 * @param changes Replace claims that are there and add those that are not.
 */
export const mintToken = (
  claims: CborMap,
  token: ParsedToken,
  changes: Changes,
  kid: string,
  record: KeyRecord,
  host: GateHost,
): string => {
  must(record.alg === 'HS256');
  const secret = fromBase64(record.k as string);
  const labels = Object.keys(changes).map(Number);
  if (FEATURES.jwt && token.isJwt) {
    const named = Object.assign({}, claims === token.claims ? token.payload : claims) as Record<string, unknown>;
    labels.forEach((label) => {
      named[claimName(label)] = isBytes(changes[label]) ? toBase64(changes[label] as Buffer) : changes[label];
    });
    const body = [{ alg: 'HS256', typ: 'JWT', kid: kid }, named]
      .map((part) => toBase64(Buffer.from(JSON.stringify(part))))
      .join('.');
    return body + '.' + toBase64(host.mac(secret, [body]));
  }
  const source = token.payload as Buffer;
  const entries: Buffer[] = labels.map((label) => Buffer.concat([cborItem(label), cborItem(changes[label])]));
  // The head of the map, whose count may take a byte of its own, then entry by entry.
  let start = claims === token.claims ? 0 : (claims['at'] as number);
  let left = (source[start++] as number) & 31;
  if (left > 23) left = source[start++] as number;
  openCbor(source, start);
  while (left--) {
    start = cborOffset();
    const label = readCbor(1);
    readCbor(1);
    if (!labels.includes(label as number)) entries.push(source.subarray(start, cborOffset()));
  }
  const payload = cborItem(Buffer.concat(([cborHead(5, entries.length)] as Buffer[]).concat(entries)));
  // Tag 17, an array of four: {1: 5} in a byte string, {4: kid}, payload, MAC.
  return toBase64(
    Buffer.concat([
      fromBase64('0YRDoQEFoQQ'),
      cborItem(Buffer.from(kid)),
      payload,
      cborItem(host.mac(secret, [fromBase64('hGRNQUMwQ6EBBUA'), payload])),
    ]),
  );
};
