import type { Claims, RenewalClaim, TextMatch, UriComponent } from './claims.js';
import type { CountryOrRegion } from './countries.js';
import type { Duration, Moment } from './duration.js';

/**
 * What a path must look like. Text that ends in `/` is a prefix; anything else names its match, so that nobody
 * admits `/live-secret` by writing `/live`.
 */
export type PathRule =
  | `/${string}/`
  | '/'
  | { readonly prefix: `/${string}` }
  | { readonly exact: `/${string}` }
  | (OtherMatch & { readonly contains: string })
  | (OtherMatch & { readonly regex: string | readonly [string, ...(string | null)[]] })
  | (OtherMatch & { readonly suffix: string });

/** Without the two above, so that a template such as `/${channel}/` keeps its type. */
type OtherMatch = Omit<TextMatch, 'exact' | 'prefix'>;

/** A host name, exactly; or a match such as `{ suffix: '.example.com' }`. */
export type HostRule = string | TextMatch;

export type NonEmpty<T> = readonly [T, ...T[]];
export type OneOrMore<T> = T | NonEmpty<T>;

/** A network in CIDR form, or the viewer's address, which is widened to /24 or /56 (CTA-5007-B 4.6.9). */
export type NetworkRule = `${string}/${number}` | { readonly viewer: string };

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS';

/** `catr` in plain words: how the edge renews this token (CTA-5007-B 4.9.2). */
export type Renewal = {
  /** How much longer each renewal admits. */
  readonly extendBy: Duration;
  /** Renew only this shortly before the end; without it every request renews. */
  readonly within?: Duration;
} & (
  | { readonly by?: 'automatic' }
  | { readonly by: 'cookie'; readonly cookieName?: string; readonly attributes?: readonly string[] }
  | { readonly by: 'header'; readonly headerName?: string; readonly parameters?: readonly string[] }
  | { readonly by: 'redirect'; readonly status?: 301 | 302 | 303 | 307 | 308 }
);

/** What the edge answers to a request that comes too late: `catif` on `exp` (CTA-5007-B 4.9.1). */
export type ExpiredAnswer =
  | { readonly redirect: `https://${string}` | `/${string}`; readonly status?: 302 | 303 | 307 }
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> };

/** When a token ends: one of the two, never both; `null` must be written on purpose. */
export type Ending =
  | {
      /** Lifetime from now, shortened at random by up to 10 % (at most 5 minutes): a crowd's tokens do not end together. */
      readonly expiresIn: Duration;
      readonly expiresAt?: never;
    }
  | {
      /** The end as a moment, exactly; `null`: never (discouraged). */
      readonly expiresAt: Moment | null;
      readonly expiresIn?: never;
    };

/** When the session ends, whatever is renewed: one of the two, else the signer's default (12 hours). */
export type SessionEnding =
  | { readonly sessionEndsIn?: Duration; readonly sessionEndsAt?: never }
  | { readonly sessionEndsAt?: Moment | null; readonly sessionEndsIn?: never };

/** Everything of a policy that needs no decision from the caller. */
export interface PolicyOptions {
  /** Hosts that the token admits. Absent: any. */
  readonly hosts?: OneOrMore<HostRule>;
  readonly schemes?: OneOrMore<'https' | 'http'>;
  /** Further URI components (CTA-5007-B 4.6.10): `{ extension: { regex: '^\\.(m3u8|ts|mp4)$' } }`. */
  readonly uri?: Readonly<Partial<Record<Exclude<UriComponent, 'path' | 'host' | 'scheme'>, TextMatch>>>;
  /** Absent: any. */
  readonly methods?: NonEmpty<HttpMethod>;
  /** Countries (`GB`) and regions (`US-CA`), ISO 3166. Absent: anywhere. */
  readonly countries?: NonEmpty<CountryOrRegion>;
  /** Networks of the viewer. Addresses are widened; the result's `warnings` say so. */
  readonly networks?: OneOrMore<NetworkRule>;
  /** Autonomous systems: the viewer's internet provider. */
  readonly asns?: NonEmpty<number>;
  /** The viewer's `User-Agent`, exactly, or a match. */
  readonly userAgent?: string | TextMatch;
  /** Other request headers, by name: exactly, or a match. */
  readonly headers?: Readonly<Record<string, string | TextMatch>>;
  /** Geohash cells of at most four characters, about 39 km × 20 km; up to twelve in encrypted tokens (CTA-5007-B 4.6.16). */
  readonly geohash?: OneOrMore<string>;
  /** Protocols of the connection, as in ALPN. */
  readonly alpn?: NonEmpty<'h3' | 'h2' | 'http/1.1'>;
  /** Not admitted before. Backdated by the signer's clock skew. */
  readonly notBefore?: Moment | 'now';
  /** Keep this session (its 16-byte handle in base64url) instead of starting one: for renewals. */
  readonly session?: string;
  /** The account, best as a pseudonym: tokens can be read by anyone who holds them. */
  readonly subject?: string;
  readonly audience?: OneOrMore<string>;
  /** Let the edge renew the token. */
  readonly renewal?: Renewal;
  readonly onExpired?: ExpiredAnswer;
  /** Admit one use only (`catreplay` 1). The recipient needs a store of used tokens. */
  readonly oneTime?: boolean;
  /** RFC 7638 thumbprint of the key that must prove possession (DPoP, RFC 9449), base64url. */
  readonly proofKey?: string;
  /** Claims that this interface has no word for, by JSON name or integer label. They may not repeat what a word above sets. */
  readonly claims?: Claims;
}

/** What {@link Signer.sign} makes a token from. */
export type Policy = PolicyOptions &
  Ending &
  SessionEnding & {
    /** Paths that the token admits; `null`: any path, on purpose (discouraged). */
    readonly paths: OneOrMore<PathRule> | null;
  };

/** What {@link Signer.signPlaybackUrl} makes a token from: without `paths`, the folder that the URL is in. */
export type PlaybackPolicy = PolicyOptions &
  Ending &
  SessionEnding & {
    readonly paths?: OneOrMore<PathRule> | null;
  };

/** Something that works and that the standard, or experience, discourages. */
export interface PolicyWarning {
  readonly code:
    | 'no_expiry'
    | 'no_path'
    | 'identifying_subject'
    | 'prefix_without_slash'
    | 'network_widened'
    | 'long_lifetime'
    | 'exact_address'
    | 'no_session_end';
  /** Where in the policy. */
  readonly path: string;
  readonly message: string;
}

export type { Claims, RenewalClaim, TextMatch };
