// Lambda@Edge on the local edge: what each event shows, that origin-request runs when the cache misses and not otherwise,
// and a whole start over HTTP: the compiled function in workerd, the Lambda, and the session token on every segment.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decode } from '../../tokens/src/index.js';
import type { LambdaEvent, LambdaResult } from '../../edge/event.js';
import type { GuardConfig } from '../../edge/guard/index.js';
import { guardPlan } from '../../scripts/build/lambda-plans.js';
import { startSettings } from '../../scripts/build/start-settings.js';
import { parseConfig } from '../../scripts/config/index.js';
import type { ContentLambdas } from '../../scripts/local-edge/lambda-content.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import { readViewerHeaderPolicy } from '../../scripts/local-edge/viewer.js';
import type { VendAnswer } from '../../scripts/local-edge/vending.js';
import { cat, compiledStart, publicJwk, startConfig } from '../edge/starting.js';

const seen: { readonly name: string; readonly event: LambdaEvent['Records'][0]['cf'] }[] = [];
const noting =
  (name: string, answer?: (event: LambdaEvent) => LambdaResult) =>
  (event: LambdaEvent): Promise<LambdaResult> => {
    const { cf } = event.Records[0];
    seen.push({ name, event: structuredClone(cf) });
    return Promise.resolve(answer ? answer(event) : cf.request);
  };
const both = (name: string) => ({
  'viewer-request': noting(`${name} viewer`),
  'origin-request': noting(`${name} origin`),
});
const answering = (result: unknown) => ({ 'origin-request': () => Promise.resolve(result as LambdaResult) });

const config = startConfig({}, { placements: { path: ['first', { prefix: '/live' }], query: true } });
let edge: LocalEdge;
beforeAll(async () => {
  const settings = startSettings(config);
  if (!settings) throw new Error('no start');
  const about = { origin: 'media', guarded: false, viewerHeaders: 'all' } as const;
  edge = await startLocalEdge({
    functionsFolder: await compiledStart(config),
    placements: [{ kind: 'path', mode: 'first' }, { kind: 'query' }],
    start: settings,
    behaviors: [
      { ...about, pattern: '/echo/listed/*', lambdas: both('listed') },
      {
        ...about,
        pattern: '/echo/unlisted/*',
        viewerHeaders: readViewerHeaderPolicy('asn'),
        lambdas: both('unlisted'),
      },
      { ...about, pattern: '/echo/typed', lambdas: answering({ status: 200 }) },
      {
        ...about,
        pattern: '/echo/cached',
        cacheKeyHeaders: ['x-key'],
        lambdas: {
          'origin-request': noting('cached', () => ({
            status: '200',
            headers: { 'cache-control': [{ value: 'max-age=60' }] },
            body: String(seen.length),
          })),
        },
      },
      {
        ...about,
        pattern: '/echo/private',
        lambdas: {
          'origin-request': noting('private', () => ({
            status: '200',
            headers: { 'cache-control': [{ value: 'private, max-age=60' }] },
          })),
        },
      },
      { ...about, pattern: '/vod/*', lambdas: { 'origin-request': noting('vod') } },
      ...[
        { statusCode: 200 },
        { status: '200', headers: { 'X-Upper': [{ value: 'x' }] } },
        { status: '200', headers: { via: 'x' } },
        { status: '200', headers: { 'x-edge-location': [{ value: 'x' }] } },
        { status: '200', body: 'x'.repeat(1_048_577) },
        { method: 'POST', uri: '/x', querystring: '', headers: {}, clientIp: '203.0.113.9' },
        null,
      ].map((result, i) => ({ ...about, pattern: `/echo/bad${i}`, lambdas: answering(result) })),
      { ...about, pattern: '/echo/throws', lambdas: { 'origin-request': () => Promise.reject(new Error('boom')) } },
    ],
  });
});
afterAll(() => edge?.close());

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(edge.addresses.edge + path, { headers, redirect: 'manual' });
const values = (name: string, header: string): string[] | undefined =>
  seen
    .filter((one) => one.name === name)
    .at(-1)
    ?.event.request.headers[header]?.map(({ value }) => value);

describe('what the events show', () => {
  const forged = { 'CloudFront-Viewer-Country': 'XX', 'CloudFront-Viewer-Address': '198.51.100.1:1' };

  it('shows a forged country at viewer-request, as the viewer typed it', async () => {
    await get('/echo/listed/a', forged);
    expect(values('listed viewer', 'cloudfront-viewer-country')).toEqual(['XX']);
    expect(values('listed viewer', 'cloudfront-viewer-address')).toEqual(['198.51.100.1:1']);
    await get('/echo/listed/a');
    expect(values('listed viewer', 'cloudfront-viewer-country')).toBeUndefined();
  });

  it('shows the true one at origin-request where a policy lists it', async () => {
    await get('/echo/listed/a', { ...forged, 'x-sim-viewer': 'country=DE' });
    expect(values('listed origin', 'cloudfront-viewer-country')).toEqual(['DE']);
    expect(values('listed origin', 'cloudfront-viewer-address')).toEqual(['203.0.113.9:46532']);
  });

  it('shows the forged one even there where no policy lists it', async () => {
    await get('/echo/unlisted/a', forged);
    expect(values('unlisted origin', 'cloudfront-viewer-country')).toEqual(['XX']);
    expect(values('unlisted origin', 'cloudfront-viewer-asn')).toEqual(['64500']);
  });

  it('has the documented shape', async () => {
    await get('/echo/listed/a?b=%20&c', { Cookie: 'a=1; b=2', 'X-Two': 'one' });
    const { config: about, request } = seen.filter(({ name }) => name === 'listed origin').at(-1)!.event;
    expect(about).toMatchObject({ eventType: 'origin-request', distributionId: 'ELOCALEDGE0000' });
    expect(about.requestId).toMatch(/==$/);
    expect(request).toMatchObject({
      clientIp: '203.0.113.9',
      method: 'GET',
      uri: '/echo/listed/a',
      querystring: 'b=%20&c',
    });
    expect(request.headers['cookie']).toEqual([{ key: 'Cookie', value: 'a=1; b=2' }]);
    expect(request.origin?.custom?.customHeaders).toEqual({});
    const viewer = seen.filter(({ name }) => name === 'listed viewer').at(-1)!.event;
    expect(viewer.request.origin).toBeUndefined();
    expect(viewer.config.requestId).toBe(about.requestId);
  });
});

describe('when it runs', () => {
  const runs = (name: string): number => seen.filter((one) => one.name === name).length;

  it('runs on a cache miss and not on a hit; the key is path, query and listed headers', async () => {
    const first = await get('/echo/cached?a=1');
    const again = await get('/echo/cached?a=1', { 'x-other': '1' });
    expect([await first.text(), first.headers.get('x-cache')]).toEqual([
      await again.text(),
      'LambdaGeneratedResponse from cloudfront',
    ]);
    expect([again.headers.get('x-cache'), runs('cached')]).toEqual(['Hit from cloudfront', 1]);
    await get('/echo/cached?a=2');
    await get('/echo/cached?a=1', { 'x-key': '1' });
    expect(runs('cached')).toBe(3);
    await get('/echo/private');
    await get('/echo/private');
    expect(runs('private')).toBe(2);
  });

  it('keeps what the origin answered, too', async () => {
    const bodies = await Promise.all([1, 2].map(async () => (await get('/vod/ch1/video-360/init.mp4')).arrayBuffer()));
    expect(bodies[0]?.byteLength).toBe(bodies[1]?.byteLength);
    const before = runs('vod');
    expect((await get('/vod/ch1/video-360/init.mp4')).headers.get('x-cache')).toBe('Hit from cloudfront');
    expect(runs('vod')).toBe(before);
  });

  it('answers 502 to what is no request and no answer, and 503 to what throws', async () => {
    for (let i = 0; i < 7; i++) expect([i, (await get(`/echo/bad${i}`)).status]).toEqual([i, 502]);
    expect((await get('/echo/typed')).status).toBe(502);
    expect((await get('/echo/throws')).status).toBe(503);
  });

  it('takes no function beside a Lambda on viewer-request', async () => {
    const behaviors = [
      { pattern: '/x', origin: 'media', guarded: true, viewerHeaders: 'all', lambdas: both('x') } as const,
    ];
    await expect(
      startLocalEdge({ functionsFolder: join(import.meta.dirname, 'functions/plain'), behaviors }),
    ).rejects.toThrow(/cannot both sit on viewer events/);
  });
});

describe('a start', () => {
  const vend = async (more: object = {}): Promise<VendAnswer> => {
    const body = JSON.stringify({ start: 'ES256', ...more });
    return (await (await fetch(edge.addresses.vend, { method: 'POST', body })).json()) as VendAnswer;
  };
  const runs = async (): Promise<number> =>
    (await readFile(edge.addresses.functionLog, 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"lambda origin-request"') && line.includes('"result"')).length;

  it('goes from an ES256 CAT to a session token, by one run of the Lambda', async () => {
    for (const format of ['cat', 'jwt']) {
      const { url, token, session } = await vend({ format, countries: ['US'] });
      expect(decode(token)).toMatchObject({ format, alg: 'ES256', kid: 'demo-es256' });
      const before = await runs();
      const answer = await fetch(url);
      expect([answer.status, answer.redirected]).toEqual([200, true]);
      const fresh = new URL(answer.url).pathname.split('/')[1] ?? '';
      expect(decode(fresh)).toMatchObject({ format, alg: 'HS256', kid: 'edge', session });
      const playlist = new URL(
        (await answer.text()).split('\n').find((line) => line.includes('.m3u8')) ?? '',
        answer.url,
      );
      expect((await fetch(playlist)).status).toBe(200);
      expect(await runs()).toBe(before + 1);
      const elsewhere = await fetch(playlist, { headers: { 'x-sim-viewer': 'country=DE' } });
      expect(elsewhere.headers.get('x-portcullis-reason')).toBe('country_mismatch');
    }
  });

  it('refuses what is forged, used up, or seen from elsewhere, and the token everywhere but at the start', async () => {
    const { url, token } = await vend();
    const forged = await fetch(url.replace(token, `${token.slice(0, -6)}AAAAAA`));
    expect(forged.headers.get('x-portcullis-reason')).toBe('bad_signature');
    const beside = await fetch(url.replace('/start', ''));
    expect(beside.headers.get('x-portcullis-reason')).toBe('unsupported_algorithm');
    const bound = await vend({ countries: ['US'] });
    const away = await fetch(bound.url, {
      headers: { 'x-sim-viewer': 'country=DE', 'CloudFront-Viewer-Country': 'US' },
    });
    expect(away.headers.get('x-portcullis-reason')).toBe('country_mismatch');
    const once = await vend({ oneTime: true });
    const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(once.url, { redirect: 'manual' })));
    expect(answers.filter(({ status }) => status === 307)).toHaveLength(1);
    expect(answers.filter((one) => one.headers.get('x-portcullis-reason') === 'replay_refused')).toHaveLength(49);
  });
});

describe('the content behind a Lambda', () => {
  const config = parseConfig({
    placements: { path: 'first', query: true },
    lambda: {
      keys: [{ kind: 'jwks', jwks: { keys: [publicJwk] } }],
      guard: { event: 'origin-request' },
    },
  });
  const open = (lambdas: ContentLambdas): Promise<LocalEdge> =>
    startLocalEdge({ functionsFolder: join(import.meta.dirname, 'functions/plain'), lambdas });

  it('is guarded by it alone, every request anew', async () => {
    const plan = guardPlan(config, { event: 'origin-request', keys: config.lambda?.keys ?? [] });
    const guarded = await open({ guard: plan.config as GuardConfig });
    try {
      const exp = Math.floor(Date.now() / 1000) + 600;
      const token = await cat({ exp, catu: { path: { prefix: '/vod/' } }, catgeoiso3166: ['US'] });
      const path = '/vod/ch1/video-360/init.mp4';
      const ask = (url: string, viewer: string): Promise<Response> =>
        fetch(guarded.addresses.edge + url, { headers: { 'x-sim-viewer': viewer, 'CloudFront-Viewer-Country': 'US' } });
      expect((await ask(`/${token}${path}`, 'country=US')).status).toBe(200);
      // The same object for somebody elsewhere, and without a token: no cache stands before the Lambda.
      const elsewhere = await ask(`/${token}${path}`, 'country=DE');
      expect(elsewhere.headers.get('x-portcullis-reason')).toBe('country_mismatch');
      expect((await ask(path, 'country=US')).headers.get('x-portcullis-reason')).toBe('missing_token');
    } finally {
      await guarded.close();
    }
  });

  it('is asked for with the secret of its origin', async () => {
    const originSecret = {
      secret: 'cdn',
      region: 'us-east-1',
      headers: { 'X-Origin': '' },
      stage: 'x',
      refreshAfter: 60,
    };
    const secured = await open({ originSecret });
    try {
      const ask = async (): Promise<Response> =>
        fetch(`${secured.addresses.edge}/echo/a`, { headers: { 'X-Origin': 'guess' } });
      expect((await ask()).status).toBe(503);
      await mkdir(secured.addresses.secrets, { recursive: true });
      await writeFile(join(secured.addresses.secrets, 'cdn.json'), 'a-secret-value\n');
      await expect.poll(async () => (await ask()).status, { timeout: 20_000 }).toBe(200);
      expect(await (await ask()).text()).toContain('a-secret-value');
      expect(await (await ask()).text()).not.toContain('guess');
    } finally {
      await secured.close();
    }
  });

  it('has one function for each event', async () => {
    const plan = guardPlan(config, { event: 'origin-request', keys: config.lambda?.keys ?? [] });
    const originSecret = { secret: 'cdn', region: 'us-east-1', headers: {}, stage: 'x', refreshAfter: 60 };
    await expect(open({ guard: plan.config as GuardConfig, originSecret })).rejects.toThrow(
      /one function on origin-request/,
    );
  });
});
