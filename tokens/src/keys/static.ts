import { KeyError } from '../errors.js';
import { keyIdText, type SignatureAlgorithm, type SigningKey } from '../keys.js';
import type { KeyProvider } from '../signer.js';

/**
 * Keys from the program itself, for tests and for secrets that the platform injects: the first signs, the others are
 * still listed for recipients, so that a rotation is one change of order.
 *
 * @throws KeyError `invalid_key` without a key, or with one kid twice.
 * @example
 * ```ts
 * const signer = createSigner({ issuer: 'cms', key: staticKeys([{ alg: 'HS256', kid: 'k2', secret }]) });
 * ```
 */
export function staticKeys<A extends SignatureAlgorithm>(
  keys: readonly [SigningKey<A>, ...SigningKey<A>[]],
): KeyProvider<A> & { readonly keys: readonly SigningKey<A>[] } {
  const [current] = keys;
  if (current === undefined) throw new KeyError('invalid_key', 'At least one key is needed to sign.');
  const ids = keys.map((key) => (key.kid === undefined ? '' : keyIdText(key.kid)));
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new KeyError('invalid_key', `Two keys have the kid ${JSON.stringify(twice)}.`);
  return { keys: [...keys], signingKey: () => current };
}
