import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSigner, type Placement, type PlaybackPolicy, type SignedPlaybackUrl } from '@portcullis/tokens';
import { writeFunctions } from '../../scripts/build/functions.js';
import { functionPlan } from '../../scripts/build/plan.js';
import { neutralConfig } from '../../scripts/build/profiles.js';
import { functionsConfigSchema } from '../../scripts/config/index.js';
import { startLocalEdge, type LocalEdge, type LocalEdgeOptions } from '../../scripts/local-edge/index.js';
import { rawRequest, type RawAnswer } from './raw-http.js';

let functionsFolder: string;
beforeAll(async () => {
  // Everything compiled in, every placement on, nothing public.
  functionsFolder = await mkdtemp(join(tmpdir(), 'portcullis-functions-'));
  const { build, features } = functionPlan(functionsConfigSchema.parse(neutralConfig('full')));
  await writeFunctions('full', build, features, functionsFolder);
});
afterAll(() => rm(functionsFolder, { recursive: true, force: true }));

const secret = randomBytes(32);
/** A round moment: tokens are made for it and requests say `now=`. */
const now = 1_800_000_000;
const keyOf = (kid: string) => ({ alg: 'HS256', kid, secret }) as const;

async function startGuarded(options: LocalEdgeOptions = {}): Promise<LocalEdge> {
  const edge = await startLocalEdge({ functionsFolder, ...options });
  await edge.functions.storage.put('k:test', JSON.stringify({ alg: 'HS256', k: secret.toString('base64url') }));
  return edge;
}

type Format = 'cat' | 'jwt';
const placements = {
  path: { kind: 'path', mode: 'first' },
  query: { kind: 'query' },
  cookie: { kind: 'cookie' },
  header: { kind: 'header' },
  pathParameter: { kind: 'pathParameter' },
} as const satisfies Record<string, Placement>;

function signed(
  path: string,
  policy: Partial<PlaybackPolicy> = {},
  format: Format = 'cat',
  placement: Placement = placements.path,
  key = keyOf('test'),
): Promise<SignedPlaybackUrl> {
  const common = { issuer: 'test', placement, jitter: false, clock: () => now * 1000 };
  const signer = format === 'jwt' ? createSigner({ ...common, format, key }) : createSigner({ ...common, format, key });
  return signer.signPlaybackUrl(path, { expiresIn: 60, paths: '/echo/', ...policy } as PlaybackPolicy);
}

type Headers = readonly (readonly [string, string])[];

async function ask(
  edge: LocalEdge,
  target: string,
  headers: Headers = [],
  viewer = '',
  method = 'GET',
): Promise<RawAnswer> {
  return rawRequest(edge.addresses.edge, target, {
    method,
    headers: [['x-sim-viewer', `now=${now}; ${viewer}`], ...headers],
  });
}

function carried(url: SignedPlaybackUrl): Headers {
  return [
    ...Object.entries(url.headers),
    ...url.cookies.map((cookie): readonly [string, string] => ['Cookie', cookie.split(';')[0] ?? '']),
  ];
}

const reasonOf = (answer: RawAnswer): string => answer.headers['x-portcullis-reason']?.[0] ?? 'admitted';

describe('the compiled functions in workerd, over HTTP', () => {
  let edge: LocalEdge;
  /** Behaviours without a policy for viewer headers, and viewer-response as AWS does not document it. */
  let bare: LocalEdge;
  beforeAll(async () => {
    [edge, bare] = await Promise.all([
      startGuarded(),
      startGuarded({ viewerHeaders: 'none', viewerResponseRequest: 'modified' }),
    ]);
  });
  afterAll(() => Promise.all([edge?.close(), bare?.close()]));

  test.each(
    (['cat', 'jwt'] as const).flatMap((format) =>
      Object.keys(placements).map((place) => [format, place as keyof typeof placements] as const),
    ),
  )('admit a %s in the %s, and no trace of it reaches the origin', async (format, place) => {
    const url = await signed('/echo/a/b?x=1', {}, format, placements[place]);
    const answer = await ask(edge, url.url, [...carried(url), ['Cookie', 'other=1']]);
    expect(reasonOf(answer)).toBe('admitted');
    expect(answer.status).toBe(200);
    expect(answer.body).not.toContain(url.token);
    expect((JSON.parse(answer.body) as { target: string }).target).toBe('/echo/a/b?x=1');
    expect(answer.headers['cache-control']?.[0]).toMatch(/private|no-store/);
  });

  test.each([
    ['at its expiry exactly', 60, 401, 'expired'],
    ['a second before its expiry', 59, 200, 'admitted'],
    ['a minute before it begins', -91, 401, 'not_yet_valid'],
  ])('answer a token %s', async (_, later, status, reason) => {
    const url = await signed('/echo/a', { notBefore: 'now' });
    const answer = await rawRequest(edge.addresses.edge, url.url, {
      headers: [['x-sim-viewer', `now=${now + later}`]],
    });
    expect([answer.status, reasonOf(answer)]).toEqual([status, reason]);
  });

  test.each([
    ['no token', '/echo/a', 'missing_token'],
    ['another path', '/TOKEN/live/ch1/master.m3u8', 'uri_mismatch'],
    ['a truncated MAC', '/SHORT/echo/a', undefined],
    ['a changed MAC', '/CHANGED/echo/a', 'bad_signature'],
    ['a dot segment', '/TOKEN/echo/../live/ch1/master.m3u8', undefined],
    ['an encoded dot segment', '/TOKEN/echo/%2e%2e/live/ch1/master.m3u8', undefined],
    ['an encoded slash', '/TOKEN/echo/a%2Fb', 'ambiguous_path'],
    ['a backslash', '/TOKEN/echo/a\\b', 'ambiguous_path'],
    ['a NUL', '/TOKEN/echo/a%00b', 'ambiguous_path'],
    ['an invalid escape', '/TOKEN/echo/a%zz', 'ambiguous_path'],
    ['a byte of 0x80 and more', '/TOKEN/echo/caf\u00e9', 'ambiguous_path'],
  ])('refuse %s', async (_, path, reason) => {
    const { token } = await signed('/echo/a');
    const last = token.at(-2) === 'A' ? 'B' : 'A';
    const target = path
      .replace('TOKEN', token)
      .replace('SHORT', token.slice(0, -4))
      .replace('CHANGED', token.slice(0, -2) + last + token.slice(-1));
    const answer = await ask(edge, target);
    expect(answer.status).toBeGreaterThanOrEqual(400);
    expect(answer.status).toBeLessThan(500);
    if (reason !== undefined) expect(reasonOf(answer)).toBe(reason);
    expect(answer.headers['cache-control']).toEqual(['no-store']);
    expect(answer.headers['x-cache']).toEqual(['FunctionGeneratedResponse from cloudfront']);
  });

  test('refuse the wrong country, and a country that CloudFront does not know', async () => {
    const url = await signed('/echo/a', { countries: ['US'] });
    expect(reasonOf(await ask(edge, url.url, [], 'country=US; region=CA'))).toBe('admitted');
    expect(reasonOf(await ask(edge, url.url, [], 'country=DE'))).toBe('country_mismatch');
    const forged: Headers = [['CloudFront-Viewer-Country', 'US']];
    expect(reasonOf(await ask(edge, url.url, forged, 'country=DE'))).toBe('country_mismatch');
    expect((await ask(edge, url.url, forged, 'country=')).status).toBe(401);
  });

  test('cannot tell a forged country from a true one where no policy lists the header: what a deployment must check', async () => {
    const url = await signed('/echo/a', { countries: ['US'] });
    const forged: Headers = [['CloudFront-Viewer-Country', 'US']];
    expect((await ask(bare, url.url, [], 'country=DE')).status).toBe(401);
    expect(reasonOf(await ask(bare, url.url, forged, 'country=DE'))).toBe('admitted');
  });

  test.each(['error', 'error:k', 'error:r'])(
    'answer 503 with Retry-After when reads of the store fail (%s)',
    async (fault) => {
      const url = await signed('/echo/a');
      const answer = await ask(edge, url.url, [], `kvs=${fault}`);
      expect([answer.status, reasonOf(answer)]).toEqual([503, 'store_error']);
      expect(answer.headers['retry-after']).toBeDefined();
      expect(answer.headers['x-cache']).toEqual(['FunctionGeneratedResponse from cloudfront']);
    },
  );

  test.each(['{', '{"alg":"HS256"}', '"text"', '[]', '{"alg":"HS256","k":5}'])(
    'answer 503 for the malformed key record %s',
    async (record) => {
      await edge.functions.storage.put('k:broken', record);
      const answer = await ask(edge, (await signed('/echo/a', {}, 'cat', placements.path, keyOf('broken'))).url);
      expect([answer.status, reasonOf(answer)]).toEqual([503, 'store_error']);
    },
  );

  test.each(['original', 'modified'] as const)('renew when viewer-response is shown the %s request', async (shown) => {
    const shownTo = shown === 'original' ? edge : bare;
    const url = await signed('/echo/a', { renewal: { by: 'header', extendBy: 120 } });
    const answer = await ask(shownTo, url.url);
    expect(answer.status).toBe(200);
    const renewed = /^"([^"]+)"/.exec(answer.headers['cta-common-access-token']?.[0] ?? '')?.[1];
    expect(renewed).toBeDefined();
    expect(renewed).not.toBe(url.token);
    const again = await ask(shownTo, `/${renewed}/echo/a`);
    expect(reasonOf(again)).toBe('admitted');
  });

  test.each(['original', 'modified'] as const)(
    'renew by redirect when viewer-response is shown the %s request',
    async (shown) => {
      const shownTo = shown === 'original' ? edge : bare;
      const url = await signed('/echo/a?x=1', { renewal: { by: 'redirect', extendBy: 120, within: 60 } });
      const answer = await ask(shownTo, url.url);
      expect([answer.status, answer.body, answer.headers['cache-control']]).toEqual([307, '', ['no-store']]);
      const [location = ''] = answer.headers['location'] ?? [];
      expect(location).toMatch(/^\/[\w-]+\/echo\/a\?x=1$/);
      expect(location).not.toContain(url.token);
      const again = await ask(shownTo, location);
      expect([again.status, reasonOf(again)]).toEqual([200, 'admitted']);
      // What is not there is not made to seem so.
      const absent = await ask(shownTo, url.url.replace('x=1', 'status=404'));
      expect([absent.status, absent.headers['location']]).toEqual([404, undefined]);
    },
  );
});
