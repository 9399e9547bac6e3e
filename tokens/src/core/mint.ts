import { has, isNumber, isText, must } from './basics.js';
import { toBase64 } from './bytes.js';
import { at, openCbor, readCbor, type CborMap } from './cbor.js';
import type { GateHost, KeyRecord } from './gate.js';
import { claimKey } from './labels.js';
import type { ParsedToken } from './token.js';

/**
 * A CBOR head (RFC 8949 3) in hexadecimal: major type times 32, and an argument below 2³² in the shortest form.
 * Head and argument are written as one number, with a 1 before it that keeps zeros.
 */
export const cborHead = (major: number, argument: number): string =>
  (argument < 24
    ? 256 + major + argument
    : argument < 256
      ? (280 + major) * 256 + argument
      : argument < 65536
        ? (281 + major) * 65536 + argument
        : (282 + major) * 2 ** 32 + argument
  )
    .toString(16)
    .slice(1);

/** A byte string or a text, or whatever else has a length in bytes, from and in hexadecimal. */
const cborBytes = (major: number, hex: string): string => cborHead(major, hex.length / 2) + hex;

/** An integer, a byte string or a text in CBOR, in hexadecimal. */
export const cborItem = (value: unknown): string =>
  isNumber(value)
    ? value < 0
      ? cborHead(32, ~value)
      : cborHead(0, value)
    : cborBytes(isText(value) ? 96 : 64, Buffer.from(value as string).toString('hex'));

export const fromHex = (hex: string): Buffer => Buffer.from(hex, 'hex');

/** Claims to be written anew, by JWT name. */
export type Changes = Record<string, number | Buffer | string | undefined>;

/**
 * Signs a claim set of a token once more with some claims changed; all others are copied as they stand.
 * Throws where the key is not an HMAC key.
 *
 * @param set A set within the token's claims; undefined for the token's own. A JWT's by name.
 * @param changes Replace claims that are there and add those that are not.
 */
export const mintToken = (
  set: CborMap | undefined,
  token: ParsedToken,
  changes: Changes,
  kid: string,
  record: KeyRecord,
  host: GateHost,
): string => {
  must(record.alg === 'HS256');
  const secret = record.secret as Buffer;
  const source = token.payload as Buffer;
  if (FEATURES.jwt && token.isJwt) {
    // Changed in its place: in a copy, njs 0.8.9 leaves out a claim called `constructor`.
    const claims = (set || source) as unknown as Changes;
    Object.keys(changes).forEach((name) => {
      claims[name] = changes[name];
    });
    const body = [{ alg: 'HS256', typ: 'JWT', kid: kid }, claims]
      .map((part) => toBase64(Buffer.from(JSON.stringify(part))))
      .join('.');
    return body + '.' + toBase64(host.mac(secret, [body]));
  }
  const names = Object.keys(changes);
  const labels = names.map(claimKey);
  const entries = names.map((name, i) => cborItem(labels[i]) + cborItem(changes[name]));
  openCbor(source, set ? (set[''] as number) : 0, (label, start) => {
    if (!has(labels, label)) entries.push(source.toString('hex', start, at));
  });
  readCbor(0);
  const payload = cborBytes(64, cborHead(160, entries.length) + entries.join(''));
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
