import { createHash } from 'node:crypto';
import type { ParsedToken } from '@portcullis/tokens/core/token';
import { CTI, ISS } from '@portcullis/tokens/core/labels';

/** Remembers which one-time tokens were used (`catreplay` 1, CTA-5007-B 4.6.6). */
export interface OneTimeStore {
  /**
   * Spends a token.
   *
   * @param id See {@link replayId}.
   * @param by Who spends it: the request's id. The same one may ask again, as a retry does, and gets the same answer.
   * @param until When the token ends, seconds since 1970; undefined: never.
   * @returns False where somebody else has spent it.
   * @throws when that cannot be told: nobody is admitted then.
   */
  spend(id: string, by: string, until: number | undefined): Promise<boolean>;
  /** Once more for a token that was spent and whose answer came to nothing, once. The rest is as for `spend`. */
  spendAgain(id: string, by: string): Promise<boolean>;
}

/**
 * The name of a token among used ones: what it is called (`cti`, `jti`) by whom, or else what was signed. Never its text
 * or its signature: an ECDSA signature has a second form that is as good as the first.
 */
export function replayId({ claims, signed }: ParsedToken): string {
  const id = claims[CTI];
  const hash = createHash('sha256');
  if (id !== undefined) hash.update(`id\n${JSON.stringify(claims[ISS] ?? null)}\n`).update(id as string | Buffer);
  else {
    hash.update('signed\n');
    for (const piece of signed) hash.update(piece);
  }
  return hash.digest('base64url');
}
