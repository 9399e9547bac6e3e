// From a start URL with a public-key token to a session: the compiled function, then the Lambda behind it.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LambdaEvent, LambdaResponse } from '../../edge/event.js';
import { MARKER } from '../../edge/exchange/marker.js';
import { START_HEADER } from '../../edge/exchange/seal.js';
import type { OneTimeStore } from '../../edge/replay/index.js';
import { nodeVmHost, type RequestParts } from '../../scripts/engine/index.js';
import { decode, signCat } from '../../tokens/src/index.js';
import {
  cat,
  claims,
  compiledStart,
  edgeSecret,
  entries,
  forgersKey,
  jwt,
  lambdaEvent,
  lambdaOf,
  location,
  NOW,
  publicRecord,
  reasonOf,
  startConfig,
  throughFunction,
  viewer,
} from './starting.js';

const host = nodeVmHost();
const config = startConfig();
const cookieConfig = startConfig({ exchange: { by: 'cookie' } });
let folder = '';
beforeAll(async () => {
  folder = await compiledStart(config);
});

const lambda = lambdaOf(config);
const startUrl = '/start/live/ch1/main.m3u8';

/** The event that the function lets through to the Lambda. */
async function started(request: RequestParts, store = entries): Promise<LambdaEvent> {
  const parts = { headers: viewer, ...request };
  return lambdaEvent(parts, await throughFunction(host, folder, parts, store));
}
const start = async (request: RequestParts, by = lambda, store = entries): Promise<LambdaResponse> =>
  by(await started(request, store));
const tokenIn = (answer: LambdaResponse): string => location(answer).split('/')[2] ?? '';

describe('the exchange', () => {
  it('answers a start with a redirect to the content under a session token that the function admits', async () => {
    for (const [token, format] of [
      [await cat({ iss: 'cms', sub: 'v1' }), 'cat'],
      [await jwt({ iss: 'cms', sub: 'v1' }), 'jwt'],
    ] as const) {
      const answer = await start({ uri: `${startUrl}?a=1&CAT=${token}` });
      expect([answer.status, answer.headers?.['cache-control']?.[0]?.value]).toEqual(['307', 'no-store']);
      const fresh = tokenIn(answer);
      expect(location(answer)).toBe(`/live/${fresh}/ch1/main.m3u8?a=1`);
      const said = decode(fresh);
      expect(said).toMatchObject({ format, alg: 'HS256', kid: 'edge' });
      expect(said.claims).toMatchObject({
        iss: 'cms',
        sub: 'v1',
        exp: NOW + 7200,
        catu: { path: { prefix: '/live/' } },
        catnip: ['203.0.113.0/24'],
        catgeoiso3166: ['DE'],
      });
      expect(Buffer.from(said.session ?? '', 'base64url')).toHaveLength(16);
      const segment = await throughFunction(host, folder, { uri: `/live/${fresh}/ch1/seg1.m4s`, headers: viewer });
      expect(segment.result).toMatchObject({ uri: '/live/ch1/seg1.m4s' });
      const moved = await throughFunction(host, folder, {
        uri: `/live/${fresh}/ch1/seg1.m4s`,
        headers: viewer,
        ip: '198.51.100.1',
      });
      expect(moved.result).toMatchObject({ statusCode: 401 });
    }
  });

  it('carries session, session end, token id, issue time and what it does not know, as they stand', async () => {
    const session = randomBytes(16).toString('base64url');
    const jti = randomBytes(16).toString('base64url');
    const given = { sid: session, sxp: NOW + 3600, jti, iat: NOW - 60, nbf: NOW - 60, aud: ['cdn'], '-70001': 'x' };
    for (const token of [await cat(given), await jwt({ ...given, 'x-own': [1] })]) {
      const said = decode(tokenIn(await start({ uri: `${startUrl}?CAT=${token}` })));
      expect(said.claims).toMatchObject({
        sid: session,
        sxp: NOW + 3600,
        exp: NOW + 3600,
        jti,
        iat: NOW - 60,
        aud: ['cdn'],
      });
    }
  });

  it('refuses what the function had to leave to it', async () => {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${part({ alg: 'none', typ: 'JWT', kid: 'cms' })}.${part(claims())}.`;
    const mac = await signCat(claims(), { alg: 'HS256', kid: 'cms', secret: new Uint8Array(edgeSecret) });
    const proved = { cnf: { jkt: Buffer.alloc(32).toString('base64url') } };
    for (const [reason, token] of [
      ['bad_signature', await cat({}, forgersKey)],
      ['bad_signature', await jwt({}, forgersKey)],
      ['unsupported_algorithm', none],
      ['unsupported_algorithm', mac],
      ['proof_required', await cat(proved)],
      ['replay_refused', await cat({ catreplay: 1 })],
      ['probabilistic_refusal', await cat({ catpor: [1, 'AAAA'] } as never)],
    ] as const)
      expect([reason, reasonOf(await start({ uri: `${startUrl}?CAT=${token}` }))]).toEqual([reason, reason]);
  });

  it('takes a token that demands proof of possession where the start is proved, if it is told to', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const jwk = await exportJWK(publicKey);
    const uri = '/start/live/ch1/main.m3u8';
    const proof = (htu = `https://cdn.example${uri}`): Promise<string> =>
      new SignJWT({ jti: randomUUID(), htm: 'GET', htu })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
        .setIssuedAt(NOW)
        .sign(privateKey);
    const lambdaSection = { proof: {}, hosts: ['cdn.example'] };
    const taking = lambdaOf(startConfig({ exchange: { proof: 'start' } }, { lambda: lambdaSection }));
    const token = await cat({ cnf: { jkt: await calculateJwkThumbprint(jwk) }, catdpop: { window: 60 } } as never);
    const ask = async (dpop: string | undefined, by = taking): Promise<LambdaResponse> =>
      start({ uri: `${uri}?CAT=${token}`, headers: { ...viewer, ...(dpop === undefined ? {} : { DPoP: dpop }) } }, by);
    const answer = await ask(await proof());
    expect(answer.status).toBe('307');
    expect(decode(tokenIn(answer)).claims).not.toHaveProperty('cnf');
    expect(reasonOf(await ask(undefined))).toBe('proof_required');
    expect(reasonOf(await ask(await proof('https://cdn.example/live/ch2/main.m3u8')))).toBe('proof_required');
    // Proved or not, where session tokens must not be weaker than the original.
    const refusing = lambdaOf(startConfig({}, { lambda: lambdaSection }));
    expect(reasonOf(await ask(await proof(), refusing))).toBe('proof_required');
  });

  it('refuses whatever the function did not seal for this request', async () => {
    const event = await started({ uri: `${startUrl}?CAT=${await cat()}` });
    const changed = (
      change: (cf: { config: object; request: { headers: Record<string, unknown>; uri: string } }) => void,
    ) => {
      const copy = structuredClone(event) as unknown as LambdaEvent;
      change(copy.Records[0].cf as never);
      return lambda(copy);
    };
    expect((await lambda(event)).status).toBe('307');
    const answers = await Promise.all([
      changed(({ request }) => delete request.headers[START_HEADER]),
      changed(({ config: about }) => Object.assign(about, { requestId: 'another' })),
      changed(({ request }) => (request.headers[START_HEADER] as unknown[]).push({ value: 'x' })),
      changed(({ request }) => {
        const line = (request.headers[START_HEADER] as { value: string }[])[0] as { value: string };
        line.value = line.value.replace(' signed ', ' mac ');
      }),
      changed(({ request }) => Object.assign(request, { uri: '/live/ch1/main.m3u8' })),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['503', '503', '503', '503', '503']);
    const nested = await started({ uri: `/start/start/x?CAT=${await cat({ catu: { path: { prefix: '/start/' } } })}` });
    expect(reasonOf(await lambda(nested))).toBe('ambiguous_path');
  });

  it('answers 503 while its key cannot be had, and recovers', async () => {
    let fails = true;
    const shaky = lambdaOf(config, {
      readSecret: () =>
        fails
          ? Promise.reject(new Error('down'))
          : Promise.resolve(JSON.stringify({ kid: 'edge', alg: 'HS256', k: edgeSecret.toString('base64url') })),
      now: () => (fails ? NOW : NOW + 10) * 1000,
    });
    const request = { uri: `${startUrl}?CAT=${await cat()}` };
    const down = await start(request, shaky);
    expect([down.status, reasonOf(down), down.headers?.['retry-after']?.[0]?.value]).toEqual([
      '503',
      'store_error',
      '1',
    ]);
    fails = false;
    expect((await start(request, shaky)).status).toBe('307');
  });

  it('narrows to the paths that the key is entitled to, in the store or at the Lambda', async () => {
    const token = await cat();
    const request = { uri: `${startUrl}?CAT=${token}` };
    const inStore = await start(request, lambda, { ...entries, 'k:cms': publicRecord({ paths: ['/live/ch1'] }) });
    expect(decode(tokenIn(inStore)).claims['catu']).toEqual({ path: { prefix: '/live/ch1/' } });
    const folders = lambdaOf(startConfig({ exchange: { paths: 'folder' } }));
    const other = await cat({ catu: { path: { suffix: '.m3u8' }, scheme: { exact: 'https' } } });
    expect(decode(tokenIn(await start({ uri: `${startUrl}?CAT=${other}` }, folders))).claims['catu']).toEqual({
      path: { suffix: '.m3u8', prefix: '/live/ch1/' },
      scheme: { exact: 'https' },
    });
  });

  it('passes tokens on that the function checks by itself, and what its mode lets through', async () => {
    const hmac = await signCat(claims(), { alg: 'HS256', kid: 'edge', secret: new Uint8Array(edgeSecret) });
    expect(location(await start({ uri: `${startUrl}?CAT=${hmac}` }))).toBe(`/live/${hmac}/ch1/main.m3u8`);
    const lenient = { ...entries, 'k:cms': publicRecord({ mode: 'log' }) };
    expect(location(await start({ uri: `${startUrl}?CAT=${await cat({ exp: 1 })}` }, lambda, lenient))).toBe(
      '/live/ch1/main.m3u8',
    );
    expect(location(await start({ uri: `${startUrl}?CAT=${await cat({}, forgersKey)}` }, lambda, lenient))).toBe(
      '/live/ch1/main.m3u8',
    );
  });

  it('sends nobody to another site, whatever the mode lets through', async () => {
    const open = startConfig({}, { mode: 'log' });
    const build = await compiledStart(open);
    const by = lambdaOf(open);
    for (const path of ['//evil.example/', '/\\evil.example/', '/%5cevil.example', '/../evil.example', '/start/x']) {
      const request = { uri: `/start${path}`, headers: viewer };
      const answer = await by(lambdaEvent(request, await throughFunction(host, build, request)));
      expect([path, reasonOf(answer), location(answer)]).toEqual([path, 'ambiguous_path', '']);
    }
    const plain = { uri: '/start/live/ch1/main.m3u8', headers: viewer };
    const passed = await by(lambdaEvent(plain, await throughFunction(host, build, plain)));
    expect(location(passed)).toBe('/live/ch1/main.m3u8');
  });

  it('writes the other format where it is told to', async () => {
    for (const [format, token] of [
      ['jwt', await cat({ catm: ['GET'], cath: { 'user-agent': { prefix: 'P' } } })],
      ['cat', await jwt({ catm: ['GET'], cath: { 'user-agent': { prefix: 'P' } } })],
    ] as const) {
      const by = lambdaOf(
        startConfig({ exchange: { format } }, { claims: { use: ['catu', 'catm', 'catnip', 'catgeoiso3166', 'cath'] } }),
      );
      const answer = await start(
        { uri: `${startUrl}?CAT=${token}`, headers: { ...viewer, 'User-Agent': 'Player' } },
        by,
      );
      const said = decode(tokenIn(answer));
      expect(said.format).toBe(format);
      expect(said.claims).toMatchObject({ catm: ['GET'], cath: { 'user-agent': { prefix: 'P' } } });
    }
  });

  it('makes no session of what the function would refuse, or ignore, on every segment', async () => {
    const token = await cat({ geohash: 'u33d' });
    const at = { ...viewer, 'CloudFront-Viewer-Latitude': '52.52', 'CloudFront-Viewer-Longitude': '13.40' };
    const request = { uri: `${startUrl}?CAT=${token}`, headers: at };
    expect(reasonOf(await start(request))).toBe('unsupported_claim');
    // Told to ignore claims that it was built without, the function would let such a session go anywhere.
    const ignoring = lambdaOf(startConfig({}, { claims: { uncompiled: 'ignore' } }));
    expect(reasonOf(await start(request, ignoring))).toBe('unsupported_claim');
    const use = ['catu', 'catm', 'catnip', 'catgeoiso3166', 'geohash'] as const;
    expect((await start(request, lambdaOf(startConfig({}, { claims: { use: [...use] } })))).status).toBe('307');
  });

  it('refuses what can be written in no session token, without asking anybody to come again', async () => {
    // As long as a token may be: with session, network and country it is longer.
    const rest = (await cat({ sub: 'x'.repeat(2000) })).length;
    const longest = await cat({ sub: 'x'.repeat(2000 + Math.floor(((4096 - rest) * 3) / 4)) });
    expect(longest.length).toBeGreaterThan(4090);
    const long = await start({ uri: `${startUrl}?CAT=${longest}` });
    expect([long.status, reasonOf(long)]).toEqual(['401', 'invalid_claim']);
    const intoCat = lambdaOf(startConfig({ exchange: { format: 'cat' } }));
    const other = await start({ uri: `${startUrl}?CAT=${await jwt({ sid: 'no bytes' })}` }, intoCat);
    expect([other.status, reasonOf(other)]).toEqual(['401', 'invalid_claim']);
  });

  it('binds to the country that CloudFront tells, and starts nobody where it tells none', async () => {
    const uri = `${startUrl}?CAT=${await cat()}`;
    const nowhere = { 'CloudFront-Viewer-ASN': '64500' };
    expect(reasonOf(await start({ uri, headers: nowhere }))).toBe('country_mismatch');
    const lenient = lambdaOf(startConfig({}, { claims: { onUnknown: { catgeoiso3166: 'allow' } } }));
    const said = decode(tokenIn(await start({ uri, headers: nowhere }, lenient)));
    expect(said.claims).not.toHaveProperty('catgeoiso3166');
    expect(said.claims).toMatchObject({ catnip: ['203.0.113.0/24'] });
  });

  it('keeps to GET and HEAD, and answers pages of other origins', async () => {
    const uri = `${startUrl}?CAT=${await cat()}`;
    expect(reasonOf(await start({ uri, method: 'POST' }))).toBe('method_mismatch');
    const answer = await start({ uri, headers: { ...viewer, Origin: 'https://page.example' } });
    expect(answer.headers?.['access-control-allow-origin']?.[0]?.value).toBe('*');
  });
});

describe('the exchange by cookie', () => {
  const byCookie = lambdaOf(cookieConfig);
  const cookieOf = (answer: LambdaResponse): string => answer.headers?.['set-cookie']?.[0]?.value ?? '';

  it('sets a cookie, and goes on to the content when it comes back', async () => {
    const first = await start({ uri: `${startUrl}?CAT=${await cat()}` }, byCookie);
    expect(location(first)).toMatch(new RegExp(`^/start/live/[\\w-]+/ch1/main.m3u8\\?${MARKER}=`));
    expect(cookieOf(first)).toMatch(/^CAT=[\w-]+; Path=\/; Max-Age=7200; Secure; HttpOnly; SameSite=None$/);
    const fresh = cookieOf(first).split(';')[0] as string;
    const second = await start({ uri: location(first), cookies: fresh }, byCookie);
    expect([location(second), cookieOf(second)]).toEqual(['/live/ch1/main.m3u8', '']);
    const segment = await throughFunction(host, folder, { uri: '/live/ch1/seg1.m4s', cookies: fresh });
    expect(segment.result).toMatchObject({ uri: '/live/ch1/seg1.m4s' });
  });

  it('goes into the path when it does not, without another cookie', async () => {
    const first = await start({ uri: `${startUrl}?b=2&CAT=${await cat()}` }, byCookie);
    const second = await start({ uri: location(first) }, byCookie);
    expect(cookieOf(second)).toBe('');
    expect(location(second)).toMatch(/^\/live\/[\w-]+\/ch1\/main\.m3u8\?b=2$/);
    // Whatever stands there instead of the marker, nobody is sent round.
    const wild = await start({ uri: `${startUrl}?${MARKER}=x&CAT=${await cat()}` }, byCookie);
    expect(location(wild)).toMatch(/^\/live\/[\w-]+\/ch1\/main\.m3u8$/);
  });

  it('gives a one-time token its second way once, to the viewer that was sent on it', async () => {
    const spent = new Map<string, string[]>();
    const store: OneTimeStore = {
      spend: (id, by) => Promise.resolve(!spent.has(id) && !!spent.set(id, [by])),
      spendAgain: (id, by) => Promise.resolve(spent.get(id)?.length === 1 && !!spent.get(id)?.push(by)),
    };
    const once = lambdaOf(cookieConfig, { oneTime: store });
    const uri = `${startUrl}?CAT=${await cat({ catreplay: 1 })}`;
    const first = await start({ uri }, once);
    const back = location(first);
    expect(reasonOf(await start({ uri }, once))).toBe('replay_refused');
    expect(reasonOf(await start({ uri: back.replace(/=[^.=]+\./, '=zzzzzz.') }, once))).toBe('replay_refused');
    expect(reasonOf(await start({ uri: back, ip: '203.0.113.10' }, once))).toBe('replay_refused');
    expect((await start({ uri: back }, once)).status).toBe('307');
    expect(reasonOf(await start({ uri: back }, once))).toBe('replay_refused');
  });
});
