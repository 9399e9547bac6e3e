import { decodeBase64url, encodeBase64url } from './base64url.js';
import type { Claims } from './claims.js';
import { tokenCookie } from './cookies.js';
import { normalisePath } from './core/uri.js';
import { durationSeconds, type Duration } from './duration.js';
import { encryptToken, type EncryptionKey } from './encrypt.js';
import { PlacementError, PolicyError } from './errors.js';
import type { CatAlgorithm, JwtAlgorithm, SignatureAlgorithm, SigningKey } from './keys.js';
import { placeToken, splitUrl, type Placement, type UrlParts } from './placement.js';
import type { NonEmpty, OneOrMore, PlaybackPolicy, Policy, PolicyWarning } from './policy.js';
import { policyClaims } from './policy-claims.js';
import { prepareKey, type PreparedKey } from './prepared-key.js';
import { createRandomPool, type RandomSource } from './random.js';
import { signCatPrepared, signJwtPrepared } from './sign.js';

/** Where a signer gets the key it signs with now. Providers are separate entry points: `@portcullis/tokens/keys/…`. */
export interface KeyProvider<A extends SignatureAlgorithm = SignatureAlgorithm> {
  /**
   * The current key. Called for every token: answer from memory. The same object must be returned until the key
   * changes, since preparation is cached by identity.
   *
   * @throws KeyError `key_unavailable` or `stale_key`.
   */
  signingKey(): SigningKey<A> | Promise<SigningKey<A>>;
}

/** Options of {@link createSigner} whatever the format. */
export interface SignerOptions {
  /** `iss`: who mints. `null` on purpose: no issuer, which recipients that list issuers refuse. */
  readonly issuer: string | null;
  /** `aud` where a policy names none. */
  readonly audience?: OneOrMore<string>;
  /** Where tokens travel. Default: first path segment, which every player and every relative URL inherits. */
  readonly placement?: Placement;
  /** Default length of a session, over all its renewals. Default `'12h'`; `null`: none. */
  readonly sessionLength?: Duration | null;
  /** Take up to 10 % (5 minutes at most) off relative lifetimes at random. Default true. */
  readonly jitter?: boolean;
  /** Seconds that `nbf` is backdated. Default 30. */
  readonly clockSkew?: number;
  /** Put exact addresses into `catnip`, against CTA-5007-B 4.6.9. The recipient must be configured for it, too. */
  readonly exactAddresses?: boolean;
  /**
   * Encrypts every token after signing it. Then exact addresses, coordinates and long geohashes may stand in it; only
   * Lambda@Edge opens it.
   */
  readonly encryption?: EncryptionKey;
  /** Called for each warning; they are in the result, too. */
  readonly onWarning?: (warning: PolicyWarning) => void;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: () => number;
  /** Default: the platform's `crypto.getRandomValues`. */
  readonly random?: RandomSource;
}

export interface CatSignerOptions extends SignerOptions {
  /** `cat`: Common Access Token (CTA-5007-B). The default. */
  readonly format?: 'cat';
  readonly key: SigningKey<CatAlgorithm> | KeyProvider;
}

export interface JwtSignerOptions extends SignerOptions {
  readonly format: 'jwt';
  readonly key: SigningKey<JwtAlgorithm> | KeyProvider;
}

/** A token, and what is known about it. Log `tokenId` and `session`, never `token`. */
export interface SignedToken {
  readonly token: string;
  /** `cti` or `jti` in base64url: what `portcullis revoke token` takes. */
  readonly tokenId: string;
  /** Handle that survives renewals, in base64url: what `portcullis revoke session` takes. */
  readonly session: string;
  /** Undefined for a token that never ends. */
  readonly expiresAt: Date | undefined;
  /** End of the session, beyond which nothing renews. */
  readonly sessionEndsAt: Date | undefined;
  readonly claims: Claims;
  readonly warnings: readonly PolicyWarning[];
}

/** A playback URL that carries its token, or what must accompany it. */
export interface SignedPlaybackUrl extends SignedToken {
  readonly url: string;
  /** Set-Cookie values, for placement `cookie`. */
  readonly cookies: readonly string[];
  /** Request headers for the player, for placements `header` and `authorization`. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Signer {
  /**
   * Makes a token.
   *
   * @throws PolicyError for a policy that makes no sound token; KeyError when the key is missing or unfit.
   */
  sign(policy: Policy): Promise<SignedToken>;
  /**
   * Makes a token and puts it where the player will carry it.
   *
   * @param url Absolute http(s) URL or absolute path of what is played, without a token.
   * @throws PlacementError `url_outside_policy` when the policy would not admit that very URL.
   */
  signPlaybackUrl(url: string | URL, policy: PlaybackPolicy): Promise<SignedPlaybackUrl>;
}

/**
 * Makes a signer, once per process: it prepares the key and keeps it.
 *
 * @throws KeyError at once for a key that is too short or of the wrong kind.
 * @example
 * ```ts
 * const signer = createSigner({ issuer: 'cms', key: { alg: 'HS256', kid: 'k1', secret } });
 * const { url } = await signer.signPlaybackUrl('https://cdn.example/live/ch1/main.m3u8', { expiresIn: '2h' });
 * ```
 */
export function createSigner(options: CatSignerOptions | JwtSignerOptions): Signer {
  const {
    issuer,
    placement = { kind: 'path', mode: 'first' },
    jitter = true,
    clockSkew = 30,
    exactAddresses = false,
    audience,
    encryption,
  } = options;
  if (issuer !== null && (typeof issuer !== 'string' || issuer === ''))
    throw new PolicyError('issuer', 'a name, or null on purpose', issuer);
  if (!(clockSkew >= 0 && clockSkew <= 3600)) throw new PolicyError('clockSkew', 'seconds, 0 to 3600', clockSkew);
  const sessionLength =
    options.sessionLength === null ? null : durationSeconds(options.sessionLength ?? '12h', 'sessionLength');
  const clock = options.clock ?? Date.now;
  const random = createRandomPool(options.random);
  const currentKey = keySource(options.key as SigningKey | KeyProvider);
  const signClaims = options.format === 'jwt' ? signJwtPrepared : signCatPrepared;

  async function sign(policy: Policy): Promise<SignedToken> {
    const warnings: PolicyWarning[] = [];
    const entropy = random(34);
    const tokenId = encodeBase64url(entropy, 0, 16);
    const session = policy.session === undefined ? encodeBase64url(entropy, 16, 32) : sessionHandle(policy.session);
    const claims = policyClaims(policy, {
      now: Math.floor(clock() / 1000),
      issuer,
      audience,
      tokenId,
      session,
      jitter:
        jitter && policy.expiresIn !== undefined
          ? (((entropy[32] as number) << 8) | (entropy[33] as number)) / 65536
          : 0,
      clockSkew,
      sessionLength,
      exactAddresses,
      encrypted: encryption !== undefined,
      warn: (warning) => {
        warnings.push(warning);
        options.onWarning?.(warning);
      },
    });
    const key = currentKey();
    const signed = signClaims(claims, key instanceof Promise ? await key : key);
    const token = typeof signed === 'string' ? signed : await signed;
    return {
      token: encryption ? await encryptToken(token, encryption) : token,
      tokenId,
      session,
      expiresAt: claims.exp === undefined ? undefined : new Date(claims.exp * 1000),
      sessionEndsAt: claims.sxp === undefined ? undefined : new Date(claims.sxp * 1000),
      claims,
      warnings,
    };
  }

  return {
    sign,
    async signPlaybackUrl(url, policy) {
      const address = typeof url === 'string' ? url : url.href;
      const parts = normalParts(address);
      const complete =
        policy.paths === undefined ? ({ ...policy, paths: directoryOf(parts) } as Policy) : (policy as Policy);
      checkAdmitted(parts, complete);
      // A URL that cannot be placed must not cost a token.
      placeToken(address, '', placement);
      const signed = await sign(complete);
      const placed = placeToken(address, signed.token, placement);
      const lifetime = signed.claims.exp === undefined ? undefined : signed.claims.exp - Math.floor(clock() / 1000);
      const cookies =
        placement.kind === 'cookie' ? [tokenCookie(signed.token, placement, cookieScope(complete), lifetime)] : [];
      return {
        url: placed.url,
        token: signed.token,
        tokenId: signed.tokenId,
        session: signed.session,
        expiresAt: signed.expiresAt,
        sessionEndsAt: signed.sessionEndsAt,
        cookies,
        headers: placed.headers,
        claims: signed.claims,
        warnings: signed.warnings,
      };
    },
  };
}

/** Prepares each key object once. */
function keySource(given: SigningKey | KeyProvider): () => PreparedKey | Promise<PreparedKey> {
  if (!('signingKey' in given)) {
    let prepared = prepareKey(given);
    if (prepared instanceof Promise) {
      const pending = prepared;
      // The first `sign` reports a bad key; until then nobody is listening.
      pending.then((key) => (prepared = key)).catch(() => undefined);
    }
    return () => prepared;
  }
  const cache = new WeakMap<object, PreparedKey | Promise<PreparedKey>>();
  const prepare = (key: SigningKey): PreparedKey | Promise<PreparedKey> => {
    const known = cache.get(key);
    if (known) return known;
    const prepared = prepareKey(key);
    cache.set(key, prepared);
    return prepared;
  };
  return () => {
    const key = given.signingKey();
    return key instanceof Promise ? key.then(prepare) : prepare(key);
  };
}

/** The URL as the edge reads it; one that the edge would refuse as ambiguous is refused here. */
function normalParts(address: string): UrlParts {
  const parts = splitUrl(address);
  try {
    return { ...parts, path: normalisePath(parts.path) };
  } catch {
    throw new PlacementError(
      'invalid_url',
      `The path ${parts.path.slice(0, 200)} can be read in more than one way (empty or dot segments, stray escapes): the edge refuses it.`,
    );
  }
}

function sessionHandle(session: string): string {
  const bytes = decodeBase64url(session);
  if (bytes?.length !== 16)
    throw new PolicyError('session', '16 bytes in base64url, as an earlier token of the session had');
  return encodeBase64url(bytes);
}

/** The folder a playlist is in: what `paths` is where a playback policy names none. */
function directoryOf({ path }: UrlParts): `/${string}/` {
  return path.slice(0, path.lastIndexOf('/') + 1) as `/${string}/`;
}

/** A URL that its own token would not open is a mistake in the policy, and better found here than by a viewer. */
function checkAdmitted({ origin, path }: UrlParts, policy: Policy): void {
  if (policy.paths !== null) {
    const rules = (Array.isArray(policy.paths) ? policy.paths : [policy.paths]) as NonEmpty<
      Exclude<Policy['paths'], null | readonly unknown[]>
    >;
    const admitted = rules.some((rule) => {
      if (typeof rule === 'string') return path.startsWith(rule);
      const { exact, prefix } = rule as { exact?: string; prefix?: string };
      return (exact === undefined || exact === path) && (prefix === undefined || path.startsWith(prefix));
    });
    if (!admitted) throw new PlacementError('url_outside_policy', `The policy's paths do not admit ${path}.`);
  }
  if (policy.hosts !== undefined && origin !== '') {
    const host = origin
      .replace(/^(?:https?:)?\/\//i, '')
      .replace(/:\d+$/, '')
      .toLowerCase();
    const rules = Array.isArray(policy.hosts) ? policy.hosts : [policy.hosts];
    if (rules.every((rule) => typeof rule === 'string') && !rules.some((rule) => rule.toLowerCase() === host)) {
      throw new PlacementError('url_outside_policy', `The policy's hosts do not admit ${host}.`);
    }
  }
}

/** The one prefix that the token opens, else the whole host. */
function cookieScope({ paths }: Policy): string {
  if (typeof paths === 'string') return paths;
  if (paths !== null && !Array.isArray(paths) && 'prefix' in paths && typeof paths.prefix === 'string') {
    return paths.prefix.slice(0, paths.prefix.lastIndexOf('/') + 1);
  }
  return '/';
}
