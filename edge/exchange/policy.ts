import type { Placement } from '@portcullis/tokens';

/** What an exchanged token is made from: plain values, which the build bakes into the handler. */
export interface ExchangePolicy {
  /** `same`: a CAT for a CAT, a JWT for a JWT. */
  readonly format: 'same' | 'cat' | 'jwt';
  /** Longest life of an exchanged token in seconds. */
  readonly lifetime: number;
  /** Longest life of the session in seconds, from the exchange; absent: what the original says. */
  readonly session?: number | undefined;
  /** Binds the token to the viewer's /24 or /56. */
  readonly network: boolean;
  /** Binds the token to the country that CloudFront sees the viewer in. */
  readonly country: boolean;
  /** A viewer whose country CloudFront does not tell, where `country` is set: refused, or let in with no country bound. */
  readonly unplaced: 'refuse' | 'allow';
  /** `folder`: narrows the paths to the folder of the start URL. */
  readonly paths: 'keep' | 'folder';
  /** Methods that remain; absent: those of the original. */
  readonly methods?: readonly string[] | undefined;
  /** Whether the edge may renew the exchanged token where the original asks for it (`catr`). */
  readonly renewal: 'keep' | 'drop';
  /**
   * Tokens that demand proof of possession: refused, since an exchanged token cannot; or taken where the start is proved,
   * and a bearer token from there on, which is less than the original demands.
   */
  readonly proof: 'refuse' | 'start';
  /** Claim names that the viewer function decides on; a token with others is not exchanged. */
  readonly understood: readonly string[];
}

/** How the exchanged token reaches the player. */
export interface DeliverySettings {
  /** `cookie`: with a fallback to the path where the cookie does not come back. */
  readonly by: 'redirect' | 'cookie';
  /** Path placements of the viewer function; the first that fits the path is used. */
  readonly paths: readonly Extract<Placement, { kind: 'path' }>[];
  readonly cookie?: Extract<Placement, { kind: 'cookie' }> | undefined;
  readonly status: 302 | 303 | 307;
}
