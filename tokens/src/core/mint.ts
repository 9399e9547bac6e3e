import { has, isNumber, isText, must, toBase64 } from './basics.js';
import { at, openCbor, readCbor, type CborMap } from './cbor.js';
import type { GateHost, KeyRecord } from './gate.js';
import { claimKey } from './labels.js';
import type { ParsedToken } from './token.js';

/** A number below 2³² as `size` bytes in hexadecimal. */
const hexOf = (number: number, size: number): string => (256 ** size + number).toString(16).slice(1);

/** A CBOR head (RFC 8949 3) in hexadecimal: major type times 32, and an argument below 2³² in the shortest form. */
export const cborHead = (major: number, argument: number): string =>
  argument < 24
    ? hexOf(major + argument, 1)
    : argument < 256
      ? hexOf(major + 24, 1) + hexOf(argument, 1)
      : argument < 65536
        ? hexOf(major + 25, 1) + hexOf(argument, 2)
        : hexOf(major + 26, 1) + hexOf(argument, 4);

/** An integer, a byte string or a text in CBOR, in hexadecimal. */
export const cborItem = (value: unknown): string => {
  if (isNumber(value)) return value < 0 ? cborHead(32, ~value) : cborHead(0, value);
  const bytes = Buffer.from(value as string);
  return cborHead(isText(value) ? 96 : 64, bytes.length) + bytes.toString('hex');
};

export const fromHex = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** Claims to be written anew, by JWT name. */
export type Changes = Record<string, number | Buffer | string | undefined>;

/**
 * Signs a claim set of a token once more with some claims changed; all others are copied as they stand.
 * Throws where the key is not an HMAC key.
 *
 * @param claims The token's own claims, or a set within them; a JWT's by name.
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
  const secret = record.secret as Buffer;
  if (FEATURES.jwt && token.isJwt) {
    const body = [{ alg: 'HS256', typ: 'JWT', kid: kid }, Object.assign({}, claims, changes)]
      .map((part) => toBase64(Buffer.from(JSON.stringify(part))))
      .join('.');
    return body + '.' + toBase64(host.mac(secret, [body]));
  }
  const source = token.payload as Buffer;
  const labels = Object.keys(changes).map(claimKey);
  let count = 0;
  let entries = '';
  const add = (entry: string): void => {
    count++;
    entries += entry;
  };
  Object.keys(changes).forEach((name) => add(cborItem(claimKey(name)) + cborItem(changes[name])));
  // Behind the head of the map, whose count may take a byte of its own, entry by entry.
  let start = (claims[''] as number) || 0;
  let left = (source[start++] as number) & 31;
  must(left < 25);
  if (left > 23) left = source[start++] as number;
  openCbor(source, start);
  while (left--) {
    start = at;
    const label = readCbor(1);
    readCbor(1);
    if (!has(labels, label)) add(source.toString('hex', start, at));
  }
  const payload = cborItem(fromHex(cborHead(160, count) + entries));
  // Tag 17, an array of four: {1: 5} in a byte string, {4: kid}, payload, MAC.
  return toBase64(
    fromHex(
      'd18443a10105a104' +
        cborItem(Buffer.from(kid)) +
        payload +
        cborItem(host.mac(secret, [fromHex('84644d41433043a1010540' + payload)])),
    ),
  );
};
