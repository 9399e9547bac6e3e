// Ways around the start path and the Lambda alone: on the local edge, with the compiled function in workerd, the cache of the
// behaviour, and everything that a viewer can send; and at the handler, where somebody got as far.
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LambdaEvent, LambdaResponse } from '../../edge/event.js';
import { MARKER } from '../../edge/exchange/marker.js';
import { START_HEADER } from '../../edge/exchange/seal.js';
import type { GuardConfig } from '../../edge/guard/index.js';
import type { OneTimeStore } from '../../edge/replay/index.js';
import { guardPlan } from '../../scripts/build/lambda-plans.js';
import { startSettings } from '../../scripts/build/start-settings.js';
import { parseConfig } from '../../scripts/config/index.js';
import { nodeVmHost, type RequestParts } from '../../scripts/engine/index.js';
import { startLocalEdge, type LocalEdge } from '../../scripts/local-edge/index.js';
import type { VendAnswer } from '../../scripts/local-edge/vending.js';
import { decode } from '../../tokens/src/index.js';
import {
  cat,
  compiledStart,
  edgeSecret,
  entries,
  lambdaEvent,
  lambdaOf,
  location,
  NOW,
  publicJwk,
  reasonOf,
  startConfig,
  throughFunction,
  viewer,
} from './starting.js';

const host = nodeVmHost();
const config = startConfig();
const startUrl = '/start/live/ch1/main.m3u8';
let folder = '';
beforeAll(async () => {
  folder = await compiledStart(config);
});
const eventOf = async (request: RequestParts): Promise<LambdaEvent> => {
  const parts = { headers: viewer, ...request };
  return lambdaEvent(parts, await throughFunction(host, folder, parts, entries));
};

describe('a seal', () => {
  const lambda = lambdaOf(startConfig({ olderKids: ['older'] }));
  type Lines = { value: string }[];
  /** What the Lambda answers to a request whose seal is another. */
  const sealedWith = async (change: (parts: string[], id: string) => string[], requestId = 'mine') => {
    const event = structuredClone(await eventOf({ uri: `${startUrl}?CAT=${await cat()}`, requestId })) as LambdaEvent;
    const [line] = event.Records[0].cf.request.headers[START_HEADER] as unknown as Lines;
    if (!line) throw new Error('no seal');
    line.value = change(line.value.split(' '), requestId).join(' ');
    return lambda(event);
  };
  const macOf = (secret: string | Buffer, text: string): string =>
    createHmac('sha256', secret).update(text).digest('base64url');

  it('is good as it was made', async () => {
    expect((await sealedWith((parts) => parts)).status).toBe('307');
    // By a key of the configuration, over this request.
    const own = (parts: string[], id: string): string[] => [
      ...parts.slice(0, 5),
      macOf(edgeSecret, `start ${id} ${parts.slice(0, 5).join(' ')}`),
    ];
    expect((await sealedWith(own)).status).toBe('307');
  });

  it('is refused with any of its parts from elsewhere', async () => {
    const token = await cat({ sub: 'another' });
    const changes: [string, (parts: string[], id: string) => string[]][] = [
      ['another kid', (parts) => parts.with(0, 'cms')],
      ['an older kid', (parts) => parts.with(0, 'older')],
      ['a mode that lets pass', (parts) => parts.with(1, 'log')],
      ['a token that was checked', (parts) => parts.with(2, 'mac')],
      ['no token at all', (parts) => parts.with(2, '-')],
      ['a kind that there is not', (parts) => parts.with(2, 'constructor')],
      ['all paths', (parts) => parts.with(3, '/live')],
      ['another token', (parts) => parts.with(4, token)],
      ['no MAC', (parts) => parts.with(5, '')],
      ['half a MAC', (parts) => parts.with(5, String(parts[5]).slice(0, 20))],
      ['a part more', (parts) => [...parts, 'x']],
      ['a part less', (parts) => parts.slice(0, 5)],
      ['nothing', () => []],
      [
        'a MAC with a published key',
        (parts, id) => parts.with(5, macOf(JSON.stringify(publicJwk), `start ${id} ${parts.slice(0, 5).join(' ')}`)),
      ],
      ['a MAC over no request', (parts) => parts.with(5, macOf(edgeSecret, `start  ${parts.slice(0, 5).join(' ')}`))],
      [
        'a MAC of a marker',
        (parts, id) => parts.with(5, macOf(edgeSecret, `marker ${id} ${parts.slice(0, 5).join(' ')}`)),
      ],
    ];
    for (const [what, change] of changes) {
      const answer = await sealedWith(change);
      expect([what, answer.status, answer.headers?.['location']]).toEqual([what, '503', undefined]);
    }
  });

  it('of one request is none for the next, whoever sends it along', async () => {
    const first = await eventOf({ uri: `${startUrl}?CAT=${await cat()}`, requestId: 'first' });
    const seal = (first.Records[0].cf.request.headers[START_HEADER] as unknown as Lines)[0]?.value as string;
    // Through the function, which takes it away and makes its own, or refuses.
    const headers = { ...viewer, [START_HEADER]: seal };
    const bare = await throughFunction(host, folder, { uri: startUrl, headers, requestId: 'second' });
    expect(bare.result).toMatchObject({ statusCode: 401 });
    // And past it, straight to the Lambda.
    const past = structuredClone(first) as unknown as { Records: [{ cf: { config: { requestId: string } } }] };
    past.Records[0].cf.config.requestId = 'second';
    expect((await lambda(past as unknown as LambdaEvent)).status).toBe('503');
  });
});

describe('a marker', () => {
  const cookieConfig = startConfig({ exchange: { by: 'cookie' } });
  const onceOnly = (): OneTimeStore => {
    const spent = new Map<string, number>();
    return {
      spend: (id) => Promise.resolve(!spent.has(id) && !!spent.set(id, 1)),
      spendAgain: (id) => Promise.resolve(spent.get(id) === 1 && !!spent.set(id, 2)),
    };
  };
  /** Follows redirects on the start path as a player without cookies does. */
  async function follow(
    by: (event: LambdaEvent) => Promise<LambdaResponse>,
    uri: string,
    most = 10,
  ): Promise<{ readonly hops: number; readonly end: string; readonly cookies: number }> {
    let cookies = 0;
    for (let hops = 1; hops <= most; hops++) {
      const answer = await by(await eventOf({ uri, requestId: `hop ${hops}` }));
      cookies += answer.headers?.['set-cookie']?.length ?? 0;
      if (answer.status !== '307') return { hops, end: reasonOf(answer), cookies };
      uri = location(answer);
      if (!uri.startsWith('/start/')) return { hops, end: uri, cookies };
    }
    throw new Error('It never ends.');
  }

  it('ends the way round after one turn, whatever stands in its place', async () => {
    const by = lambdaOf(cookieConfig);
    const token = await cat();
    const start = `${startUrl}?CAT=${token}`;
    expect(await follow(by, start)).toMatchObject({ hops: 2, cookies: 1 });
    for (const wild of ['', 'x', 'zzzzzz.', '.', 'zzzzzz.AAAA.AAAA', '%00', `x&${MARKER}=y`, `${'z'.repeat(2000)}`]) {
      const end = await follow(by, `${start}&${MARKER}=${wild}`);
      expect([wild, end.hops, end.cookies]).toEqual([wild, 1, 0]);
      expect(end.end).toMatch(/^\/live\/[\w-]+\/ch1\/main\.m3u8$/);
    }
    // A name that only looks like it goes along untouched.
    expect((await follow(by, `${start}&${MARKER}2=x`)).hops).toBe(2);
  });

  it('of another token, another viewer, or of a minute ago opens no second way', async () => {
    const clock = { seconds: NOW };
    const by = lambdaOf(cookieConfig, { oneTime: onceOnly(), now: () => clock.seconds * 1000 });
    const jti = (byte: number): string => Buffer.alloc(16, byte).toString('base64url');
    const begin = async (byte: number): Promise<{ uri: string; back: string; marker: string }> => {
      const uri = `${startUrl}?CAT=${await cat({ catreplay: 1, jti: jti(byte) })}`;
      const back = location(await by(await eventOf({ uri })));
      return { uri, back, marker: back.slice(back.indexOf(`${MARKER}=`)) };
    };
    const ask = async (request: RequestParts): Promise<string> => {
      const answer = await by(await eventOf(request));
      return answer.status === '307' ? 'admitted' : reasonOf(answer);
    };
    const [one, other] = [await begin(1), await begin(2)];
    expect(await ask({ uri: `${one.uri}&${other.marker}` })).toBe('replay_refused');
    expect(await ask({ uri: one.back, ip: '203.0.113.10' })).toBe('replay_refused');
    clock.seconds += 60;
    expect(await ask({ uri: other.back })).toBe('replay_refused');
    clock.seconds -= 1;
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask({ uri: one.back, requestId: `r${i}` })));
    expect(answers.filter((answer) => answer === 'admitted')).toHaveLength(1);
    expect(await ask({ uri: one.back })).toBe('replay_refused');
  });
});

describe('the start path on the local edge', () => {
  let edge: LocalEdge;
  beforeAll(async () => {
    const local = startConfig({}, { placements: { path: ['first', { prefix: '/live' }], query: true, header: true } });
    const settings = startSettings(local);
    if (!settings) throw new Error('no start');
    edge = await startLocalEdge({
      functionsFolder: await compiledStart(local),
      placements: [{ kind: 'path', mode: 'first' }, { kind: 'query' }, { kind: 'header' }],
      start: settings,
    });
    // One address for all: tokens come in the header.
    const { url, token } = await vend();
    bare = new URL(url).pathname.replace(`/${token}`, '');
  });
  afterAll(() => edge?.close());

  const vend = async (more: object = {}): Promise<VendAnswer> =>
    (await (
      await fetch(edge.addresses.vend, { method: 'POST', body: JSON.stringify({ start: 'ES256', ...more }) })
    ).json()) as VendAnswer;
  const runs = async (): Promise<number> =>
    (await readFile(edge.addresses.functionLog, 'utf8'))
      .split('\n')
      .filter((line) => line.includes('"lambda origin-request"') && line.includes('"result"')).length;
  const address = (path: string): string => edge.addresses.edge + path;
  let bare = '';
  const ask = (
    token: string | undefined,
    headers: Record<string, string> = {},
    url = address(bare),
  ): Promise<Response> =>
    fetch(url, {
      redirect: 'manual',
      headers: { ...(token === undefined ? {} : { 'CTA-Common-Access-Token': token }), ...headers },
    });
  const outcome = (answer: Response): string =>
    answer.status === 307 ? 'started' : String(answer.headers.get('x-portcullis-reason'));
  const sessionOf = (answer: Response): string | undefined =>
    decode(new URL(answer.headers.get('location') ?? '', edge.addresses.edge).pathname.split('/')[1] ?? '').session;

  it('keeps no answer for anybody else, whatever they ask and send', async () => {
    const mine = await vend();
    const theirs = await vend();
    const before = await runs();
    const first = await ask(mine.token);
    expect([outcome(first), first.headers.get('cache-control')]).toEqual(['started', 'no-store']);
    // The very URL again: with another's token, with none, with a forged one, from elsewhere, with a guess at the seal.
    expect(sessionOf(first)).toBe(mine.session);
    const second = await ask(theirs.token);
    expect([outcome(second), sessionOf(second)]).toEqual(['started', theirs.session]);
    expect(outcome(await ask(undefined))).toBe('missing_token');
    const seal = { [START_HEADER]: `edge enforce signed / ${mine.token} AAAA` };
    expect(outcome(await ask(undefined, seal))).toBe('missing_token');
    expect(outcome(await ask(`${mine.token.slice(0, -8)}AAAAAAAA`, seal))).toBe('bad_signature');
    // A refusal stays with who was refused.
    const third = await ask(mine.token, { ...seal, Origin: 'https://evil.example' });
    expect([outcome(third), sessionOf(third)]).toEqual(['started', mine.session]);
    expect([first, second, third].map((answer) => answer.headers.get('x-cache'))).toEqual(
      Array.from({ length: 3 }, () => 'LambdaGeneratedResponse from cloudfront'),
    );
    // One run for each request that the function let through.
    expect(await runs()).toBe(before + 4);
  });

  it('gives each of many viewers at the same moment its own session', async () => {
    const vended = await Promise.all(Array.from({ length: 20 }, () => vend()));
    const sessions = await Promise.all(vended.map(async ({ token }) => sessionOf(await ask(token))));
    expect(sessions).toEqual(vended.map(({ session }) => session));
    expect(new Set(sessions).size).toBe(20);
  });

  it('binds a session to the viewer who started it, whatever country he types', async () => {
    const { token } = await vend();
    const away = { 'x-sim-viewer': 'country=DE; ip=198.51.100.7' };
    const answer = await ask(token, { ...away, 'CloudFront-Viewer-Country': 'US', 'X-Forwarded-For': '203.0.113.9' });
    const place = answer.headers.get('location') ?? '';
    const said = decode(place.split('/')[1] ?? '').claims;
    expect([said.catgeoiso3166, said.catnip]).toEqual([['DE'], ['198.51.100.0/24']]);
    const play = async (headers: Record<string, string>): Promise<string> => {
      const got = await fetch(address(place), { headers });
      return got.status === 200 ? 'played' : String(got.headers.get('x-portcullis-reason'));
    };
    expect(await play(away)).toBe('played');
    expect(await play({ 'x-sim-viewer': 'country=US; ip=198.51.100.7', 'CloudFront-Viewer-Country': 'DE' })).toBe(
      'country_mismatch',
    );
    expect(
      await play({ 'x-sim-viewer': 'country=DE; ip=203.0.113.9', 'CloudFront-Viewer-Address': '198.51.100.7:1' }),
    ).toBe('network_mismatch');
  });
});

describe('a forged country', () => {
  const lambda = parseConfig({
    placements: { path: 'first', query: true },
    lambda: { keys: [{ kind: 'jwks', jwks: { keys: [publicJwk] } }] },
  });
  it.each([
    // In Germany and typing otherwise; at home and typing it; at home and typing nothing.
    ['viewer-request', ['country_mismatch', 'country_mismatch', 'country_mismatch', 'played']],
    ['origin-request', ['country_mismatch', 'played', 'played', 'played']],
  ] as const)('typed at a guard on %s opens nothing', async (event, expected) => {
    const plan = guardPlan(lambda, { event, keys: lambda.lambda?.keys ?? [] });
    const edge = await startLocalEdge({
      functionsFolder: join(import.meta.dirname, '../local-edge/functions/plain'),
      lambdas: { guard: plan.config as GuardConfig },
    });
    try {
      const exp = Math.floor(Date.now() / 1000) + 600;
      const bound = await cat({ exp, catu: { path: { prefix: '/vod/' } }, catgeoiso3166: ['US'] });
      const unbound = await cat({ exp, catu: { path: { prefix: '/vod/' } } });
      const typed = { 'CloudFront-Viewer-Country': 'US', 'CloudFront-Viewer-Country-Region': 'CA' };
      const ask = async (token: string, headers: Record<string, string>): Promise<string> => {
        const answer = await fetch(`${edge.addresses.edge}/${token}/vod/ch1/video-360/init.mp4`, { headers });
        return answer.status === 200 ? 'played' : String(answer.headers.get('x-portcullis-reason'));
      };
      expect([
        await ask(bound, { ...typed, 'x-sim-viewer': 'country=DE' }),
        await ask(bound, { ...typed, 'x-sim-viewer': 'country=US' }),
        await ask(bound, { 'x-sim-viewer': 'country=US' }),
        await ask(unbound, { ...typed, 'x-sim-viewer': 'country=DE' }),
      ]).toEqual(expected);
    } finally {
      await edge.close();
    }
  });
});
