import { encodeBase64url } from './base64url.js';
import { CborWriter } from './cbor/writer.js';
import { writeCatClaims, type Claims } from './claims.js';
import { KeyError, PolicyError } from './errors.js';
import type { CatAlgorithm, JwtAlgorithm, SigningKey } from './keys.js';
import { prepareKey, type PreparedKey } from './prepared-key.js';

/** Longest token that every recipient must take (CTA-5007-B 4.3.1.1). */
export const maximumTokenLength = 4096;

/** Room before the payload for a COSE head or a MAC input head; key ids longer than this take the slow way. */
const headRoom = 192;

// One scratch buffer: encoding is synchronous, and nothing of it outlives the call.
let scratch: CborWriter | undefined;

/**
 * Signs a claim set as a Common Access Token: COSE_Mac0 for HS256, COSE_Sign1 for ES256 and PS256 (CTA-5007-B 4.2),
 * tagged, base64url without padding, claims in the order given.
 *
 * This is the plain operation: claims go in as they are. {@link createSigner} adds ids, times and safe defaults.
 *
 * @throws KeyError when the key does not fit; PolicyError when a claim has the wrong type or the token exceeds 4,096 characters.
 * @example
 * ```ts
 * const token = await signCat({ exp: 1700000000, catv: 1, catu: { path: { prefix: '/live/' } } }, { alg: 'HS256', kid: 'k1', secret });
 * ```
 */
export async function signCat(claims: Claims, key: SigningKey<CatAlgorithm>): Promise<string> {
  return signCatPrepared(claims, await prepareKey(key as SigningKey));
}

/**
 * Signs a claim set as a JSON Web Token in compact form (RFC 7519).
 *
 * @throws KeyError when the key does not fit; PolicyError when the token exceeds 4,096 characters.
 * @example
 * ```ts
 * const token = await signJwt({ exp: 1700000000, catu: { path: { prefix: '/live/' } } }, { alg: 'HS256', kid: 'k1', secret });
 * ```
 */
export async function signJwt(claims: Claims, key: SigningKey<JwtAlgorithm>): Promise<string> {
  return signJwtPrepared(claims, await prepareKey(key as SigningKey));
}

/** {@link signCat} with a prepared key: synchronous wherever the MAC is. */
export function signCatPrepared(claims: Claims, key: PreparedKey): string | Promise<string> {
  const { coseHead, coseInputHead } = key;
  if (!coseHead || !coseInputHead)
    throw new KeyError('invalid_key', `CAT has no ${key.alg}: use HS256, ES256 or PS256 (CTA-5007-B 4.2).`);
  if (coseInputHead.length + 9 > headRoom)
    throw new KeyError('invalid_key', 'The key id is too long: 128 bytes at most.');
  const writer = (scratch ??= new CborWriter(2048));
  writer.end = headRoom;
  writeCatClaims(writer, claims);
  const end = writer.end;
  const payloadStart = writeLengthBefore(writer, headRoom, end - headRoom);
  const bytes = writer.bytes;

  const inputStart = payloadStart - coseInputHead.length;
  bytes.set(coseInputHead, inputStart);
  if (key.hmac) {
    const mac = key.hmac(bytes.subarray(inputStart, end), 'latin1');
    const messageStart = payloadStart - coseHead.length;
    bytes.set(coseHead, messageStart);
    writer.head(2, 32);
    writer.reserve(32);
    for (let i = 0; i < 32; i++) writer.bytes[writer.end++] = mac.charCodeAt(i);
    return bounded(encodeBase64url(writer.bytes, messageStart, writer.end));
  }
  const payload = bytes.slice(payloadStart, end);
  return key.sign(new Uint8Array(bytes.slice(inputStart, end))).then((signature) => {
    const message = new CborWriter(coseHead.length + payload.length + signature.length + 16);
    message.raw(coseHead);
    message.raw(payload);
    message.byteString(signature);
    return bounded(encodeBase64url(message.bytes, 0, message.end));
  });
}

/** {@link signJwt} with a prepared key: synchronous wherever the MAC is. */
export function signJwtPrepared(claims: Claims, key: PreparedKey): string | Promise<string> {
  const input = key.jwtHead + encodeText(JSON.stringify(claims));
  if (key.hmac) return bounded(`${input}.${key.hmac(input, 'base64url')}`);
  return key
    .sign(new TextEncoder().encode(input))
    .then((signature) => bounded(`${input}.${encodeBase64url(signature)}`));
}

/** Writes the head of a byte string so that it ends where the string starts, and returns where the head starts. */
function writeLengthBefore(writer: CborWriter, start: number, length: number): number {
  const size = length < 24 ? 1 : length < 0x100 ? 2 : length < 0x10000 ? 3 : 5;
  const end = writer.end;
  writer.end = start - size;
  writer.head(2, length);
  writer.end = end;
  return start - size;
}

function bounded(token: string): string {
  if (token.length <= maximumTokenLength) return token;
  throw new PolicyError(
    'policy',
    `a token of at most ${maximumTokenLength} characters (CTA-5007-B 4.3.1.1)`,
    token.length,
  );
}

const utf8 = /* @__PURE__ */ new TextEncoder();
const NodeBuffer = (globalThis as { Buffer?: { from(text: string): { toString(encoding: 'base64url'): string } } })
  .Buffer;

function encodeText(text: string): string {
  return NodeBuffer ? NodeBuffer.from(text).toString('base64url') : encodeBase64url(utf8.encode(text));
}
