import { constants, verify, type KeyObject } from 'node:crypto';
import type { Algorithm, ParsedToken } from '@portcullis/tokens/core/token';

/** A key ready for use, and the record that the evaluator reads of it. */
export interface EdgeKey {
  readonly kid: string;
  readonly algorithm: Algorithm | 'A128GCM' | 'A256GCM';
  readonly key: KeyObject;
  /** The key as the store would have it (`docs/kvs-layout.md`), in JSON: algorithm, issuers, paths. */
  readonly record: string;
}

type PublicKeyAlgorithm = Exclude<Algorithm, 'HS256'>;

/** How `node:crypto` checks each algorithm (RFC 7518 3, RFC 8037 3.1, RFC 9053 2). */
const checks: Record<PublicKeyAlgorithm, (key: KeyObject, data: Buffer, signature: Buffer) => boolean> = {
  // r and s side by side, as JOSE and COSE want them, and nothing else.
  ES256: (key, data, signature) =>
    signature.length === 64 && verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature),
  ES384: (key, data, signature) =>
    signature.length === 96 && verify('sha384', data, { key, dsaEncoding: 'ieee-p1363' }, signature),
  // The salt is as long as the hash, neither more nor less (RFC 7518 3.5, RFC 8230 2).
  PS256: (key, data, signature) =>
    verify('sha256', data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }, signature),
  RS256: (key, data, signature) => verify('sha256', data, { key, padding: constants.RSA_PKCS1_PADDING }, signature),
  EdDSA: (key, data, signature) => signature.length === 64 && verify(null, data, key, signature),
};

/** Whether a public-key signature belongs to a token. The key says by which algorithm, never the token. */
export function isGenuine(
  { algorithm, key }: EdgeKey,
  { signed, signature }: Pick<ParsedToken, 'signed' | 'signature'>,
): boolean {
  return isSigned(algorithm as PublicKeyAlgorithm, key, joined(signed), signature);
}

/** Whether a signature belongs to some bytes. Whatever `node:crypto` cannot read is no signature. */
export function isSigned(algorithm: PublicKeyAlgorithm, key: KeyObject, data: Buffer, signature: Buffer): boolean {
  try {
    return checks[algorithm]?.(key, data, signature) ?? false;
  } catch {
    return false;
  }
}

function joined(pieces: readonly (string | Buffer)[]): Buffer {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  // Written over from end to end.
  const all = Buffer.allocUnsafe(length);
  let at = 0;
  for (const piece of pieces) {
    // One by one is faster than a call for a few.
    if (typeof piece === 'string') for (let i = 0; i < piece.length; i++) all[at++] = piece.charCodeAt(i);
    else if (piece.length < 32) for (let i = 0; i < piece.length; i++) all[at++] = piece[i] as number;
    else {
      all.set(piece, at);
      at += piece.length;
    }
  }
  return all;
}
