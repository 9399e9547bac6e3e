import { readFile } from 'node:fs/promises';
import { KeyError } from '../errors.js';
import type { SigningKey } from '../keys.js';
import { keyFromRecord } from './key-record.js';
import { refreshingKey, type RefreshingKeyProvider, type RefreshOptions } from './refreshing.js';

export interface JwksFileOptions extends RefreshOptions {
  /** Path of a JSON Web Key Set (RFC 7517 5) with private keys or secrets. */
  readonly file: string;
  /** Which key signs. Default: the first whose `use` is not `enc`. */
  readonly kid?: string;
}

/**
 * Signs with a key of a JWKS file, read again when it ages: put the next key at the front, and it signs without a restart.
 *
 * @throws KeyError from the first `sign`: `key_unavailable` when the file cannot be read, `unknown_key` without such a kid.
 * @example
 * ```ts
 * const signer = createSigner({ issuer: 'cms', key: jwksFileKey({ file: '/run/secrets/jwks.json' }) });
 * ```
 */
export function jwksFileKey(options: JwksFileOptions): RefreshingKeyProvider {
  const { file, kid } = options;
  return refreshingKey(async () => selectKey(parseKeys(await readFile(file, 'utf8'), file), kid, file), file, {
    refreshAfter: 60,
    ...options,
  });
}

function parseKeys(text: string, file: string): unknown[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new KeyError('invalid_key', `${file} is not JSON.`);
  }
  const keys = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) throw new KeyError('invalid_key', `${file}: expected a JSON Web Key Set, {"keys": […]}.`);
  return keys as unknown[];
}

function selectKey(keys: readonly unknown[], kid: string | undefined, file: string): SigningKey {
  const index = keys.findIndex((key) => {
    const { kid: id, use } = (key ?? {}) as { kid?: unknown; use?: unknown };
    return kid === undefined ? use !== 'enc' : id === kid;
  });
  if (index < 0)
    throw new KeyError(
      'unknown_key',
      kid === undefined ? `${file} has no signing key.` : `${file} has no key with kid ${JSON.stringify(kid)}.`,
    );
  return keyFromRecord(keys[index], `${file}: keys[${index}]`);
}
