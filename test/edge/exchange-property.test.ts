// Whatever an exchanged token opens, the original did: over made-up originals, exchange policies, starts and requests. The
// start goes the whole way, through the compiled function and the handler; what the session opens, the compiled function
// says; what the original would have opened, the evaluator with every claim.
import { createPublicKey, generateKeyPairSync, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { calculateJwkThumbprint, exportJWK, SignJWT } from 'jose';
import { beforeAll, expect, it } from 'vitest';
import type { ExchangePolicy } from '../../edge/exchange/policy.js';
import { startHandler, type StartSettings } from '../../edge/handlers/start.js';
import type { OneTimeStore } from '../../edge/replay/index.js';
import { startSettings } from '../../scripts/build/start-settings.js';
import { nodeVmHost, viewerRequestEvent, type HostResult, type RequestParts } from '../../scripts/engine/index.js';
import { decode, signCat, signJwt, verifyRequest, type Claims, type EntitledKey } from '../../tokens/src/index.js';
import {
  compiledStart,
  edgeRecord,
  edgeSecret,
  lambdaEvent,
  location,
  NOW,
  publicJwk,
  publicRecord,
  signingKey,
  startConfig,
  throughFunction,
} from './starting.js';

const paths = [
  '/live/ch1/main.m3u8',
  '/live/ch1/a/seg1.m4s',
  '/live/ch2/main.m3u8',
  '/live-secret/x.ts',
  '/live/a',
  '/vod/f/1.mp4',
];
const addresses = ['203.0.113.9', '203.0.113.200', '203.0.7.1', '198.51.100.4', '2001:db8:1:1ff::1', '2001:db8:2::1'];
const places = {
  DE: { region: 'BE', latitude: '52.52000', longitude: '13.40500', geohash: 'u33d' },
  US: { region: 'CA', latitude: '37.77490', longitude: '-122.41940', geohash: '9q8y' },
  FR: { region: 'IDF', latitude: '48.85660', longitude: '2.35220', geohash: 'u09t' },
} as const;
type Country = keyof typeof places;

/** A viewer's request for content. */
interface Asked {
  readonly path: string;
  readonly method: string;
  readonly address: string;
  readonly asn: string;
  readonly country: Country | undefined;
  readonly region: 'usual' | 'another';
  readonly agent: string;
  readonly host: string;
  readonly version: string;
  readonly query: string;
  /** Seconds after the start. */
  readonly later: number;
}

const regionOf = (country: Country, region: Asked['region']): string =>
  region === 'usual' ? places[country].region : 'X';

const pick = <T>(gen: fc.GeneratorValue, values: readonly T[]): T => gen(() => fc.constantFrom(...values));
const chance = (gen: fc.GeneratorValue, percent: number): boolean =>
  gen(() => fc.integer({ min: 0, max: 99 })) < percent;

const requestOf = (gen: fc.GeneratorValue): Asked => ({
  path: pick(gen, paths),
  method: pick(gen, ['GET', 'GET', 'HEAD', 'POST']),
  address: pick(gen, addresses),
  asn: pick(gen, ['64500', '64501']),
  country: pick(gen, ['DE', 'US', 'FR', 'DE', 'US', 'FR', undefined]),
  region: pick(gen, ['usual', 'another']),
  agent: pick(gen, ['Player', 'Other']),
  host: pick(gen, ['cdn.example', 'cdn.example', 'other.example']),
  version: pick(gen, ['1.1', '2.0']),
  query: pick(gen, ['', 'a=1', 'a=2']),
  later: pick(gen, [0, 1, 45, 95, 599, 3599, 7199, 7201, 100_000]),
});

/** Mostly what admits the start, and sometimes what does not, or as well. */
const around = <T>(gen: fc.GeneratorValue, right: T, others: readonly T[]): T[] => {
  const list = chance(gen, 90) ? [right] : [];
  while (list.length === 0 || chance(gen, 40)) list.push(pick(gen, others));
  return list;
};

/** An original's claims, most of them such that the start is admitted. */
function claimsOf(gen: fc.GeneratorValue, start: Asked): Claims {
  const { path, address, country } = start;
  const place = places[country ?? 'DE'];
  const folder = path.slice(0, path.lastIndexOf('/') + 1);
  const wide = address.includes(':') ? '2001:db8::/32' : '203.0.0.0/16';
  const narrow = address.includes(':') ? '2001:db8:1:100::/56' : '203.0.113.0/24';
  const made: Record<string, () => unknown> = {
    exp: () => pick(gen, [NOW + 1, NOW + 60, NOW + 600.5, NOW + 7200, NOW + 86_400]),
    nbf: () => pick(gen, [NOW - 600, NOW]),
    iat: () => NOW - 60,
    sxp: () => pick(gen, [NOW + 30, NOW + 600, NOW + 7200.25]),
    sid: () => Buffer.alloc(16, 3).toString('base64url'),
    jti: () => Buffer.from(randomUUID()).subarray(0, 16).toString('base64url'),
    iss: () => pick(gen, ['cms', 'cms', 'other']),
    sub: () => 'v1',
    aud: () => pick<unknown>(gen, ['cdn', ['cdn', 'x']]),
    catv: () => 1,
    catm: () => around(gen, start.method, ['GET', 'HEAD', 'POST']),
    catu: () => {
      const parts: Record<string, () => object> = {
        path: () =>
          pick<object>(gen, [
            { prefix: folder },
            { prefix: path.slice(0, 5) },
            { prefix: '/' },
            { prefix: path.slice(0, -2), suffix: path.slice(-2) },
            { exact: path },
            { contains: path.slice(2, 6) },
            { regex: ['^/(live|vod)/(.*)$', null] },
            { prefix: '/live/' },
          ]),
        host: () => ({ exact: 'cdn.example' }),
        extension: () => ({ exact: path.slice(path.lastIndexOf('.')) }),
        parent: () => ({ prefix: '/' }),
        query: () => pick<object>(gen, [{ exact: start.query }, { prefix: '' }]),
        scheme: () => ({ exact: 'https' }),
      };
      const names = Object.keys(parts).filter(() => chance(gen, 35));
      return Object.fromEntries((names.length > 0 ? names : ['path']).map((name) => [name, parts[name]?.()]));
    },
    catnip: () =>
      around<unknown>(gen, pick(gen, [wide, narrow, Number(start.asn), `${address}/32`]), [
        '0.0.0.0/0',
        '::/0',
        '203.0.113.0/24',
        '198.51.100.0/24',
        64500,
        64501,
      ]).map((entry) => (typeof entry === 'string' && /:.*\/32$/.test(entry) ? '2001:db8::/32' : entry)),
    catgeoiso3166: () =>
      around(
        gen,
        pick(gen, [
          country ?? 'DE',
          `${country ?? 'DE'}-${regionOf(country ?? 'DE', start.region)}`,
          (country ?? 'DE').toLowerCase(),
        ]),
        ['DE', 'US', 'US-CA', 'DE-BE', 'FR'],
      ),
    geohash: () => around(gen, place.geohash.slice(0, pick(gen, [1, 2, 4])), ['u', '9q']),
    cath: () => ({ 'user-agent': { prefix: start.agent.slice(0, 1) } }),
    catalpn: () => around(gen, start.version === '2.0' ? 'h2' : 'http/1.1', ['h2', 'h3']),
    catreplay: () => pick(gen, [0, 1, 2]),
    catpor: () => [0, Buffer.alloc(4, 7).toString('base64url')],
    catr: () => ({ type: pick(gen, ['redirect', 'cookie', 'header']), expext: 600, deadline: 60 }),
    catif: () => ({ exp: [302, { Location: 'https://shop.example/' }] }),
    catifdata: () => 'x',
  };
  const names = Object.keys(made).filter((name) => chance(gen, /^cat(por|alpn|if|ifdata)$/.test(name) ? 10 : 35));
  return Object.fromEntries(names.map((name) => [name, made[name]?.()])) as Claims;
}

const policyOf = (gen: fc.GeneratorValue): Omit<ExchangePolicy, 'understood'> => ({
  format: pick(gen, ['same', 'same', 'cat', 'jwt']),
  lifetime: pick(gen, [60, 3600, 604_800]),
  session: pick(gen, [undefined, undefined, 90, 7200]),
  network: chance(gen, 50),
  country: chance(gen, 50),
  unplaced: pick(gen, ['refuse', 'allow']),
  paths: pick(gen, ['keep', 'folder']),
  methods: pick(gen, [undefined, undefined, ['GET'], ['GET', 'HEAD']]),
  renewal: pick(gen, ['keep', 'drop']),
  proof: 'start',
});

/** Deployments: what their function knows, and what it makes of the rest. */
const deployments = [
  startConfig({}, { profile: 'full', claims: { exactNetworks: true } }),
  startConfig(),
  startConfig({}, { claims: { uncompiled: 'ignore' } }),
].map((config) => ({ config, settings: startSettings(config) as StartSettings }));
const host = nodeVmHost();
const folders: string[] = [];
beforeAll(async () => {
  for (const { config } of deployments) folders.push(await compiledStart(config));
});

const publicKey = createPublicKey({ key: publicJwk, format: 'jwk' });
const player = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const headersOf = (asked: Asked): Record<string, string> => ({
  host: asked.host,
  'User-Agent': asked.agent,
  'CloudFront-Viewer-ASN': asked.asn,
  'CloudFront-Viewer-Http-Version': asked.version,
  'CloudFront-Viewer-TLS': 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake',
  ...(asked.country === undefined
    ? {}
    : {
        'CloudFront-Viewer-Country': asked.country,
        'CloudFront-Viewer-Country-Region': regionOf(asked.country, asked.region),
        'CloudFront-Viewer-Latitude': places[asked.country].latitude,
        'CloudFront-Viewer-Longitude': places[asked.country].longitude,
      }),
});

/** Whether a function's result lets a request pass; a renewal by redirect does. */
const passes = ({ result, error }: HostResult): boolean => {
  if (error || !result) throw new Error(JSON.stringify(error));
  return result.statusCode === undefined || result.headers?.['x-portcullis-reason'] === undefined;
};

/** `/24` or `/56`, as far as these addresses tell. */
const networkOf = (address: string): string =>
  /^(\d+\.\d+\.\d+|[\da-f]+:[\da-f]+:[\da-f]+:?\d?)/.exec(address)?.[0] ?? '';

it('never opens what the original did not', { timeout: 120_000 }, async () => {
  const seen = { exchanged: 0, opened: 0, refused: 0, proved: 0, bound: 0, claims: new Set<string>() };
  const jwk = await exportJWK(player.publicKey);
  const jkt = await calculateJwkThumbprint(jwk);

  await fc.assert(
    fc.asyncProperty(fc.gen(), async (gen) => {
      const start: Asked = { ...requestOf(gen), host: 'cdn.example', method: 'GET', later: 0 };
      const claims = claimsOf(gen, start);
      const proved = chance(gen, 15);
      const policy = policyOf(gen);
      const which = pick(gen, [0, 0, 1, 2]);
      const { settings } = deployments[which] as (typeof deployments)[number];
      const folder = folders[which] as string;
      const inStore = pick(gen, [undefined, ['/'], ['/live', '/vod'], ['/live/ch1', '/live']]);
      const atLambda = pick(gen, [undefined, ['/live', '/vod', '/live-secret'], ['/live/ch1', '/live/ch2', '/vod/f']]);
      const sign = chance(gen, 50) ? signJwt : signCat;

      const token = await sign({ ...claims, ...(proved ? { cnf: { jkt } } : {}) } as Claims, signingKey);
      // What the original admits, its proof aside, which the start has taken.
      const unproved = await sign(claims, signingKey);
      const entries = {
        'k:edge': edgeRecord,
        'k:cms': publicRecord(inStore ? { paths: inStore } : {}),
      };
      const original = async (asked: Asked): Promise<boolean> => {
        const reasons = await Promise.all(
          [inStore, atLambda].map(async (entitled) => {
            const key = { alg: 'ES256', kid: 'cms', publicKey, ...(entitled ? { paths: entitled } : {}) };
            const verdict = await verifyRequest(
              {
                url: `https://${asked.host}${asked.path}${asked.query && `?${asked.query}`}`,
                method: asked.method,
                address: asked.address,
                headers: { ...headersOf(asked), 'CTA-Common-Access-Token': unproved },
              },
              {
                keys: [key as unknown as EntitledKey],
                clock: () => (NOW + asked.later) * 1000,
                exactAddresses: which === 0,
              },
            );
            return verdict.reason;
          }),
        );
        return reasons.every((reason) => reason === undefined);
      };

      const used = new Set<string>();
      const oneTime: OneTimeStore = {
        spend: (id) => Promise.resolve(!used.has(id) && !!used.add(id)),
        spendAgain: () => Promise.resolve(false),
      };
      const { config } = settings;
      const handler = startHandler(
        {
          ...settings,
          config: {
            ...config,
            validator: {
              ...config.validator,
              hosts: ['cdn.example'],
              proof: {},
              keys: [{ kind: 'jwks', jwks: { keys: [publicJwk] }, ...(atLambda ? { paths: atLambda } : {}) }],
            },
            policy: { ...config.policy, ...policy },
          },
        },
        {
          readSecret: () =>
            Promise.resolve(JSON.stringify({ kid: 'edge', alg: 'HS256', k: edgeSecret.toString('base64url') })),
          now: () => NOW * 1000,
          log: () => undefined,
          oneTime,
        },
      );
      const dpop = proved
        ? await new SignJWT({ jti: randomUUID(), htm: 'GET', htu: `https://cdn.example/start${start.path}` })
            .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
            .setIssuedAt(NOW)
            .sign(player.privateKey)
        : undefined;
      const begin: RequestParts = {
        uri: `/start${start.path}?${start.query === '' ? '' : `${start.query}&`}CAT=${token}`,
        headers: { ...headersOf(start), ...(dpop === undefined ? {} : { DPoP: dpop }) },
        ip: start.address,
      };
      const first = await throughFunction(host, folder, begin, entries);
      if (first.result?.statusCode !== undefined) return;
      const answer = await handler(lambdaEvent(begin, first));
      if (answer.status !== '307') return;
      seen.exchanged++;
      if (proved) seen.proved++;
      Object.keys(claims).forEach((name) => seen.claims.add(name));

      const there = new URL(location(answer), 'https://cdn.example');
      const fresh = there.pathname.split('/').find((part) => /^(eyJ|0[Yo]R|2D3)/.test(part)) ?? '';
      const told = [claims, policy, start, decode(fresh).claims];
      const said = decode(fresh);
      expect(said).toMatchObject({ alg: 'HS256', kid: 'edge' });
      // Life: never beyond the original's, the session's, or what the policy gives.
      const ends = [claims.exp, claims.sxp, NOW + policy.lifetime, NOW + (policy.session ?? Infinity)];
      expect([told, Number(said.claims.exp)]).toEqual([
        told,
        Math.floor(Math.min(...ends.map((end) => Number(end ?? Infinity)))),
      ]);
      // The session goes on, and ends when it did.
      if (claims.sid !== undefined) expect(said.session).toBe(claims.sid);
      if (claims.sxp !== undefined) expect(Number(said.claims.sxp)).toBeLessThanOrEqual(claims.sxp as number);
      // Whatever else is said is said as it was.
      for (const name of ['iss', 'sub', 'aud', 'jti', 'iat', 'nbf', 'catv', 'geohash', 'cath', 'catalpn', 'catpor'])
        expect([name, said.claims[name as 'iss']]).toEqual([name, claims[name as 'iss']]);

      // Requests that differ from the start in one thing each, some later, and others that have little to do with it.
      const others = Array.from({ length: 14 }, () => requestOf(gen));
      const near = others.map((other, i) => {
        const [name, value] = Object.entries(other)[i % 11] as [string, unknown];
        return { ...start, later: i % 3 === 0 ? other.later : 0, [name]: value } as Asked;
      });
      const asked = [start, ...near, ...others.slice(0, 3)];
      const results = await host.run(
        `${folder}/viewer-request.js`,
        asked.map((one) => ({
          event: viewerRequestEvent({
            uri: `${one.path}${one.query && `?${one.query}`}`,
            method: one.method,
            headers: { ...headersOf(one), 'CTA-Common-Access-Token': fresh },
            ip: one.address,
          }),
          now: (NOW + one.later) * 1000,
        })),
        { store: { entries } },
      );
      for (const [i, one] of asked.entries()) {
        if (!passes(results[i] as HostResult)) {
          seen.refused++;
          continue;
        }
        seen.opened++;
        expect([one, told, await original(one)]).toEqual([one, told, true]);
        // Bound to where the viewer was: to the network, unless an AS number alone admitted it; to the country.
        if (policy.country && start.country) {
          seen.bound++;
          expect([told, one.country]).toEqual([told, start.country]);
        }
        if (policy.network && !JSON.stringify(said.claims.catnip).match(/[[,]\d/)) {
          seen.bound++;
          expect([told, networkOf(one.address)]).toEqual([told, networkOf(start.address)]);
        }
      }
      // The session is good for the request that it was made for.
      expect([told, passes(results[0] as HostResult)]).toEqual([told, true]);
    }),
    { numRuns: 500 },
  );
  // Not by exchanging, or opening, nothing.
  expect(seen.exchanged).toBeGreaterThan(100);
  expect(seen.opened).toBeGreaterThan(2 * seen.exchanged);
  expect(seen.refused).toBeGreaterThan(2 * seen.exchanged);
  expect(seen.proved).toBeGreaterThan(10);
  expect(seen.bound).toBeGreaterThan(seen.exchanged / 2);
  expect(seen.claims.size).toBeGreaterThan(20);
});
