import { toBase64 } from './bytes.js';

/** The store's key of the bucket that a hash of `scope:id` falls into: see `docs/kvs-layout.md`. */
export const bucketKey = (digest: Buffer): string =>
  'r' + (((digest[0] as number) << 5) | ((digest[1] as number) >> 3));

/**
 * Whether a bucket revokes an id.
 *
 * @param digest SHA-256 of `scope:id`; scopes are `t` token, `s` session, `u` subject, `x` subject and content,
 *   `c` content, `p` ids that `catpor` rejects.
 * @param issuedAt The token's `iat`; entries with a moment hold for tokens issued until then.
 * Builds without `cutOffs` take every entry as one without a moment.
 *
 * @returns `'revoked'`; `'expired'` for an entry that asks for a newly minted token; something falsy when no entry holds.
 */
export const findRevocation = (bucket: string, digest: Buffer, issuedAt: unknown): false | 'revoked' | 'expired' => {
  const at = bucket.indexOf(',' + toBase64(digest).slice(9, 16));
  const mark = bucket[at + 8];
  return (
    at >= 0 &&
    !(
      FEATURES.cutOffs &&
      (mark === '<' || mark === '~') &&
      (issuedAt as number) > parseInt(bucket.slice(at + 9), 36)
    ) &&
    (FEATURES.cutOffs && mark === '~' ? 'expired' : 'revoked')
  );
};
