import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { decode, signCat, signJwt, type Claims } from '@portcullis/tokens';
import {
  context,
  lambdaRequest,
  settings,
  validatorConfig,
  type LambdaRequestOptions,
} from '../../test/edge/requests.js';
import { ANSWER_BYTES, answerBytes } from '../answer.js';
import type { LambdaEvent, LambdaResponse, LambdaResult } from '../event.js';
import { proofsIn } from '../proof-store.js';
import type { OneTimeStore } from '../replay/index.js';
import { createGuard, type GuardConfig, type GuardPorts } from './guard.js';

const now = 1_800_000_000;
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const keys = [{ kind: 'jwks', jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'cms' }] } }] as const;
const sign = (claims: Claims): Promise<string> => signCat(claims, { alg: 'ES256', kid: 'cms', privateKey });

function guard(changes: Partial<GuardConfig> = {}, ports: GuardPorts = {}) {
  const lines: Record<string, unknown>[] = [];
  const handler = createGuard(
    { ...validatorConfig({ eventType: 'viewer-request', keys }), sample: 0, ...changes },
    { now: () => now * 1000, log: (line) => lines.push(JSON.parse(line) as Record<string, unknown>), ...ports },
  );
  const ask = (options: LambdaRequestOptions): Promise<LambdaResult> => {
    const event: LambdaEvent = { Records: [{ cf: { config: context, request: lambdaRequest(options) } }] };
    return handler(event);
  };
  return { ask, lines };
}

const headersOf = (result: LambdaResult): Record<string, string | undefined> =>
  Object.fromEntries(
    Object.entries((result as LambdaResponse).headers ?? {}).map(([name, lines]) => [name, lines[0]?.value]),
  );

describe('the guard', () => {
  it('lets a good token pass in silence, and says of a refused one why, but not what it was', async () => {
    const { ask, lines } = guard();
    const good = await sign({ exp: now + 1, sub: 'viewer', jti: 'AAECAwQFBgcICQoLDA0ODw' });
    expect(await ask({ query: `CAT=${good}` })).toMatchObject({ uri: '/live/ch1/main.m3u8', querystring: '' });
    expect(lines).toEqual([]);
    const late = await sign({ exp: now, sub: 'viewer', jti: 'AAECAwQFBgcICQoLDA0ODw' });
    expect(await ask({ query: `CAT=${late}` })).toMatchObject({ status: '401' });
    expect(lines).toEqual([
      { id: 'request-1', r: 'expired', m: 'enforce', k: 'cms', t: 'AAECAwQFBgcICQoLDA0ODw', u: [], a: 'ES256' },
    ]);
    expect(JSON.stringify(lines)).not.toContain(late.slice(0, 20));
  });

  it('logs a sample of what it admits', async () => {
    let dice = 0.4;
    const { ask, lines } = guard({ sample: 0.5 }, { random: () => dice });
    const query = `CAT=${await sign({ exp: now + 1 })}`;
    await ask({ query });
    dice = 0.6;
    await ask({ query });
    expect(lines).toMatchObject([{ r: '' }]);
  });

  it('says nothing of what a forged token claims', async () => {
    const { ask, lines } = guard();
    const forged = await signCat(
      { jti: 'AAECAwQFBgcICQoLDA0ODw' },
      { alg: 'ES256', kid: 'cms', privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
    );
    await ask({ query: `CAT=${forged}` });
    expect(lines).toEqual([{ id: 'request-1', r: 'bad_signature', m: 'enforce', k: 'cms', u: [] }]);
  });

  it('only logs in mode log, and forwards no token even then', async () => {
    const { ask, lines } = guard({ policy: { ...validatorConfig().policy, mode: 'log' } });
    const late = await sign({ exp: now });
    const result = await ask({ uri: `/${late}/live/a.ts`, headers: { Cookie: `CAT=${late}; a=b` } });
    expect(result).toMatchObject({ uri: '/live/a.ts', headers: { cookie: [{ key: 'Cookie', value: 'a=b' }] } });
    expect(lines).toMatchObject([{ r: 'expired', m: 'log' }]);
  });

  it('answers preflights, which carry no token', async () => {
    const { ask } = guard();
    const result = await ask({ method: 'OPTIONS', headers: { Origin: 'https://player.example' } });
    expect(result).toMatchObject({ status: '204', statusDescription: 'No Content' });
    expect(headersOf(result)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': '*',
      'cache-control': 'no-store',
    });
    const plain = guard({ settings: { ...settings, cors: false } });
    expect(await plain.ask({ method: 'OPTIONS' })).toMatchObject({ status: '401' });
  });

  it('makes refusals readable for the pages that are allowed, and for no other', async () => {
    const { ask } = guard({
      settings: {
        ...settings,
        corsOrigins: ['https://player.example'],
        corsCredentials: true,
        exposed: 'x-portcullis-reason',
      },
    });
    expect(headersOf(await ask({ headers: { Origin: 'https://player.example' } }))).toMatchObject({
      'access-control-allow-origin': 'https://player.example',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-portcullis-reason',
      vary: 'Origin',
    });
    const other = headersOf(await ask({ headers: { Origin: 'https://evil.example' } }));
    expect([other['access-control-allow-origin'], other['vary']]).toEqual([undefined, 'Origin']);
  });

  it('answers what the token’s catif says, signed by a key that is not taken for the token’s own', async () => {
    const secrets = { keys: [{ kty: 'oct', alg: 'HS256', kid: 'mint', k: randomBytes(32).toString('base64url') }] };
    const { ask, lines } = guard(
      { keys: [...keys, { kind: 'secret', secret: 's', region: 'us-east-1' }] },
      { readSecret: () => Promise.resolve(JSON.stringify(secrets)) },
    );
    const location = ['https://shop.example/?t=', { sub: 'viewer', iat: null }];
    const token = await sign({ exp: now, catif: { exp: [302, { Location: location }, 'mint'] } });
    const result = await ask({ query: `CAT=${token}` });
    expect((result as LambdaResponse).status).toBe('302');
    const minted = headersOf(result)['location']?.split('t=')[1] ?? '';
    expect(decode(minted)).toMatchObject({ kid: 'mint', claims: { sub: 'viewer', iat: now } });
    expect(lines).toMatchObject([{ k: 'cms', a: 'ES256' }]);
  });

  it('answers in no more bytes than its event may have, whatever a token asks for', async () => {
    const secrets = { keys: [{ kty: 'oct', alg: 'HS256', kid: 'mint', k: randomBytes(32).toString('base64url') }] };
    const askAt = (eventType: 'viewer-request' | 'origin-request') =>
      guard(
        { eventType, keys: [...keys, { kind: 'secret', secret: 's', region: 'us-east-1' }] },
        { readSecret: () => Promise.resolve(JSON.stringify(secrets)) },
      ).ask;
    // Tokens within the token: three characters each, and thirty times as many when they are made.
    const asking = async (count: number): Promise<string> => {
      const catif = { exp: [302, { 'x-tokens': Array.from({ length: count }, () => ({})) }, 'mint'] };
      return signJwt({ exp: now, catif } as unknown as Claims, { alg: 'ES256', kid: 'cms', privateKey });
    };
    const few = await askAt('viewer-request')({ query: `CAT=${await asking(100)}` });
    expect((few as LambdaResponse).status).toBe('302');
    const query = `CAT=${await asking(900)}`;
    const many = await askAt('viewer-request')({ query });
    expect(many).toMatchObject({ status: '401', body: '{"error":"expired","id":"request-1"}' });
    expect(headersOf(many)).not.toHaveProperty('x-tokens');
    const there = (await askAt('origin-request')({ query })) as LambdaResponse;
    expect(there.status).toBe('302');
    expect(answerBytes(there)).toBeGreaterThan(ANSWER_BYTES['viewer-request']);
    expect(answerBytes(there)).toBeLessThan(ANSWER_BYTES['origin-request']);
  });

  it('lets nothing pass when something of ours breaks', async () => {
    const broken = {
      ...validatorConfig({ eventType: 'viewer-request', keys }),
      sample: 1,
    };
    const handler = createGuard(broken, {
      log: () => {
        throw new Error('no log');
      },
    });
    const result = await handler({ Records: [{ cf: { config: context, request: lambdaRequest() } }] });
    expect(result).toMatchObject({ status: '503', body: '{"error":"internal_error","id":"request-1"}' });
  });

  it('tells a blackout and its slate where it can read records', async () => {
    const records: Record<string, string> = {
      'b:ch1': JSON.stringify({ deny: { country: ['US'] }, slate: '/slate/index.m3u8' }),
    };
    const policy = { ...validatorConfig().policy, contentId: /^\/live\/([^/]+)/ };
    const { ask } = guard({ eventType: 'origin-request', policy }, { read: (key) => Promise.resolve(records[key]) });
    const token = await sign({ exp: now + 1 });
    const from = (country: string, uri: string) =>
      ask({ uri, query: `CAT=${token}`, headers: { 'CloudFront-Viewer-Country': country } });
    expect(await from('US', '/live/ch1/a.ts')).toMatchObject({ status: '451' });
    expect(await from('US', '/live/ch1/main.m3u8')).toMatchObject({ uri: '/slate/index.m3u8', querystring: '' });
    expect(await from('GB', '/live/ch1/a.ts')).toMatchObject({ uri: '/live/ch1/a.ts' });
  });
});

describe('proofs in the store of used tokens', () => {
  it('are good once, by names of their own', async () => {
    const spent = new Map<string, string>();
    const store: OneTimeStore = {
      spend: (id, by) => Promise.resolve(!spent.has(id) && !!spent.set(id, by)),
      spendAgain: () => Promise.resolve(false),
    };
    const proofs = proofsIn(store);
    expect([await proofs.spend('a', now), await proofs.spend('a', now), await proofs.spend('b', now)]).toEqual([
      true,
      false,
      true,
    ]);
    expect([...spent.keys()]).toEqual(['proof-a', 'proof-b']);
    const down = proofsIn({ ...store, spend: () => Promise.reject(new Error('throttled')) });
    await expect(down.spend('c', now)).rejects.toThrow('throttled');
  });
});
