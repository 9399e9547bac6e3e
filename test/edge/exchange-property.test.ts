// Whatever an exchanged token admits, the original admitted: over made-up originals, exchange policies, starts and requests.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readableOf } from '../../edge/exchange/exchange.js';
import { narrow, NotExchangeable, type StartFacts } from '../../edge/exchange/narrow.js';
import type { ExchangePolicy } from '../../edge/exchange/policy.js';
import { writeToken } from '../../edge/exchange/write-token.js';
import { parseToken } from '../../tokens/src/core/gate.js';
import { signCat, signJwt, verifyRequest, type Claims, type EntitledKey } from '../../tokens/src/index.js';

const NOW = 1_800_000_000;
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const signing = { alg: 'ES256', kid: 'cms', privateKey: pair.privateKey } as const;
const secret = randomBytes(32);
const paths = [
  '/live/ch1/main.m3u8',
  '/live/ch1/a/seg1.m4s',
  '/live/ch2/main.m3u8',
  '/live-secret/x.ts',
  '/live',
  '/vod/f/1.mp4',
];
const prefixes = ['/', '/live', '/live/', '/live/ch1/', '/live/ch1/m', '/vod/'];
const networks = [
  '203.0.113.0/24',
  '203.0.0.0/16',
  '0.0.0.0/0',
  '198.51.100.0/24',
  '2001:db8::/32',
  '2001:db8:1:100::/56',
  '203.0.113.9/32',
];
const addresses = ['203.0.113.9', '203.0.113.200', '203.0.7.1', '198.51.100.4', '2001:db8:1:1ff::1', '2001:db8:2::1'];
const places = ['DE', 'DE-BE', 'de', 'US', 'US-CA', 'FR'];

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined, freq: 1 });
const some = <T>(values: readonly T[]): fc.Arbitrary<T[]> =>
  fc.uniqueArray(oneOf(...values), { minLength: 1, maxLength: 4 });

const original = fc.record({
  exp: maybe(oneOf(NOW + 1, NOW + 1.5, NOW + 600, NOW + 86_400)),
  nbf: maybe(oneOf(NOW - 600, NOW)),
  iat: maybe(oneOf(NOW - 60)),
  sxp: maybe(oneOf(NOW + 30, NOW + 7200.25)),
  sid: maybe(oneOf(Buffer.alloc(16, 3).toString('base64url'))),
  iss: maybe(oneOf('cms', 'other')),
  sub: maybe(oneOf('v1')),
  aud: maybe(oneOf<string | string[]>('cdn', ['cdn', 'x'])),
  catm: maybe(some(['GET', 'HEAD', 'POST'])),
  catu: maybe(
    fc
      .record(
        {
          path: oneOf<object>(
            ...prefixes.map((prefix) => ({ prefix })),
            { exact: '/live/ch1/main.m3u8' },
            { suffix: '.m3u8' },
            { contains: 'ch1' },
            { regex: ['^/live/(ch1|ch2)/', null] },
          ),
          host: oneOf({ exact: 'cdn.example' }),
          extension: oneOf({ exact: '.m3u8' }),
          parent: oneOf({ prefix: '/live' }),
        },
        { requiredKeys: [] },
      )
      .filter((map) => Object.keys(map).length > 0),
  ),
  catnip: maybe(some<string | number>([...networks, 64500, 64501])),
  catgeoiso3166: maybe(some(places)),
  cath: maybe(oneOf({ 'user-agent': { prefix: 'P' } })),
  catreplay: maybe(oneOf(0, 1, 2)),
  catr: maybe(oneOf({ type: 'redirect', expext: 600, deadline: 60 })),
});

const policies: fc.Arbitrary<ExchangePolicy> = fc.record({
  format: oneOf('same', 'cat', 'jwt'),
  lifetime: oneOf(60, 3600, 604_800),
  session: maybe(oneOf(90, 7200)),
  network: fc.boolean(),
  country: fc.boolean(),
  paths: oneOf('keep', 'folder'),
  methods: maybe(some(['GET', 'HEAD', 'OPTIONS'])),
  renewal: oneOf('keep', 'drop'),
  proof: oneOf('refuse'),
  understood: oneOf(['catr', 'catreplay'], []),
});

const requests = fc.record({
  path: oneOf(...paths),
  method: oneOf('GET', 'HEAD', 'POST'),
  address: oneOf(...addresses),
  asn: oneOf('64500', '64501'),
  country: oneOf('DE', 'US', 'FR', undefined),
  region: oneOf('BE', 'CA', undefined),
  agent: oneOf('Player', 'Other'),
  host: oneOf('cdn.example', 'other.example'),
  later: oneOf(0, 1, 45, 599, 3599, 100_000),
});
type Asked = typeof requests extends fc.Arbitrary<infer T> ? T : never;

const asRequest = (asked: Asked, token: string) => ({
  url: `https://${asked.host}${asked.path}`,
  method: asked.method,
  address: asked.address,
  headers: {
    'CTA-Common-Access-Token': token,
    'User-Agent': asked.agent,
    'CloudFront-Viewer-ASN': asked.asn,
    'CloudFront-Viewer-Country': asked.country,
    'CloudFront-Viewer-Country-Region': asked.country && asked.region,
  },
});

it('never admits what the original did not', { timeout: 60_000 }, async () => {
  let admitted = 0;
  let exchanged = 0;
  await fc.assert(
    fc.asyncProperty(
      original,
      policies,
      requests,
      fc.array(requests, { minLength: 9, maxLength: 9 }),
      fc.boolean(),
      maybe(some(['/live', '/live/ch1', '/'])),
      fc.boolean(),
      async (made, policy, start, others, asJwt, entitled, exactAddresses) => {
        const claims = Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)) as Claims;
        const token = await (asJwt ? signJwt(claims, signing) : signCat(claims, signing));
        const key = {
          alg: 'ES256',
          kid: 'cms',
          publicKey: pair.publicKey,
          ...(entitled ? { paths: entitled } : {}),
        } as EntitledKey;
        const by = (asked: Asked) => ({ clock: () => (NOW + asked.later) * 1000, exactAddresses });
        const admits = async (text: string, asked: Asked, keys: Parameters<typeof verifyRequest>[1]['keys']) =>
          (await verifyRequest(asRequest(asked, text), { keys, ...by(asked) })).reason === undefined;
        const begin = { ...start, later: 0 };
        if (!(await admits(token, begin, [key]))) return;
        const facts: StartFacts = {
          now: NOW,
          path: start.path,
          address: start.address,
          country: start.country,
          region: start.country && start.region,
          asn: start.asn,
          entitled: (entitled ?? [])
            .filter((path) => `${start.path}/`.startsWith(path === '/' ? path : `${path}/`))
            .slice(0, 1),
          newSession: randomBytes(16).toString('base64url'),
        };
        const parsed = parseToken(token);
        let fresh: string;
        try {
          const readable = readableOf(parsed);
          fresh = await writeToken(parsed, readable, narrow(readable, facts, policy), policy.format, {
            kid: 'edge',
            secret,
          });
        } catch (error) {
          if (error instanceof NotExchangeable) return;
          throw error;
        }
        exchanged += 1;
        const edge = { alg: 'HS256', kid: 'edge', secret: new Uint8Array(secret) } as const;
        // Requests that differ from the start in one thing each, and others that have little to do with it.
        const near = others.map(
          (other, i) =>
            ({ ...begin, ...Object.fromEntries([Object.entries(other)[i % 9] as [string, unknown]]) }) as Asked,
        );
        for (const asked of [begin, ...near, ...others.slice(0, 2)]) {
          if (!(await admits(fresh, asked, [edge]))) continue;
          admitted += 1;
          expect([asked, claims, policy, await admits(token, asked, [key])]).toEqual([asked, claims, policy, true]);
        }
      },
    ),
    { numRuns: 700 },
  );
  // Not by admitting nothing.
  expect(exchanged).toBeGreaterThan(50);
  expect(admitted).toBeGreaterThan(exchanged);
});
