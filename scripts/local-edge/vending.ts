import { createSigner, type Placement, type PlaybackPolicy } from '@portcullis/tokens';
import { createVendingService, memorySessions, type VendingHandler } from '@portcullis/tokens/vending';
import { z } from 'zod';
import type { DemoKeys } from './demo-keys.js';
import type { LocalStart } from './lambda-start.js';

/** Placements of the demo where no configuration says otherwise. */
export const defaultPlacements: readonly Placement[] = [
  { kind: 'path', mode: 'first' },
  { kind: 'query' },
  { kind: 'cookie' },
  { kind: 'header' },
];

/** The configured placement of the kind that is asked for. */
function placementOf({ placement, headerName }: VendRequest, offered: readonly Placement[]): Placement {
  const found = offered.find(({ kind }) => kind === placement);
  if (!found) {
    const kinds = [...new Set(offered.map(({ kind }) => kind))].join(', ');
    throw new RangeError(`placement: the functions are configured for ${kinds}, not for ${placement}`);
  }
  if (found.kind === 'cookie') return { ...found, sameSite: 'Lax' };
  return found.kind === 'header' && headerName !== undefined ? { ...found, name: headerName } : found;
}

/** What a page asks the vending service for. */
export const vendRequestSchema = z.strictObject({
  /** Content id: the path segment behind `/live/` or `/vod/`. */
  content: z
    .string()
    .regex(/^[\w.~-]{1,64}$/, 'letters, digits, . ~ - _')
    .default('ch1'),
  mode: z.enum(['live', 'vod']).default('live'),
  protocol: z.enum(['hls', 'dash']).default('hls'),
  format: z.enum(['cat', 'jwt']).default('cat'),
  placement: z.enum(['path', 'query', 'cookie', 'header']).default('path'),
  /** Header that carries the token, and its renewals: dash.js knows `Common-Access-Token` alone. */
  headerName: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'a header name')
    .optional(),
  /** Seconds that the token lives. */
  expiresIn: z.number().int().min(1).max(86_400).default(600),
  countries: z.array(z.string()).max(50).optional(),
  subject: z.string().max(128).optional(),
  /** Keep this session: for renewals. */
  session: z.string().optional(),
  /** Let the edge renew the token: `extendBy` and `within` in seconds. */
  renewal: z
    .strictObject({
      by: z.enum(['automatic', 'cookie', 'header', 'redirect']).default('automatic'),
      extendBy: z.number().int().min(1),
      within: z.number().int().min(1).optional(),
    })
    .optional(),
  sessionEndsIn: z.number().int().min(1).optional(),
  /** Starts with a public-key token, which Lambda@Edge exchanges. */
  start: z.literal('ES256').optional(),
  /** Good for one start alone (`catreplay` 1). */
  oneTime: z.boolean().optional(),
});

export type VendRequest = z.infer<typeof vendRequestSchema>;

/** What the page gets. */
export interface VendAnswer {
  /** Playback URL; absolute, on the edge's address. */
  readonly url: string;
  readonly token: string;
  readonly tokenId: string;
  readonly session: string;
  readonly kid: string;
  readonly expiresAt: string | undefined;
  /** Request headers the player must send. */
  readonly headers: Readonly<Record<string, string>>;
  /** `Set-Cookie` values. */
  readonly cookies: readonly string[];
  /** What the token says, by JSON name. */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** @throws VendRefusal when the ledger says that nothing may be minted for this request */
export type Vend = (request: VendRequest, edge: string) => Promise<VendAnswer>;

export class VendRefusal extends Error {
  readonly code = 'revoked';
  constructor(scope: string) {
    super(`Revoked: no new tokens for this ${scope}.`);
    this.name = 'VendRefusal';
  }
}

/**
 * The demo's own way to a token: the asker chooses what it says, which no real service allows. Revocations hold here as
 * well.
 */
export function createDemoVending(
  keys: DemoKeys,
  issuer: string,
  offered: readonly Placement[],
  start?: Pick<LocalStart, 'signingKey' | 'path'>,
): Vend {
  return async (request, edge) => {
    const refusal = await keys.refusals.isRefused({
      content: request.content,
      ...(request.subject === undefined ? {} : { subject: request.subject }),
      ...(request.session === undefined ? {} : { session: request.session }),
    });
    if (refusal.refused) throw new VendRefusal(refusal.scope);
    const common = { issuer, placement: placementOf(request, offered), jitter: false };
    if (request.start && (!start || !['path', 'query'].includes(request.placement)))
      throw new RangeError('start: needs --lambda, and the token in path or query, which the start leaves behind');
    const key = request.start && start ? start.signingKey : await keys.provider.signingKey();
    const signer =
      request.format === 'jwt'
        ? createSigner({ ...common, format: 'jwt', key })
        : createSigner({ ...common, format: 'cat', key });
    const file = request.protocol === 'dash' ? 'manifest.mpd' : 'master.m3u8';
    const { renewal } = request;
    const policy: PlaybackPolicy = {
      expiresIn: `${request.expiresIn}s`,
      ...(request.countries?.length
        ? { countries: request.countries as unknown as NonNullable<PlaybackPolicy['countries']> }
        : {}),
      ...(request.subject === undefined ? {} : { subject: request.subject }),
      ...(request.oneTime ? { oneTime: true } : {}),
      ...(request.session === undefined ? {} : { session: request.session }),
      ...(request.sessionEndsIn === undefined ? {} : { sessionEndsIn: `${request.sessionEndsIn}s` }),
      ...(renewal === undefined
        ? {}
        : {
            renewal: {
              by: renewal.by,
              extendBy: `${renewal.extendBy}s`,
              // Without a path the cookie would hold for one folder of the stream alone.
              ...(renewal.by === 'cookie'
                ? {
                    attributes: [`Path=/${request.mode}/${request.content}/`, 'Secure', 'HttpOnly', 'SameSite=Lax'],
                  }
                : {}),
              ...(renewal.by === 'header' && request.headerName !== undefined
                ? { headerName: request.headerName }
                : {}),
              ...(renewal.within === undefined ? {} : { within: `${renewal.within}s` }),
            },
          }),
    };
    const signed = await signer.signPlaybackUrl(`${edge}/${request.mode}/${request.content}/${file}`, policy);
    return {
      url: request.start && start ? signed.url.replace(edge, edge + start.path) : signed.url,
      token: signed.token,
      tokenId: signed.tokenId,
      session: signed.session,
      kid: String(key.kid),
      expiresAt: signed.expiresAt?.toISOString(),
      headers: signed.headers,
      cookies: signed.cookies,
      claims: signed.claims,
    };
  };
}

/**
 * The SDK's vending service, with the demo's assets: any content id is one, playable for ten minutes at a time. It takes
 * every caller for a backend that speaks for its users, which a real one must not.
 */
export function createAssetVending(
  keys: DemoKeys,
  issuer: string,
  offered: readonly Placement[],
  edge: () => string,
): VendingHandler {
  const [placement] = offered;
  return createVendingService({
    signer: createSigner({
      issuer,
      format: 'cat',
      key: keys.provider,
      ...(placement === undefined ? {} : { placement }),
    }),
    assets: {
      get: (asset) =>
        Promise.resolve(
          /^[\w.~-]{1,64}$/.test(asset)
            ? { url: `${edge()}/live/${asset}/master.m3u8`, expiresIn: '10m', sessionEndsIn: '12h' }
            : undefined,
        ),
    },
    authenticate: () => ({ id: 'local', trusted: true }),
    ledger: keys.refusals,
    keys: async () => [await keys.provider.signingKey()],
    sessions: memorySessions(),
  });
}
