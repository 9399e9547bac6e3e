/** Callers that show a JSON Web Token of an identity provider. */
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import type { Authenticate } from './service.js';

export interface BearerOptions {
  /** Where the provider publishes its keys, or the keys themselves. */
  readonly keys: URL | { readonly keys: readonly object[] };
  /** `iss` that is trusted. */
  readonly issuer: string;
  /** `aud` that means this service. */
  readonly audience: string;
  /** Default RS256, PS256, ES256, EdDSA; never a shared secret. */
  readonly algorithms?: readonly ('RS256' | 'PS256' | 'ES256' | 'ES384' | 'EdDSA')[];
  /** Scope that makes a caller a trusted backend, which speaks for any subject. Without it all callers are viewers. */
  readonly backendScope?: string;
}

/**
 * Authenticates by `Authorization: Bearer`. A viewer's token lets it mint for its own `sub` alone.
 *
 * @example
 * ```ts
 * const authenticate = bearerCaller({ keys: new URL('https://id.example/jwks.json'), issuer: 'https://id.example', audience: 'playback' });
 * ```
 */
export function bearerCaller(options: BearerOptions): Authenticate {
  const { issuer, audience, algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'], backendScope } = options;
  const keys: JWTVerifyGetKey =
    options.keys instanceof URL
      ? createRemoteJWKSet(options.keys)
      : createLocalJWKSet(options.keys as unknown as JSONWebKeySet);
  return async (request) => {
    const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    if (token === undefined) return undefined;
    let payload;
    try {
      ({ payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: [...algorithms],
        requiredClaims: ['exp', 'sub'],
      }));
    } catch (error) {
      // A provider that does not answer is our fault, not the caller's.
      if ((error as { code?: string }).code?.startsWith('ERR_J')) return undefined;
      throw error;
    }
    const { sub } = payload;
    if (typeof sub !== 'string' || sub === '') return undefined;
    const scopes = typeof payload['scope'] === 'string' ? payload['scope'].split(' ') : [];
    return backendScope !== undefined && scopes.includes(backendScope)
      ? { id: sub, trusted: true }
      : { id: sub, trusted: false, subject: sub };
  };
}
