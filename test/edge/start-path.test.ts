// The start path in the real engines: what the compiled viewer-request function lets through to Lambda@Edge, sealed, and
// what it refuses by itself.
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { openSeal, START_HEADER } from '../../edge/exchange/seal.js';
import { functionHosts, type HostResult, type RequestParts } from '../../scripts/engine/index.js';
import { signCat, signJwt } from '../../tokens/src/index.js';
import { revocationPlace } from '../engine/token-maker.js';
import {
  cat,
  claims,
  compiledStart,
  edgeRecord,
  edgeSecret,
  entries,
  forgersKey,
  jwt,
  lambdaEvent,
  NOW,
  publicRecord,
  startConfig,
  throughFunction,
  viewer,
} from './starting.js';

const hosts = await functionHosts();
const folder = await compiledStart(startConfig());
const everything = await compiledStart(startConfig({ unknownKeys: true }, { profile: 'full' }));
const edgeKey = { alg: 'HS256', kid: 'edge', secret: new Uint8Array(edgeSecret) } as const;
const secretOf = (kid: string): Promise<Buffer | undefined> => Promise.resolve(kid === 'edge' ? edgeSecret : undefined);

type Sent = { readonly headers: Record<string, { readonly value: string }>; readonly uri: string };
const sent = (result: HostResult): Sent => result.result as unknown as Sent;
const reason = (result: HostResult): string | undefined => {
  const headers = sent(result).headers;
  return (result.result as { statusCode?: number }).statusCode ? headers['x-portcullis-reason']?.value : undefined;
};
const opened = (request: RequestParts, result: HostResult, requestId?: string): ReturnType<typeof openSeal> => {
  const { config, request: forwarded } = lambdaEvent(request, result).Records[0].cf;
  return openSeal(forwarded, requestId ?? config.requestId, secretOf);
};

describe.each(hosts)('the start path in $name', (host) => {
  const ask = (request: RequestParts, store = entries, build = folder): Promise<HostResult> =>
    throughFunction(host, build, request, store);
  const it = test.skipIf(host.missing);

  it('lets a public-key token through, sealed for this request alone', async () => {
    for (const token of [await cat(), await jwt()]) {
      const request = { uri: `/start/live/ch1/main.m3u8?a=1&CAT=${token}` };
      const result = await ask(request);
      expect(sent(result).uri).toBe('/start/live/ch1/main.m3u8');
      expect(JSON.stringify(lambdaEvent(request, result).Records[0].cf.request.querystring)).toBe('"a=1"');
      expect(await opened(request, result)).toEqual({ mode: 'enforce', kind: 'signed', entitled: '/', token });
      expect(await opened(request, result, 'another request')).toBeUndefined();
    }
  });

  it('finds the token in the path behind the start, and in the header', async () => {
    const token = await cat();
    for (const request of [
      { uri: `/start/live/${token}/ch1/main.m3u8` },
      { uri: '/start/live/ch1/main.m3u8', headers: { ...viewer, 'CTA-Common-Access-Token': token } },
    ]) {
      const result = await ask(request);
      expect(sent(result).uri).toBe('/start/live/ch1/main.m3u8');
      expect(await opened(request, result)).toMatchObject({ kind: 'signed', token });
    }
  });

  it('refuses public-key tokens everywhere else', async () => {
    const token = await cat();
    for (const uri of ['/live/ch1/main.m3u8', '/starting/live/x', '/start', '/%73tart/live/ch1/main.m3u8'])
      expect(reason(await ask({ uri: `${uri}?CAT=${token}` }))).toBe('unsupported_algorithm');
  });

  it('takes away what a viewer sends under the name of the seal', async () => {
    const token = await signCat(claims({ catu: { path: { prefix: '/' } } }), edgeKey);
    const forged = { ...viewer, [START_HEADER]: 'edge enforce signed / x y' };
    const elsewhere = await ask({ uri: `/live/ch1/main.m3u8?CAT=${token}`, headers: forged });
    expect(sent(elsewhere).headers[START_HEADER]).toBeUndefined();
    const request = {
      uri: `/start/live/ch1/main.m3u8?CAT=${token}`,
      headers: { ...viewer, [START_HEADER]: ['a', 'b'] },
    };
    expect(await opened(request, await ask(request))).toMatchObject({ kind: 'mac', token });
  });

  it('still checks everything but the signature', async () => {
    const at = (token: string, path = '/live/ch1/main.m3u8'): RequestParts => ({ uri: `/start${path}?CAT=${token}` });
    const session = Buffer.alloc(16, 7).toString('base64url');
    const { key, fingerprint } = revocationPlace('s', session);
    const cases: [string, RequestParts, Record<string, string>?][] = [
      ['expired', at(await cat({ exp: NOW }))],
      ['not_yet_valid', at(await cat({ nbf: NOW + 1 }))],
      ['uri_mismatch', at(await cat(), '/vod/film/main.m3u8')],
      ['uri_mismatch', at(await cat({ catu: { path: { prefix: '/start/' } } }))],
      ['country_mismatch', at(await cat({ catgeoiso3166: ['FR'] }))],
      ['network_mismatch', at(await cat({ catnip: ['198.51.100.0/24'] }))],
      ['method_mismatch', at(await cat({ catm: ['POST'] }))],
      ['invalid_claim', at(await cat({ catu: { path: { prefix: '/live/' } }, catm: [] }))],
      ['revoked', at(await cat({ sid: session })), { ...entries, [key]: `,${fingerprint}` }],
      ['not_entitled', at(await cat()), { ...entries, 'k:cms': publicRecord({ paths: ['/vod'] }) }],
      ['issuer_mismatch', at(await cat()), { ...entries, 'k:cms': publicRecord({ iss: ['cms'] }) }],
      ['unknown_key', at(await cat()), { 'k:edge': edgeRecord }],
      ['malformed_token', at(`${await cat()}A`)],
      ['ambiguous_path', at(await cat(), '/live//ch1/main.m3u8')],
      ['ambiguous_path', at(await cat(), '/live/../ch1/main.m3u8')],
      ['missing_token', { uri: '/start/live/ch1/main.m3u8' }],
    ];
    for (const [expected, request, store] of cases)
      expect([expected, reason(await ask(request, store ?? entries))]).toEqual([expected, expected]);
  });

  it('leaves proofs, one use and the dice to the Lambda, and claims that it does not know', async () => {
    const token = await cat({
      catreplay: 1,
      cnf: { jkt: Buffer.alloc(32).toString('base64url') },
      catdpop: { window: 60 },
      catpor: [1, Buffer.alloc(4).toString('base64url')],
    } as never);
    for (const build of [folder, everything]) {
      const request = { uri: `/start/live/ch1/main.m3u8?CAT=${token}` };
      expect(await opened(request, await ask(request, entries, build))).toMatchObject({ kind: 'signed' });
    }
  });

  it('does nothing that an unchecked token asks for', async () => {
    const asking = {
      exp: NOW - 1,
      catif: { exp: [302, { Location: 'https://evil.example/' }] },
    } as never;
    const result = await ask(
      { uri: `/start/live/ch1/main.m3u8?CAT=${await cat(asking, forgersKey)}` },
      entries,
      everything,
    );
    expect(reason(result)).toBe('expired');
    expect(JSON.stringify(result.result)).not.toContain('evil');
    const renewing = await cat({ exp: NOW + 5, catr: { type: 'redirect', expext: 3600, deadline: 60 } }, forgersKey);
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${renewing}` };
    expect(await opened(request, await ask(request, entries, everything))).toMatchObject({ token: renewing });
  });

  it('prefers a token whose MAC it has checked', async () => {
    const hmac = await signCat(claims(), edgeKey);
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${await cat()}`, cookies: `CAT=${hmac}` };
    expect(await opened(request, await ask(request))).toMatchObject({ kind: 'mac', token: hmac });
    const bad = { ...request, cookies: `CAT=${hmac.slice(0, -2)}AA` };
    expect(await opened(bad, await ask(bad))).toMatchObject({ kind: 'signed' });
  });

  it('tells the path that the key is entitled to', async () => {
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${await cat()}` };
    const result = await ask(request, { ...entries, 'k:cms': publicRecord({ paths: ['/vod', '/live/ch1'] }) });
    expect(await opened(request, result)).toMatchObject({ entitled: '/live/ch1' });
  });

  it('takes kids that the store does not know only where it is told to', async () => {
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${await jwt()}` };
    const store = { 'k:edge': edgeRecord };
    expect(await opened(request, await ask(request, store, everything))).toMatchObject({ kind: 'signed' });
    const elsewhere = { uri: `/live/ch1/main.m3u8?CAT=${await jwt()}` };
    expect(reason(await ask(elsewhere, store, everything))).toBe('unknown_key');
  });

  it('never takes a token for an HMAC key as one to be checked later', async () => {
    const claimsOf = claims();
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const body = `${part({ alg: 'none', typ: 'JWT', kid: 'edge' })}.${part(claimsOf)}`;
    const es = `${part({ alg: 'ES256', typ: 'JWT', kid: 'edge' })}.${part(claimsOf)}`;
    const forged = createHmac('sha256', 'guess').update(es).digest('base64url');
    for (const token of [`${body}.`, `${es}.${forged}`])
      expect(reason(await ask({ uri: `/start/live/ch1/main.m3u8?CAT=${token}` }))).toBe('unsupported_algorithm');
    const wrong = await signJwt(claimsOf, { ...edgeKey, secret: new Uint8Array(32) });
    expect(reason(await ask({ uri: `/start/live/ch1/main.m3u8?CAT=${wrong}` }))).toBe('bad_signature');
  });

  it('answers 503 without the sealing key', async () => {
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${await cat()}` };
    const { 'k:cms': cms = '' } = entries;
    expect((await ask(request, { 'k:cms': cms })).result).toMatchObject({ statusCode: 503 });
  });

  it('seals what its mode lets through, and says that no token was good', async () => {
    const request = { uri: `/start/live/ch1/main.m3u8?CAT=${await cat({ exp: NOW })}` };
    const result = await ask(request, { ...entries, 'k:cms': publicRecord({ mode: 'log' }) });
    expect(await opened(request, result)).toMatchObject({ mode: 'log', kind: 'none' });
  });
});
