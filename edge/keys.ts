import { createPublicKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { Algorithm } from '@portcullis/tokens/core/token';
import { createCachedKeys } from './cached-keys.js';
import { fetchJwks } from './fetch-jwks.js';
import type { EdgeKey } from './signature.js';

/** What the tokens of a key may say and open; copied into its record (CTA-5007-B 4.6.1, 4.10.2). */
export interface KeyBinding {
  /** The `iss` of its tokens; absent: any. */
  readonly iss?: readonly string[] | undefined;
  /** The paths it is good for, whole segments; absent: any. */
  readonly paths?: readonly string[] | undefined;
}

/** Keys that change only with the build: public ones, since a package is no place for secrets. */
export interface BakedKeys extends KeyBinding {
  readonly kind: 'jwks';
  readonly jwks: unknown;
  /** What an RSA key without `alg` is for; absent: such keys are left out. */
  readonly rsa?: 'PS256' | 'RS256' | undefined;
}

/** How long fetched keys are good for. All times are in seconds. */
export interface CacheSettings {
  /** Age from which keys are fetched again while the old ones serve. Default 300. */
  readonly refreshAfter?: number | undefined;
  /** Age until which old keys serve while fetching fails; then requests are answered 503. Default 86,400. */
  readonly staleFor?: number | undefined;
  /** Shortest time between two fetches that unknown kids ask for. Default 30. */
  readonly unknownKidInterval?: number | undefined;
  /** Time after a failure before the next fetch. Default 5. */
  readonly retryAfter?: number | undefined;
}

/** Public keys at an issuer's address. */
export interface RemoteKeys extends KeyBinding, CacheSettings {
  readonly kind: 'url';
  /** `https://issuer.example/.well-known/jwks.json`; `http` on loopback alone. */
  readonly url: string;
  readonly rsa?: 'PS256' | 'RS256' | undefined;
  /** Milliseconds for one fetch, from start to the last byte. Default 2,000. */
  readonly timeout?: number | undefined;
  /** Bytes of an answer that are read. Default 65,536. */
  readonly maximumBytes?: number | undefined;
}

/** Shared secrets: keys for HS256 tokens and for encrypted ones, as a JWK set of `oct` keys in a secret of Secrets Manager. */
export interface SecretKeys extends KeyBinding, CacheSettings {
  readonly kind: 'secret';
  /** ARN or name. */
  readonly secret: string;
  readonly region: string;
}

export type KeySource = BakedKeys | RemoteKeys | SecretKeys;

export interface KeyPorts {
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
  /** Default: the runtime's. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** The text of a secret. Needed where a source is one. */
  readonly readSecret?: ((source: SecretKeys) => Promise<string>) | undefined;
  /** Told of what goes wrong with a source, for a log line. */
  readonly onKeyFault?: ((fault: { readonly source: string; readonly message: string }) => void) | undefined;
}

export interface KeyRing {
  /**
   * The key under a kid, undefined where no source has it.
   *
   * @param use Whether it is to check signatures and MACs or to open encrypted tokens: no key does both.
   * @throws when a source that might have it has never answered, or not for too long.
   */
  find(kid: string, use: 'verify' | 'decrypt'): EdgeKey | undefined | Promise<EdgeKey | undefined>;
}

/** Keys of one source by kid. */
export type KeysById = ReadonlyMap<string, EdgeKey>;

/** Keys in one set; a set with more is refused as a whole. */
export const MAXIMUM_KEYS = 64;
