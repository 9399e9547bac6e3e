import { createHmac } from 'node:crypto';
import type { Random } from './random.js';

/*
 * An encoder of its own, written from the formats (RFC 8392, RFC 9052 6.2, RFC 7519) and not through the SDK: what reads
 * the logs is then tested against bytes that its own family did not write.
 */

export interface TokenClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly pathPrefix: string;
  /** Epoch seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly sessionEnd: number | undefined;
  /** `cti`, or `jti` as its base64url. */
  readonly tokenId: Uint8Array;
  /** Our session handle; an issuer that does not know it leaves it out. */
  readonly session: Uint8Array | undefined;
  readonly countries: readonly string[] | undefined;
}

export interface SigningKey {
  readonly kid: string;
  readonly secret: Uint8Array;
}

function head(major: number, value: number): Buffer {
  const type = major << 5;
  if (value < 24) return Buffer.from([type | value]);
  if (value < 0x100) return Buffer.from([type | 24, value]);
  if (value < 0x10000) return Buffer.from([type | 25, value >> 8, value & 255]);
  const wide = Buffer.alloc(5);
  wide[0] = type | 26;
  wide.writeUInt32BE(value, 1);
  return wide;
}

const integer = (value: number): Buffer => (value < 0 ? head(1, -1 - value) : head(0, value));
const byteString = (value: Uint8Array): Buffer => Buffer.concat([head(2, value.length), value]);
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([head(3, bytes.length), bytes]);
};
const array = (items: readonly Buffer[]): Buffer => Buffer.concat([head(4, items.length), ...items]);
const map = (entries: readonly (readonly [number, Buffer])[]): Buffer =>
  Buffer.concat([head(5, entries.length), ...entries.flatMap(([key, value]) => [integer(key), value])]);

/** A Common Access Token: COSE_Mac0 (tag 17) with HMAC 256/256, base64url without padding. */
export function encodeCat(claims: TokenClaims, key: SigningKey): string {
  const entries: [number, Buffer][] = [
    [1, text(claims.issuer)],
    [2, text(claims.subject)],
    [4, integer(claims.expiresAt)],
    [6, integer(claims.issuedAt)],
    [7, byteString(claims.tokenId)],
    [310, integer(1)],
    [312, map([[3, map([[1, text(claims.pathPrefix)]])]])],
  ];
  if (claims.countries) entries.push([316, array(claims.countries.map(text))]);
  if (claims.session) entries.push([-65537, byteString(claims.session)]);
  if (claims.sessionEnd !== undefined) entries.push([-65538, integer(claims.sessionEnd)]);
  const protectedHeader = byteString(map([[1, integer(5)]]));
  const payload = byteString(map(entries));
  const macStructure = array([text('MAC0'), protectedHeader, byteString(new Uint8Array(0)), payload]);
  const mac = createHmac('sha256', key.secret).update(macStructure).digest();
  const message = array([protectedHeader, map([[4, byteString(Buffer.from(key.kid))]]), payload, byteString(mac)]);
  return Buffer.concat([Buffer.from([0xd1]), message]).toString('base64url');
}

/** The same claims as a JSON Web Token with HS256. */
export function encodeJwt(claims: TokenClaims, key: SigningKey): string {
  const header = { alg: 'HS256', typ: 'JWT', kid: key.kid };
  const payload = {
    iss: claims.issuer,
    sub: claims.subject,
    exp: claims.expiresAt,
    iat: claims.issuedAt,
    jti: Buffer.from(claims.tokenId).toString('base64url'),
    catv: 1,
    catu: { path: { prefix: claims.pathPrefix } },
    ...(claims.countries ? { catgeoiso3166: claims.countries } : {}),
    ...(claims.session ? { sid: Buffer.from(claims.session).toString('base64url') } : {}),
    ...(claims.sessionEnd === undefined ? {} : { sxp: claims.sessionEnd }),
  };
  const input = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${input}.${createHmac('sha256', key.secret).update(input).digest('base64url')}`;
}

/** A key for one run. It guards nothing: the generated tokens open no door. */
export function makeKey(random: Random): SigningKey {
  return { kid: 'sim-1', secret: random.bytes(32) };
}
