import { idText } from './core/gate.js';
import type { ParsedToken } from './core-bridge.js';
import { claimOf, readableClaims } from './readable-claims.js';
import { parseTokenText } from './signature.js';

/** What a token says. Nothing of it is proved: only its form was read. */
export interface DecodedToken {
  readonly format: 'cat' | 'jwt';
  /** The algorithm that the header names; a CAT may name none. */
  readonly alg: string | undefined;
  /** Printable ASCII as it stands, other bytes in base64url. */
  readonly kid: string | undefined;
  /** Claims by their JWT names, bytes in base64url. */
  readonly claims: Readonly<Record<string, unknown>>;
  /** `cti` or `jti` as revocations name it. */
  readonly tokenId: string | undefined;
  readonly session: string | undefined;
  readonly subject: string | undefined;
  readonly issuer: string | undefined;
  /** Epoch seconds. */
  readonly issuedAt: number | undefined;
  /** Epoch seconds. */
  readonly expiresAt: number | undefined;
  /** Epoch seconds. */
  readonly sessionEndsAt: number | undefined;
}

/**
 * Reads a token without checking its signature: for logs and support, never for deciding.
 *
 * @throws SignatureError with the reason, such as `malformed_token`, as `code`.
 * @example
 * ```ts
 * decode(token).claims // { exp: 1800000000, catu: { path: { prefix: '/live/' } } }
 * ```
 */
export function decode(token: string): DecodedToken {
  return describeToken(parseTokenText(token));
}

/** The readable form of a token that was taken apart already. Claims are made readable when they are first looked at. */
export function describeToken(token: ParsedToken): DecodedToken {
  const text = (name: 'jti' | 'sid' | 'sub' | 'iss'): string | undefined => {
    const value = claimOf(token, name);
    return typeof value === 'string' || value instanceof Uint8Array ? idText(value as Buffer | string) : undefined;
  };
  const number = (name: 'iat' | 'exp' | 'sxp'): number | undefined => {
    const value = claimOf(token, name);
    return typeof value === 'number' ? value : undefined;
  };
  let claims: Record<string, unknown> | undefined;
  return {
    format: token.jwt ? 'jwt' : 'cat',
    alg: token.algorithm,
    kid: token.kid === '' ? undefined : token.kid,
    get claims() {
      return (claims ??= readableClaims(token));
    },
    tokenId: text('jti'),
    session: text('sid'),
    subject: text('sub'),
    issuer: text('iss'),
    issuedAt: number('iat'),
    expiresAt: number('exp'),
    sessionEndsAt: number('sxp'),
  };
}
