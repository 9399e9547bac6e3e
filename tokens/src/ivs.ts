/** Playback tokens of Amazon Interactive Video Service: JWTs signed with ES384, checked by IVS itself. */
import { durationSeconds, momentSeconds, type Duration, type Moment } from './duration.js';
import { PolicyError } from './errors.js';
import type { PrivateKey } from './keys.js';
import { withQueryParameter, splitUrl } from './placement.js';
import { prepareKey, type PreparedKey } from './prepared-key.js';
import { encodeBase64url } from './base64url.js';

export interface IvsAds {
  /** No ads for this viewer. */
  readonly optOut?: boolean;
  /** Reaches MediaTailor as `player_params.*`; at most 1,000 bytes of JSON in all. */
  readonly playerParams?: Readonly<Record<string, string>>;
  /** Who reports ad events. */
  readonly reportingMode?: 'CLIENT' | 'SERVER';
}

/** What an IVS playback token admits. */
export type IvsPolicy = {
  readonly channelArn: `arn:${string}:ivs:${string}:${string}:channel/${string}`;
  /** Web origins that may embed the player; a host may begin with `*`. Absent: any. */
  readonly allowedOrigins?: readonly [string, ...string[]];
  /** Every request, not only the first, must come from an allowed origin. At most 5 then. */
  readonly strictOriginEnforcement?: boolean;
  /** Makes the token good for one viewing. A UUID; the token then lives 10 minutes at most. */
  readonly singleUseUuid?: string;
  /** Names the viewer for revocation: at most 40 characters, no personal data. The token then lives 10 minutes at most. */
  readonly viewerId?: string;
  /** Only with `viewerId`: revoking a version leaves later ones alone. */
  readonly viewerSessionVersion?: number;
  readonly maximumResolution?: 'SD' | 'HD' | 'FULL_HD';
  readonly ads?: IvsAds;
} & (
  | { readonly expiresIn: Duration; readonly expiresAt?: never }
  | { readonly expiresAt: Moment; readonly expiresIn?: never }
);

export interface IvsSigner {
  /**
   * @throws PolicyError naming the field that IVS would refuse.
   */
  sign(policy: IvsPolicy): Promise<{ token: string; expiresAt: Date }>;
  /** The playback URL of the channel with the token in `?token=`. */
  signPlaybackUrl(url: string, policy: IvsPolicy): Promise<{ url: string; token: string; expiresAt: Date }>;
}

const resolutions = ['SD', 'HD', 'FULL_HD'];
const shortLivedSeconds = 600;
const maximumPlayerParamsBytes = 1000;

/**
 * Signs playback tokens for private IVS channels.
 *
 * @throws KeyError from the first `sign` when the key is no P-384 private key.
 * @example
 * ```ts
 * const ivs = createIvsSigner({ key: { alg: 'ES384', privateKey: pem } });
 * const { url } = await ivs.signPlaybackUrl(playbackUrl, { channelArn, expiresIn: '10m', viewerId: 'v-123' });
 * ```
 */
export function createIvsSigner(options: {
  readonly key: PrivateKey<'ES384'>;
  readonly clock?: () => number;
}): IvsSigner {
  const clock = options.clock ?? Date.now;
  let prepared: PreparedKey | Promise<PreparedKey> | undefined;

  async function sign(policy: IvsPolicy): Promise<{ token: string; expiresAt: Date }> {
    const claims = ivsClaims(policy, Math.floor(clock() / 1000));
    const key = await (prepared ??= prepareKey(options.key));
    const head = encodeJson({ alg: 'ES384', typ: 'JWT' });
    const input = `${head}.${encodeJson(claims)}`;
    const signature = await key.sign(new TextEncoder().encode(input));
    return { token: `${input}.${encodeBase64url(signature)}`, expiresAt: new Date(claims.exp * 1000) };
  }

  return {
    sign,
    async signPlaybackUrl(url, policy) {
      const { origin, path, query, fragment } = splitUrl(url);
      const { token, expiresAt } = await sign(policy);
      return { url: origin + path + withQueryParameter(query, 'token', token) + fragment, token, expiresAt };
    },
  };
}

/** Claims as IVS names them. */
export function ivsClaims(
  policy: IvsPolicy,
  now: number,
): Readonly<Record<string, unknown>> & { readonly exp: number } {
  const claims: Record<string, unknown> = {};
  if (!/^arn:aws[a-z-]*:ivs:[a-z0-9-]+:\d{12}:channel\/[a-zA-Z0-9-]+$/.test(policy.channelArn)) {
    throw new PolicyError('channelArn', 'the ARN of an IVS channel', policy.channelArn);
  }
  claims['aws:channel-arn'] = policy.channelArn;
  if (policy.allowedOrigins !== undefined)
    claims['aws:access-control-allow-origin'] = origins(policy.allowedOrigins, policy.strictOriginEnforcement === true);
  if (policy.strictOriginEnforcement !== undefined) {
    if (policy.strictOriginEnforcement && policy.allowedOrigins === undefined)
      throw new PolicyError('strictOriginEnforcement', 'allowedOrigins beside it');
    claims['aws:strict-origin-enforcement'] = boolean(policy.strictOriginEnforcement, 'strictOriginEnforcement');
  }
  if (policy.singleUseUuid !== undefined) {
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(policy.singleUseUuid))
      throw new PolicyError('singleUseUuid', 'a UUID', policy.singleUseUuid);
    claims['aws:single-use-uuid'] = policy.singleUseUuid;
  }
  if (policy.viewerId !== undefined) {
    if (typeof policy.viewerId !== 'string' || policy.viewerId === '' || policy.viewerId.length > 40)
      throw new PolicyError('viewerId', 'text of 1 to 40 characters', policy.viewerId);
    claims['aws:viewer-id'] = policy.viewerId;
  }
  if (policy.viewerSessionVersion !== undefined) {
    if (policy.viewerId === undefined) throw new PolicyError('viewerSessionVersion', 'viewerId beside it');
    if (!Number.isSafeInteger(policy.viewerSessionVersion) || policy.viewerSessionVersion < 0)
      throw new PolicyError('viewerSessionVersion', 'a whole number from 0', policy.viewerSessionVersion);
    claims['aws:viewer-session-version'] = policy.viewerSessionVersion;
  }
  if (policy.maximumResolution !== undefined) {
    if (!resolutions.includes(policy.maximumResolution))
      throw new PolicyError('maximumResolution', resolutions.join(', '), policy.maximumResolution);
    claims['aws:maximum-resolution'] = policy.maximumResolution;
  }
  if (policy.ads !== undefined) Object.assign(claims, adsClaims(policy.ads));
  return { ...claims, exp: expiry(policy, now) };
}

function expiry(policy: IvsPolicy, now: number): number {
  if ((policy.expiresIn === undefined) === (policy.expiresAt === undefined))
    throw new PolicyError('expiresIn', 'either expiresIn or expiresAt');
  const exp =
    policy.expiresIn !== undefined
      ? now + durationSeconds(policy.expiresIn, 'expiresIn')
      : momentSeconds(policy.expiresAt as Moment, 'expiresAt');
  if (exp <= now) throw new PolicyError('expiresAt', 'a moment in the future', policy.expiresAt);
  if ((policy.viewerId !== undefined || policy.singleUseUuid !== undefined) && exp - now > shortLivedSeconds) {
    throw new PolicyError(
      'expiresIn',
      'at most 10 minutes with viewerId or singleUseUuid',
      policy.expiresIn ?? policy.expiresAt,
    );
  }
  return exp;
}

function origins(list: readonly string[], strict: boolean): string {
  if (list.length === 0) throw new PolicyError('allowedOrigins', 'at least one origin');
  if (strict && list.length > 5)
    throw new PolicyError('allowedOrigins', 'at most 5 origins with strictOriginEnforcement', list.length);
  for (const origin of list) {
    if (!/^https?:\/\/(?:\*\.)?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i.test(origin)) {
      throw new PolicyError(
        'allowedOrigins',
        'origins such as https://www.example.com or https://*.example.com',
        origin,
      );
    }
  }
  return list.join(',');
}

function adsClaims(ads: IvsAds): Record<string, unknown> {
  const claims: Record<string, unknown> = {};
  if (ads.optOut !== undefined) claims['aws:ads-opt-out'] = boolean(ads.optOut, 'ads.optOut');
  if (ads.playerParams !== undefined) {
    for (const [name, value] of Object.entries(ads.playerParams)) {
      if (typeof value !== 'string') throw new PolicyError(`ads.playerParams.${name}`, 'text', value);
    }
    const size = new TextEncoder().encode(JSON.stringify(ads.playerParams)).length;
    if (size > maximumPlayerParamsBytes)
      throw new PolicyError('ads.playerParams', `at most ${maximumPlayerParamsBytes} bytes of JSON`, size);
    claims['aws:ads-player-params'] = { ...ads.playerParams };
  }
  if (ads.reportingMode !== undefined) {
    if (ads.reportingMode !== 'CLIENT' && ads.reportingMode !== 'SERVER')
      throw new PolicyError('ads.reportingMode', 'CLIENT or SERVER', ads.reportingMode);
    claims['aws:ads-reporting-mode'] = ads.reportingMode;
  }
  return claims;
}

function boolean(value: boolean, path: string): boolean {
  if (typeof value !== 'boolean') throw new PolicyError(path, 'true or false', value);
  return value;
}

function encodeJson(value: unknown): string {
  return encodeBase64url(new TextEncoder().encode(JSON.stringify(value)));
}
