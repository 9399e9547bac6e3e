import { createHash } from 'node:crypto';
import { scopeLetters, type EdgeScope } from '../../revoker/scopes.js';
import { bucketKey, findRevocation } from '../../tokens/src/core/revocation.js';

export type ReadText = (key: string) => Promise<string | undefined>;

/** What the edge looks up: SHA-256 of the scope's letter, a colon and the id. */
export function digestOf(scope: EdgeScope, id: string): Buffer {
  return createHash('sha256').update(`${scopeLetters[scope]}:${id}`).digest();
}

/**
 * Looks an id up with the core's own reader, following an overfull bucket as `tokens/src/core/gate.ts` does. Throws
 * where the edge answers 503.
 */
export async function lookUp(
  scope: EdgeScope,
  id: string,
  issuedAt: number | undefined,
  read: ReadText,
): Promise<'' | 'revoked' | 'expired'> {
  const digest = digestOf(scope, id);
  let key = bucketKey(digest);
  let bucket = await read(key);
  let entries = bucket ?? '';
  while (bucket?.startsWith('+')) {
    key += '+';
    bucket = await read(key);
    if (!bucket?.replace('+', '').startsWith(entries.slice(entries.lastIndexOf(',')))) {
      throw new Error('two states of one bucket');
    }
    entries += bucket;
  }
  return findRevocation(entries, digest, issuedAt) || '';
}
