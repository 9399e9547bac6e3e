// The Lambda alone, on viewer-request: CloudFront's own headers do not exist there, so that whatever comes under their names
// was typed. No claim that rests on one may hold, whatever the policy lets pass.
import { createRequire } from 'node:module';
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LambdaEvent, LambdaResult } from '../../edge/event.js';
import { createGuard, type GuardConfig } from '../../edge/guard/index.js';
import { compileLambda, type LambdaEventName } from '../../scripts/build/lambda.js';
import { guardPlan } from '../../scripts/build/lambda-plans.js';
import { parseConfig } from '../../scripts/config/index.js';
import { claimLabels } from '../../tokens/src/claims.js';
import { encryptToken, signCat, signJwt, type Claims } from '../../tokens/src/index.js';
import { context, lambdaRequest } from './requests.js';
import { publicJwk, signingKey } from './starting.js';

const encryption = { kid: 'enc', secret: randomBytes(32) };
const certificate = 'ab'.repeat(32);
/** Everything that CloudFront adds to requests on their way to an origin, as a viewer would type it. */
const typed = {
  'CloudFront-Viewer-Country': 'GB',
  'CloudFront-Viewer-Country-Name': 'United Kingdom',
  'CloudFront-Viewer-Country-Region': 'LND',
  'CloudFront-Viewer-Country-Region-Name': 'London',
  'CloudFront-Viewer-City': 'London',
  'CloudFront-Viewer-Metro-Code': '807',
  'CloudFront-Viewer-Postal-Code': 'SW1A',
  'CloudFront-Viewer-Latitude': '51.50740',
  'CloudFront-Viewer-Longitude': '-0.12780',
  'CloudFront-Viewer-Time-Zone': 'Europe/London',
  'CloudFront-Viewer-Address': '198.51.100.1:443',
  'CloudFront-Viewer-ASN': '64500',
  'CloudFront-Viewer-TLS': 'TLSv1.3:TLS_AES_128_GCM_SHA256:fullHandshake',
  'CloudFront-Viewer-Http-Version': '2.0',
  'CloudFront-Viewer-JA3-Fingerprint': 'ja3',
  'CloudFront-Viewer-JA4-Fingerprint': 'ja4',
  'CloudFront-Viewer-Cert-Sha256': certificate,
  'CloudFront-Forwarded-Proto': 'http',
  'CloudFront-Is-Mobile-Viewer': 'true',
  'CloudFront-Is-SmartTV-Viewer': 'true',
} as const;

/** Claims that hold for these headers where they are CloudFront's own, but for some that hold nowhere; the reason without. */
const resting: [claim: string, Claims, reason: string, nowhere?: 'nowhere'][] = [
  ['catgeoiso3166', { catgeoiso3166: ['GB'] }, 'country_mismatch'],
  ['catgeoiso3166', { catgeoiso3166: ['GB-LND'] }, 'country_mismatch'],
  ['catnip', { catnip: [64500] }, 'network_mismatch'],
  // The event tells the viewer's address itself.
  ['catnip', { catnip: ['198.51.100.0/24'] }, 'network_mismatch', 'nowhere'],
  ['geohash', { geohash: 'gcpv' }, 'geo_mismatch'],
  ['geohash', { geohash: ['u', 'g'] }, 'geo_mismatch'],
  ['catgeocoord', { catgeocoord: [[51.5, -0.13, 2e7]] }, 'geo_mismatch'],
  ['catgeoalt', { catgeoalt: [0, 1e7] }, 'geo_mismatch', 'nowhere'],
  ['catalpn', { catalpn: ['h2'] }, 'alpn_mismatch'],
  ['cattpk', { cattpk: 'AAAA' }, 'tls_key_mismatch', 'nowhere'],
  ['catu', { catu: { scheme: { exact: 'http' } } }, 'uri_mismatch'],
  ...Object.entries(typed).map(([name, value]): [string, Claims, string] => [
    'cath',
    { cath: { [name]: { exact: value } } },
    'header_mismatch',
  ]),
];
/** Claims that rest on nothing that CloudFront adds. */
const others = 'iss sub aud exp nbf iat jti cnf catreplay catpor catv catm catifdata catdpop catif catr sid sxp'.split(
  ' ',
);
/** Claims that must be encrypted. */
const exact = ['catgeocoord', 'catgeoalt'];

const config = parseConfig({
  profile: 'full',
  claims: {
    onUnknown: { catnip: 'allow', catgeoiso3166: 'allow', geohash: 'allow', catalpn: 'allow' },
    uncompiled: 'ignore',
  },
});
const planned = (event: LambdaEventName) => {
  const { config: baked, ...plan } = guardPlan(config, {
    event,
    hosts: ['cdn.example'],
    keys: [{ kind: 'jwks', jwks: { keys: [publicJwk] } }],
  });
  return { plan: { ...plan, config: baked }, baked: baked as GuardConfig };
};

type Handler = (event: LambdaEvent) => Promise<LambdaResult>;
/** The handler of an event from its sources, with the secret that opens encrypted tokens. */
const handlerOf = (event: LambdaEventName): Handler => {
  const { baked } = planned(event);
  const secrets = { keys: [{ kty: 'oct', alg: 'A256GCM', kid: 'enc', k: encryption.secret.toString('base64url') }] };
  return createGuard(
    { ...baked, keys: [...baked.keys, { kind: 'secret', secret: 's', region: 'us-east-1' }] },
    { readSecret: () => Promise.resolve(JSON.stringify(secrets)), log: () => undefined },
  );
};
const handlers: Record<string, Handler> = {
  'viewer-request': handlerOf('viewer-request'),
  'origin-request': handlerOf('origin-request'),
};
beforeAll(async () => {
  const code = await compileLambda(planned('viewer-request').plan);
  const module = { exports: {} as { handler: Handler } };
  const silent = { log: () => undefined };
  new Function('module', 'exports', 'require', 'console', code)(
    module,
    module.exports,
    createRequire(import.meta.url),
    silent,
  );
  handlers['package'] = module.exports.handler;
});

async function verdictAt(name: string, token: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const request = lambdaRequest({ headers: { ...headers, 'CTA-Common-Access-Token': token } });
  const result = await (handlers[name] as Handler)({ Records: [{ cf: { config: context, request } }] });
  return 'status' in result ? (result.headers?.['x-portcullis-reason']?.[0]?.value ?? result.status) : 'admitted';
}

describe.each([
  ['CAT', signCat],
  ['JWT', signJwt],
] as const)('a %s on viewer-request', (_, sign) => {
  it.each(resting)(
    'is refused for %s %j, whatever a viewer types and the policy lets pass',
    async (claim, claims, reason, nowhere) => {
      const signed = await sign({ exp: Math.floor(Date.now() / 1000) + 60, ...claims }, signingKey);
      const token = exact.includes(claim) ? await encryptToken(signed, encryption) : signed;
      for (const headers of [typed, {}]) {
        expect(await verdictAt('viewer-request', token, headers)).toBe(reason);
        if (!exact.includes(claim)) expect(await verdictAt('package', token, headers)).toBe(reason);
      }
      // The very request where the headers are CloudFront's own.
      expect(await verdictAt('origin-request', token, typed)).toBe(nowhere ? reason : 'admitted');
    },
  );

  it('is admitted for what the event tells itself', async () => {
    const token = await sign(
      {
        exp: Math.floor(Date.now() / 1000) + 60,
        catnip: ['203.0.113.0/24'],
        catm: ['GET'],
        catu: { scheme: { exact: 'https' }, host: { exact: 'cdn.example' }, path: { prefix: '/live/' } },
        cath: { 'user-agent': { prefix: 'P' } },
      },
      signingKey,
    );
    for (const name of ['viewer-request', 'package'])
      expect(await verdictAt(name, token, { ...typed, 'User-Agent': 'Player' })).toBe('admitted');
  });
});

it('knows of every claim whether it rests on what CloudFront adds', () => {
  const known = new Set([...resting.map(([claim]) => claim), ...others]);
  expect([...known].sort()).toEqual(Object.keys(claimLabels).sort());
});
