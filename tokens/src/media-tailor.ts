/** Tokens for server-side ads by AWS Elemental MediaTailor behind the same distribution. */
import { PolicyError } from './errors.js';
import { defaultTokenName, splitUrl, withQueryParameter } from './placement.js';
import type { PathRule, PlaybackPolicy } from './policy.js';
import type { SignedPlaybackUrl, SignedToken, Signer } from './signer.js';

/** A MediaTailor playback configuration, as it stands in its URLs: `/v1/master/<account>/<name>/…`. */
export interface MediaTailorConfiguration {
  /** Account or customer hash. */
  readonly account: string;
  readonly name: string;
  /** Prefixes of the content segments, which the manifests name beside MediaTailor's own paths: `/live/ch1/`. */
  readonly contentPaths: readonly [`/${string}/`, ...`/${string}/`[]];
}

export interface MediaTailorPlayback {
  /** Player parameters for the ad server, sent as `ads.<name>`. */
  readonly ads?: Readonly<Record<string, string>>;
  /** Query parameter with the token. Default `CAT`; the distribution must look for it. */
  readonly parameter?: string;
}

/** The path rule that admits a session's manifests, segments, tracking, and its content. */
export function mediaTailorPaths({ account, name, contentPaths }: MediaTailorConfiguration): PathRule {
  for (const [field, value] of [
    ['account', account],
    ['name', name],
  ] as const) {
    if (!/^[A-Za-z0-9_-]+$/.test(value))
      throw new PolicyError(`configuration.${field}`, 'letters, digits, - and _', value);
  }
  for (const path of contentPaths) {
    if (!/^\/(?:[\w.~-]+\/)*$/.test(path))
      throw new PolicyError('configuration.contentPaths', "plain prefixes that start and end with '/'", path);
  }
  const own = `/v1/[a-z-]+/${account}/${name}/`;
  return { regex: `^(${[own, ...contentPaths.map((path) => path.replaceAll('.', '\\.'))].join('|')})` };
}

/**
 * Signs the URL that starts a session implicitly (`/v1/master/…` or `/v1/dash/…`): `ads.*` parameters are kept and
 * added, and the token goes in twice, as `CAT` for this request and as `manifest.CAT`, which MediaTailor writes into
 * the URLs of the session's manifests (to be enabled by AWS Support). Its content segments get none that way: give
 * those a cookie, or send manifests through the rewriter.
 *
 * @param signer One whose placement is `query` or `cookie`: a path token does not survive MediaTailor's own URLs.
 * @throws PolicyError for parameters that MediaTailor would not take.
 */
export async function signMediaTailorUrl(
  signer: Signer,
  url: string,
  configuration: MediaTailorConfiguration,
  policy: Omit<PlaybackPolicy, 'paths'> &
    ({ expiresIn: NonNullable<PlaybackPolicy['expiresIn']> } | { expiresAt: PlaybackPolicy['expiresAt'] & {} }),
  playback: MediaTailorPlayback = {},
): Promise<SignedPlaybackUrl> {
  const { parameter = defaultTokenName } = playback;
  const withAds = addAdsParameters(url, playback.ads ?? {});
  const signed = await signer.signPlaybackUrl(withAds, {
    ...policy,
    paths: mediaTailorPaths(configuration),
  } as PlaybackPolicy);
  const { origin, path, query, fragment } = splitUrl(signed.url);
  return {
    ...signed,
    url: origin + path + withQueryParameter(query, `manifest.${parameter}`, signed.token) + fragment,
  };
}

/** What to send to start a session explicitly: POST `body` to `/v1/session/…`. */
export interface MediaTailorSession {
  readonly body: {
    readonly adsParams: Readonly<Record<string, string>>;
    readonly manifestParams: Readonly<Record<string, string>>;
  };
  readonly signed: SignedToken;
}

/** The same for a session that is started by `POST /v1/session/…`, whose answer names manifest and tracking URLs. */
export async function signMediaTailorSession(
  signer: Signer,
  configuration: MediaTailorConfiguration,
  policy: Parameters<typeof signMediaTailorUrl>[3],
  playback: MediaTailorPlayback = {},
): Promise<MediaTailorSession> {
  const { parameter = defaultTokenName, ads = {} } = playback;
  checkAds(ads);
  const signed = await signer.sign({ ...policy, paths: mediaTailorPaths(configuration) } as Parameters<
    Signer['sign']
  >[0]);
  return { body: { adsParams: { ...ads }, manifestParams: { [parameter]: signed.token } }, signed };
}

/** Adds `ads.<name>` parameters; those that the URL already has by that name are replaced, everything else stays as written. */
export function addAdsParameters(url: string, ads: Readonly<Record<string, string>>): string {
  checkAds(ads);
  const { origin, path, query, fragment } = splitUrl(url);
  let extended = query;
  for (const [name, value] of Object.entries(ads))
    extended = withQueryParameter(extended, `ads.${name}`, encodeURIComponent(value));
  return origin + path + extended + fragment;
}

function checkAds(ads: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(ads)) {
    if (!/^[A-Za-z0-9_.-]{1,100}$/.test(name))
      throw new PolicyError('ads', 'names of letters, digits, . _ and -', name);
    if (typeof value !== 'string' || value.length > 2000)
      throw new PolicyError(`ads.${name}`, 'text of at most 2,000 characters', value);
  }
}
