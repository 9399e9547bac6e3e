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

/** Where keys of one source are read from, whatever that costs at the moment. */
interface Keys {
  /** The key, where the source is in memory and good. */
  peek(kid: string): EdgeKey | undefined;
  /** The key, after asking the source where that is due. Throws where nothing is known of the source. */
  seek(kid: string): Promise<EdgeKey | undefined>;
}

const MODULUS = { least: 2048, most: 8192 };
const SECRET_BYTES: Readonly<Record<string, number>> = { A128GCM: 16, A256GCM: 32 };

/** Who says what a kid is, where several do: the build before our own secrets before what others publish. */
const PRECEDENCE: Readonly<Record<KeySource['kind'], number>> = { jwks: 0, secret: 1, url: 2 };

/**
 * Makes the keys of all sources findable. What is in memory is looked at first, so that a source which is down harms no
 * other. A kid should be in one source only; of several publishers, the one that is configured first has it.
 *
 * @throws TypeError for a source that no request could be answered with: a bad address, an unreadable baked-in set.
 */
export function createKeyRing(sources: readonly KeySource[], ports: KeyPorts): KeyRing {
  const all = [...sources]
    .sort((one, other) => PRECEDENCE[one.kind] - PRECEDENCE[other.kind])
    .map((source) => keysFrom(source, ports));
  const asked = async (kid: string, use: 'verify' | 'decrypt'): Promise<EdgeKey | undefined> => {
    let fault: unknown;
    for (const keys of all) {
      try {
        const found = fitting(await keys.seek(kid), use);
        if (found) return found;
      } catch (error) {
        fault ??= error;
      }
    }
    if (fault !== undefined) throw fault;
    return undefined;
  };
  return {
    find: (kid, use) => {
      for (const keys of all) {
        const found = fitting(keys.peek(kid), use);
        if (found) return found;
      }
      return asked(kid, use);
    },
  };
}

/** A key that is for this use; a secret for MACs never opens anything, nor the other way round. */
function fitting(key: EdgeKey | undefined, use: 'verify' | 'decrypt'): EdgeKey | undefined {
  return key && key.algorithm in SECRET_BYTES === (use === 'decrypt') ? key : undefined;
}

function keysFrom(source: KeySource, ports: KeyPorts): Keys {
  if (source.kind === 'jwks') {
    const keys = readKeySet(source.jwks, source, 'public');
    return { peek: (kid) => keys.get(kid), seek: () => Promise.resolve(undefined) };
  }
  const now = ports.now ?? Date.now;
  if (source.kind === 'url') {
    const load = fetchJwks(source, ports.fetch);
    return createCachedKeys({
      load: async () => readKeySet(await load(), source, 'public'),
      settings: source,
      now: () => now() / 1000,
      onFault: (message) => ports.onKeyFault?.({ source: source.url, message }),
    });
  }
  const { readSecret } = ports;
  if (!readSecret) throw new TypeError(`The secret ${source.secret} cannot be read: no reader was given.`);
  return createCachedKeys({
    load: async () => readKeySet(JSON.parse(await readSecret(source)), source, 'secret'),
    settings: source,
    now: () => now() / 1000,
    onFault: (message) => ports.onKeyFault?.({ source: source.secret, message }),
  });
}

/**
 * The usable keys of a JWK set (RFC 7517 5), the first of each kid. Keys of other kinds or for other uses are left out,
 * as the standard says.
 *
 * @param kind Public keys alone, or secrets alone: nobody's published key is ever taken for a secret.
 * @throws TypeError when it is no JWK set, or one with more than {@link MAXIMUM_KEYS} keys.
 */
export function readKeySet(
  set: unknown,
  source: KeyBinding & { readonly rsa?: 'PS256' | 'RS256' | undefined },
  kind: 'public' | 'secret',
): KeysById {
  const list = (set as { keys?: unknown } | null | undefined)?.keys;
  if (!Array.isArray(list)) throw new TypeError('Expected a JWK set: {"keys": […]} (RFC 7517 5).');
  if (list.length > MAXIMUM_KEYS)
    throw new TypeError(`Expected a JWK set of at most ${MAXIMUM_KEYS} keys; it has ${list.length}.`);
  const keys = new Map<string, EdgeKey>();
  for (const jwk of list as (JsonWebKey | null)[]) {
    if (typeof jwk !== 'object' || jwk === null) continue;
    const key = kind === 'public' ? publicKey(jwk, source) : secretKey(jwk, source);
    if (key && !keys.has(key.kid)) keys.set(key.kid, key);
  }
  return keys;
}

function publicKey(
  jwk: JsonWebKey,
  source: KeyBinding & { readonly rsa?: 'PS256' | 'RS256' | undefined },
): EdgeKey | undefined {
  const { kty, crv, x, y, n, e, d, use, key_ops: operations } = jwk;
  const algorithm = publicKeyAlgorithm(jwk, source.rsa);
  // A private key that is published is nobody's any more.
  if (!algorithm || d !== undefined || (use !== undefined && use !== 'sig')) return undefined;
  if (Array.isArray(operations) && !operations.includes('verify')) return undefined;
  try {
    const key = createPublicKey({
      key: { kty, crv, x, y, n, e } as JsonWebKey,
      format: 'jwk',
    });
    return isSound(key) ? edgeKey(jwk, algorithm, key, source) : undefined;
  } catch {
    return undefined;
  }
}

/** What a key is for: what its curve says, and its `alg`, which must not say otherwise. */
export function publicKeyAlgorithm(
  { kty, crv, alg }: JsonWebKey,
  rsa?: 'PS256' | 'RS256',
): Exclude<Algorithm, 'HS256'> | undefined {
  const named = alg === 'Ed25519' ? 'EdDSA' : alg;
  if (kty === 'RSA') return named === 'PS256' || named === 'RS256' ? named : named === undefined ? rsa : undefined;
  const natural =
    kty === 'EC'
      ? ({ 'P-256': 'ES256', 'P-384': 'ES384' } as const)[crv as 'P-256']
      : kty === 'OKP' && crv === 'Ed25519'
        ? 'EdDSA'
        : undefined;
  return named === undefined || named === natural ? natural : undefined;
}

/** RSA keys are long enough to be safe (RFC 7518 3.3) and short enough to be checked in no time. */
export function isSound(key: KeyObject): boolean {
  const length = key.asymmetricKeyDetails?.modulusLength;
  return length === undefined || (length >= MODULUS.least && length <= MODULUS.most);
}

function secretKey(jwk: JsonWebKey, source: KeyBinding): EdgeKey | undefined {
  const { kty, alg, k } = jwk;
  if (kty !== 'oct' || typeof k !== 'string') return undefined;
  const bytes = Buffer.from(k, 'base64url');
  if (bytes.toString('base64url') !== k) return undefined;
  if (alg === 'HS256') return bytes.length >= 32 ? edgeKey(jwk, alg, createSecretKey(bytes), source, k) : undefined;
  return (alg === 'A128GCM' || alg === 'A256GCM') && bytes.length === SECRET_BYTES[alg]
    ? edgeKey(jwk, alg, createSecretKey(bytes), source)
    : undefined;
}

function edgeKey(
  jwk: JsonWebKey,
  algorithm: EdgeKey['algorithm'],
  key: KeyObject,
  { iss, paths }: KeyBinding,
  k?: string,
): EdgeKey | undefined {
  const kid: unknown = jwk['kid'] ?? '';
  if (typeof kid !== 'string') return undefined;
  return { kid, algorithm, key, record: JSON.stringify({ alg: algorithm, k, iss, paths }) };
}
