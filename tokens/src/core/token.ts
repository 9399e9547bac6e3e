import type { CborMap } from './cbor.js';

/** Algorithms by name (RFC 7518, RFC 9053); a key of one is never used for another. */
export type Algorithm = 'HS256' | 'ES256' | 'ES384' | 'PS256' | 'RS256' | 'EdDSA';

/** A token taken apart, nothing about it checked but its form. */
export interface ParsedToken {
  readonly isJwt: boolean;
  /** The algorithm that the headers name; undefined where a COSE_Sign1 names none. */
  readonly algorithm: string | undefined;
  /** The key id as text, `''` where there is none: printable ASCII as it stands, other bytes in base64url. */
  readonly kid: string;
  /** The claims by key. What is in them is as the format has it: integer keys and bytes, or names and base64url. */
  readonly claims: CborMap;
  /** The claims' keys in the order of the token, where reading it has them at hand. */
  labels?: readonly (number | string)[] | undefined;
  /** What the MAC or signature is over, in pieces to be joined. */
  readonly signed: (string | Buffer)[];
  readonly signature: Buffer;
  /** A CAT's encoded claims, a JWT's claims by name. */
  payload: Buffer | CborMap;
}
