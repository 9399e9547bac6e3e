import { createSigner, type Placement, type PlaybackPolicy } from '@portcullis/tokens';
import { z } from 'zod';
import type { DemoKey } from './demo-key.js';

const placements = {
  path: { kind: 'path', mode: 'first' },
  query: { kind: 'query' },
  cookie: { kind: 'cookie', sameSite: 'Lax' },
  header: { kind: 'header' },
} as const satisfies Record<string, Placement>;

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

export type Vend = (request: VendRequest, edge: string) => Promise<VendAnswer>;

/** The demo's vending service: signs for whoever asks, which a real one does not. */
export function createDemoVending(key: DemoKey, issuer: string): Vend {
  return async (request, edge) => {
    const placement: Placement = placements[request.placement];
    const common = { issuer, placement, jitter: false };
    const hmac = { alg: 'HS256', kid: key.kid, secret: key.secret } as const;
    const signer =
      request.format === 'jwt'
        ? createSigner({ ...common, format: 'jwt', key: hmac })
        : createSigner({ ...common, format: 'cat', key: hmac });
    const file = request.protocol === 'dash' ? 'manifest.mpd' : 'master.m3u8';
    const { renewal } = request;
    const policy: PlaybackPolicy = {
      expiresIn: `${request.expiresIn}s`,
      ...(request.countries?.length
        ? { countries: request.countries as unknown as NonNullable<PlaybackPolicy['countries']> }
        : {}),
      ...(request.subject === undefined ? {} : { subject: request.subject }),
      ...(request.session === undefined ? {} : { session: request.session }),
      ...(request.sessionEndsIn === undefined ? {} : { sessionEndsIn: `${request.sessionEndsIn}s` }),
      ...(renewal === undefined
        ? {}
        : {
            renewal: {
              by: renewal.by,
              extendBy: `${renewal.extendBy}s`,
              ...(renewal.within === undefined ? {} : { within: `${renewal.within}s` }),
            },
          }),
    };
    const signed = await signer.signPlaybackUrl(`${edge}/${request.mode}/${request.content}/${file}`, policy);
    return {
      url: signed.url,
      token: signed.token,
      tokenId: signed.tokenId,
      session: signed.session,
      kid: key.kid,
      expiresAt: signed.expiresAt?.toISOString(),
      headers: signed.headers,
      cookies: signed.cookies,
      claims: signed.claims,
    };
  };
}
