import { encodeBase64url } from './base64url.js';
import { claimLabels } from './claims.js';
import type { ParsedToken } from './core-bridge.js';
import { readableClaims } from './readable-claims.js';
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
  return new TokenDescription(token);
}

/** A class for its getter: defining one on each object would cost more than checking the token. */
class TokenDescription implements DecodedToken {
  readonly format: 'cat' | 'jwt';
  readonly alg: string | undefined;
  readonly kid: string | undefined;
  readonly tokenId: string | undefined;
  readonly session: string | undefined;
  readonly subject: string | undefined;
  readonly issuer: string | undefined;
  readonly issuedAt: number | undefined;
  readonly expiresAt: number | undefined;
  readonly sessionEndsAt: number | undefined;
  readonly #token: ParsedToken;
  #claims: Record<string, unknown> | undefined;

  constructor(token: ParsedToken) {
    const { claims } = token;
    this.#token = token;
    this.format = token.jwt ? 'jwt' : 'cat';
    this.alg = token.algorithm;
    this.kid = token.kid === '' ? undefined : token.kid;
    this.tokenId = textOf(claims[claimLabels.jti]);
    this.session = textOf(claims[claimLabels.sid]);
    this.subject = textOf(claims[claimLabels.sub]);
    this.issuer = textOf(claims[claimLabels.iss]);
    this.issuedAt = numberOf(claims[claimLabels.iat]);
    this.expiresAt = numberOf(claims[claimLabels.exp]);
    this.sessionEndsAt = numberOf(claims[claimLabels.sxp]);
  }

  get claims(): Readonly<Record<string, unknown>> {
    return (this.#claims ??= readableClaims(this.#token));
  }

  toJSON(): object {
    return { ...this, claims: this.claims };
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : value instanceof Uint8Array ? encodeBase64url(value) : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
