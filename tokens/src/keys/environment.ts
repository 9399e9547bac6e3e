import { KeyError } from '../errors.js';
import { secretFromBase64url, type SigningKey } from '../keys.js';
import type { KeyProvider } from '../signer.js';
import { parseKeyRecord } from './key-record.js';

/** Environment variables by name: `process.env`, or the bindings of a Worker. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface EnvironmentKeyOptions {
  /** Variable with the key: a JWK or key record as JSON, or an HS256 secret as base64url text. Default `PORTCULLIS_KEY`. */
  readonly variable?: string;
  /** Variable with the kid of a bare secret. Default: the first one's name and `_ID`. */
  readonly kidVariable?: string;
  /** Default `process.env`. */
  readonly environment?: Environment;
}

/**
 * The key from an environment variable, read once.
 *
 * @throws KeyError `key_unavailable` when the variable is not set; `invalid_key` or `weak_key` when it holds no key.
 * @example
 * ```ts
 * const signer = createSigner({ issuer: 'cms', key: environmentKey() }); // PORTCULLIS_KEY, PORTCULLIS_KEY_ID
 * ```
 */
export function environmentKey(options: EnvironmentKeyOptions = {}): KeyProvider {
  const { variable = 'PORTCULLIS_KEY', kidVariable = `${variable}_ID` } = options;
  const environment = options.environment ?? (globalThis as { process?: { env: Environment } }).process?.env ?? {};
  const text = environment[variable]?.trim();
  if (!text) throw new KeyError('key_unavailable', `The environment variable ${variable} is not set.`);
  const kid = environment[kidVariable]?.trim();
  const key: SigningKey = text.startsWith('{')
    ? parseKeyRecord(text, variable)
    : { alg: 'HS256', ...(kid ? { kid } : {}), secret: secretFromBase64url(text) };
  return { signingKey: () => key };
}
