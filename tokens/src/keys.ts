import { decodeBase64url, encodeBase64url } from './base64url.js';
import { KeyError } from './errors.js';

/** Algorithms by their JOSE names. CAT uses the first three (CTA-5007-B 4.2); ES384 is there for Amazon IVS. */
export type SignatureAlgorithm = 'HS256' | 'ES256' | 'PS256' | 'RS256' | 'EdDSA' | 'ES384';
export type CatAlgorithm = 'HS256' | 'ES256' | 'PS256';
export type JwtAlgorithm = 'HS256' | 'ES256' | 'PS256' | 'RS256' | 'EdDSA';

/** A JSON Web Key (RFC 7517), private or public. */
export interface Jwk {
  readonly kty?: string;
  readonly kid?: string;
  readonly alg?: string;
  readonly use?: string;
  readonly key_ops?: readonly string[];
  readonly crv?: string;
  readonly k?: string;
  readonly x?: string;
  readonly y?: string;
  readonly d?: string;
  readonly n?: string;
  readonly e?: string;
  readonly p?: string;
  readonly q?: string;
  readonly dp?: string;
  readonly dq?: string;
  readonly qi?: string;
}

/** Enough of Node's `KeyObject` to recognise one without importing Node. */
export interface KeyObjectLike {
  readonly type: string;
  export(options?: { format: 'jwk' }): unknown;
}

/** Key id: text, or the raw bytes that a COSE header holds. */
export type KeyId = string | Uint8Array;

/** A shared secret of at least 32 bytes. Text is not accepted: its encoding would be a guess; see {@link secretFromBase64url}. */
export interface HmacKey<A extends 'HS256' = 'HS256'> {
  readonly alg: A;
  readonly kid?: KeyId;
  readonly secret: Uint8Array | KeyObjectLike | CryptoKey | (Jwk & { readonly kty: 'oct' });
}

/** A private key: PKCS#8 PEM, JWK, KeyObject or CryptoKey. */
export interface PrivateKey<A extends Exclude<SignatureAlgorithm, 'HS256'> = Exclude<SignatureAlgorithm, 'HS256'>> {
  readonly alg: A;
  readonly kid?: KeyId;
  readonly privateKey: string | Jwk | KeyObjectLike | CryptoKey;
}

/** A public key: SPKI PEM, JWK, KeyObject or CryptoKey. */
export interface PublicKey<A extends Exclude<SignatureAlgorithm, 'HS256'> = Exclude<SignatureAlgorithm, 'HS256'>> {
  readonly alg: A;
  readonly kid?: KeyId;
  readonly publicKey: string | Jwk | KeyObjectLike | CryptoKey;
}

/** A key that signs with `A`: `{ alg: 'HS256', kid, secret }` or `{ alg: 'ES256', kid, privateKey }`. */
export type SigningKey<A extends SignatureAlgorithm = SignatureAlgorithm> = A extends 'HS256'
  ? HmacKey
  : A extends Exclude<SignatureAlgorithm, 'HS256'>
    ? PrivateKey<A>
    : never;

/** A key that verifies with `A`. */
export type VerificationKey<A extends SignatureAlgorithm = SignatureAlgorithm> = A extends 'HS256'
  ? HmacKey
  : A extends Exclude<SignatureAlgorithm, 'HS256'>
    ? PublicKey<A>
    : never;

/** RFC 7518 3.2: an HMAC-SHA-256 key is at least as long as its output. */
export const minimumSecretBytes = 32;

const utf8 = new TextEncoder();

/** Bytes of a key id as a COSE header holds them. */
export function keyIdBytes(kid: KeyId): Uint8Array {
  return typeof kid === 'string' ? utf8.encode(kid) : kid;
}

/** Key id as text: printable ASCII as it is, other bytes in base64url. */
export function keyIdText(kid: KeyId): string {
  if (typeof kid === 'string') return kid;
  const printable = kid.length > 0 && kid.length <= 128 && kid.every((byte) => byte >= 0x21 && byte <= 0x7e);
  return printable ? String.fromCharCode(...kid) : encodeBase64url(kid);
}

/**
 * Reads a secret that a key store holds as base64url text.
 *
 * @throws KeyError `invalid_key` when the text is not base64url, `weak_key` below 32 bytes.
 */
export function secretFromBase64url(text: string): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64url(text.trim());
  if (!bytes) throw new KeyError('invalid_key', 'The secret is not base64url text.');
  return checkSecret(bytes);
}

/** The secret of an HMAC key as bytes, or the CryptoKey it cannot be taken out of. */
export function secretOf(key: HmacKey): Uint8Array<ArrayBuffer> | CryptoKey {
  const { secret } = key;
  if (secret instanceof Uint8Array) return checkSecret(secret.slice());
  if (isCryptoKey(secret)) return checkCryptoKey(secret, 'HS256');
  if (isKeyObject(secret)) {
    if (secret.type !== 'secret')
      throw new KeyError('invalid_key', `HS256 needs a secret key, not a ${secret.type} one.`);
    const exported = secret.export();
    if (!(exported instanceof Uint8Array))
      throw new KeyError('invalid_key', 'The secret KeyObject does not export its bytes.');
    return checkSecret(new Uint8Array(exported));
  }
  if (typeof secret === 'object' && secret !== null && secret.kty === 'oct' && typeof secret.k === 'string') {
    return secretFromBase64url(secret.k);
  }
  throw new KeyError('invalid_key', 'HS256 needs `secret`: bytes, an "oct" JWK, a KeyObject or a CryptoKey.');
}

/**
 * A private or public key as a CryptoKey for its algorithm.
 *
 * @throws KeyError `invalid_key` when the key is of another kind, `weak_key` for RSA below 2,048 bits.
 */
export async function importAsymmetricKey(
  alg: Exclude<SignatureAlgorithm, 'HS256'>,
  material: string | Jwk | KeyObjectLike | CryptoKey,
  use: 'private' | 'public',
): Promise<CryptoKey> {
  let key: CryptoKey;
  try {
    key = await importMaterial(alg, material, use);
  } catch (cause) {
    if (cause instanceof KeyError) throw cause;
    throw new KeyError('invalid_key', `Not a ${use} key for ${alg}.`, { cause });
  }
  if (key.type !== use) throw new KeyError('invalid_key', `${alg} needs a ${use} key here, not a ${key.type} one.`);
  return checkCryptoKey(key, alg);
}

/** WebCrypto parameters for importing, by JOSE name. */
const importParameters: Record<
  Exclude<SignatureAlgorithm, 'HS256'>,
  EcKeyImportParams | RsaHashedImportParams | { name: string }
> = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256' },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  EdDSA: { name: 'Ed25519' },
};

async function importMaterial(
  alg: Exclude<SignatureAlgorithm, 'HS256'>,
  material: string | Jwk | KeyObjectLike | CryptoKey,
  use: 'private' | 'public',
): Promise<CryptoKey> {
  if (isCryptoKey(material)) return material;
  const parameters = importParameters[alg];
  const usages: KeyUsage[] = [use === 'private' ? 'sign' : 'verify'];
  if (typeof material === 'string')
    return crypto.subtle.importKey(
      use === 'private' ? 'pkcs8' : 'spki',
      pemBytes(material, use),
      parameters,
      false,
      usages,
    );
  const jwk = isKeyObject(material) ? (material.export({ format: 'jwk' }) as Jwk) : material;
  checkJwk(jwk, alg, use);
  return crypto.subtle.importKey(
    'jwk',
    (use === 'public' ? publicPart(jwk) : keyPart(jwk)) as JsonWebKey,
    parameters,
    false,
    usages,
  );
}

function pemBytes(pem: string, use: 'private' | 'public'): Uint8Array<ArrayBuffer> {
  const label = use === 'private' ? 'PRIVATE KEY' : 'PUBLIC KEY';
  const body = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]+)-----END ${label}-----`).exec(pem)?.[1];
  if (body === undefined)
    throw new KeyError(
      'invalid_key',
      `Expected a PEM with "BEGIN ${label}" (${use === 'private' ? 'PKCS#8' : 'SPKI'}).`,
    );
  return Uint8Array.from(atob(body.replace(/\s/g, '')), (character) => character.charCodeAt(0));
}

function checkJwk(jwk: Jwk, alg: SignatureAlgorithm, use: 'private' | 'public'): void {
  if (jwk.use !== undefined && jwk.use !== 'sig')
    throw new KeyError('invalid_key', `This key is for "${jwk.use}", not for signatures.`);
  const operation = use === 'private' ? 'sign' : 'verify';
  if (jwk.key_ops && !jwk.key_ops.includes(operation))
    throw new KeyError('invalid_key', `The key's "key_ops" do not allow it to ${operation}.`);
  if (jwk.alg !== undefined && jwk.alg !== alg && !(alg === 'EdDSA' && jwk.alg === 'Ed25519'))
    throw new KeyError('invalid_key', `This key is for ${jwk.alg}, not for ${alg}.`);
}

/** The numbers of a key, without what it says about its use. */
function keyPart({ kty, crv, x, y, d, n, e, p, q, dp, dq, qi }: Jwk): Jwk {
  return defined({ kty, crv, x, y, d, n, e, p, q, dp, dq, qi });
}

/** A public key may be taken from a private one; the private part must not go along. */
function publicPart({ kty, crv, x, y, n, e }: Jwk): Jwk {
  return defined({ kty, crv, x, y, n, e });
}

function defined(values: Record<string, string | undefined>): Jwk {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Jwk;
}

function checkSecret<T extends Uint8Array>(secret: T): T {
  if (secret.length < minimumSecretBytes) {
    throw new KeyError(
      'weak_key',
      `An HS256 secret must have at least ${minimumSecretBytes} bytes (RFC 7518 3.2); this one has ${secret.length}.`,
    );
  }
  return secret;
}

/** A CryptoKey carries its algorithm; it must be the one asked for. */
function checkCryptoKey(key: CryptoKey, alg: SignatureAlgorithm): CryptoKey {
  const { name, hash, namedCurve, modulusLength, length } = key.algorithm as {
    name: string;
    hash?: { name: string };
    namedCurve?: string;
    modulusLength?: number;
    length?: number;
  };
  const sha256 = hash?.name === 'SHA-256';
  const right: Record<SignatureAlgorithm, boolean> = {
    HS256: name === 'HMAC' && sha256,
    ES256: name === 'ECDSA' && namedCurve === 'P-256',
    ES384: name === 'ECDSA' && namedCurve === 'P-384',
    PS256: name === 'RSA-PSS' && sha256,
    RS256: name === 'RSASSA-PKCS1-v1_5' && sha256,
    EdDSA: name === 'Ed25519',
  };
  if (!right[alg]) throw new KeyError('invalid_key', `This CryptoKey is for ${name}, not for ${alg}.`);
  if (alg === 'HS256' && (length ?? 0) < minimumSecretBytes * 8)
    throw new KeyError('weak_key', `An HS256 secret must have at least ${minimumSecretBytes} bytes (RFC 7518 3.2).`);
  if (modulusLength !== undefined && modulusLength < 2048)
    throw new KeyError('weak_key', `${alg} needs at least 2,048 bits (RFC 7518 3.3); this key has ${modulusLength}.`);
  return key;
}

function isCryptoKey(value: unknown): value is CryptoKey {
  return typeof CryptoKey !== 'undefined' && value instanceof CryptoKey;
}

function isKeyObject(value: unknown): value is KeyObjectLike {
  return typeof value === 'object' && value !== null && typeof (value as KeyObjectLike).export === 'function';
}
