import { encodeBase64url } from './base64url.js';
import { KeyError } from './errors.js';
import type { Jwk } from './keys.js';

/**
 * The thumbprint of a viewer's public key (RFC 7638 3 with SHA-256, RFC 8037 2), as a policy's `proofKey` takes it.
 *
 * @param jwk The public key that the player sends.
 * @throws KeyError `invalid_key` for a private key, a secret, or what is no JWK of an EC, RSA or Ed25519 key.
 * @example
 * ```ts
 * await signer.signPlaybackUrl(url, { expiresIn: '2h', proofKey: await proofKeyOf(request.body.key) });
 * ```
 */
export async function proofKeyOf(jwk: Jwk): Promise<string> {
  const { kty, crv, x, y, n, e, d, k } = jwk;
  const members = kty === 'RSA' ? { e, kty, n } : kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x };
  if (
    d !== undefined ||
    k !== undefined ||
    !['RSA', 'EC', 'OKP'].includes(kty as string) ||
    Object.values(members).some((value) => typeof value !== 'string' || value === '')
  )
    throw new KeyError('invalid_key', 'Expected the public JWK of an EC, RSA or Ed25519 key.');
  // The required members alone, in the order of their names.
  const bytes = new TextEncoder().encode(JSON.stringify(members));
  return encodeBase64url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
}
