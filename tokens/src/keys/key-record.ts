import { KeyError } from '../errors.js';
import { secretFromBase64url, type Jwk, type SignatureAlgorithm, type SigningKey } from '../keys.js';

/** Key types of a JWK that fit an algorithm: (kty, crv). */
const keyTypes: Record<SignatureAlgorithm, readonly [string, string?]> = {
  HS256: ['oct'],
  ES256: ['EC', 'P-256'],
  ES384: ['EC', 'P-384'],
  PS256: ['RSA'],
  RS256: ['RSA'],
  EdDSA: ['OKP', 'Ed25519'],
};

/**
 * A signing key from the JSON that secret stores hold: a JWK with `alg` and `kid`, or the key record of the edge's
 * store, `{"alg":"HS256","kid":"k1","k":"<base64url>"}`, or `{"alg":"ES256","kid":"k1","pem":"-----BEGIN PRIVATE KEY-----…"}`.
 *
 * @param source What to call it in messages; the content is never shown.
 * @throws KeyError `invalid_key` or `weak_key`.
 */
export function parseKeyRecord(text: string, source: string): SigningKey {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new KeyError('invalid_key', `${source} is not JSON.`);
  }
  return keyFromRecord(value, source);
}

/** {@link parseKeyRecord} for what is parsed already. */
export function keyFromRecord(value: unknown, source: string): SigningKey {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new KeyError('invalid_key', `${source} is not a JSON object.`);
  const { alg, kid, k, pem } = value as { alg?: unknown; kid?: unknown; k?: unknown; pem?: unknown };
  const jwk = value as Jwk;
  if (typeof alg !== 'string' || !Object.hasOwn(keyTypes, alg)) {
    throw new KeyError('invalid_key', `${source}: expected "alg" to be one of ${Object.keys(keyTypes).join(', ')}.`);
  }
  if (kid !== undefined && (typeof kid !== 'string' || kid === ''))
    throw new KeyError('invalid_key', `${source}: expected "kid" to be text.`);
  const identity = kid === undefined ? {} : { kid };
  if (alg === 'HS256') {
    if (typeof k !== 'string' || (jwk.kty !== undefined && jwk.kty !== 'oct'))
      throw new KeyError('invalid_key', `${source}: expected "k", the secret in base64url.`);
    return { alg, ...identity, secret: secretFromBase64url(k) };
  }
  const algorithm = alg as Exclude<SignatureAlgorithm, 'HS256'>;
  if (typeof pem === 'string') return { alg: algorithm, ...identity, privateKey: pem } as SigningKey;
  const [kty, crv] = keyTypes[algorithm];
  if (jwk.kty !== kty || (crv !== undefined && jwk.crv !== crv) || typeof jwk.d !== 'string') {
    throw new KeyError('invalid_key', `${source}: expected a private ${crv ?? kty} key as JWK, or "pem".`);
  }
  return { alg: algorithm, ...identity, privateKey: jwk } as SigningKey;
}
