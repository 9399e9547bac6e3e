import { createHash } from 'node:crypto';
import type { Reason } from '@portcullis/tokens';
import {
  keyRecord,
  makeCat,
  makeJwt,
  Raw,
  revocationPlace,
  Tagged,
  type CatParts,
  type JwtParts,
} from '../engine/token-maker.js';

/** The moment that tokens are made for and requests come at, in seconds. */
export const NOW = 1_800_000_000;
export const PATH = '/echo/ch1/seg.ts';

export const secretOf = (name: string): Buffer => createHash('sha256').update(`test secret ${name}`).digest();

/** The keys of the store: kid, and what its tokens may open. */
export const keys: readonly {
  readonly kid: string;
  readonly issuers?: readonly string[];
  readonly paths?: readonly `/${string}`[];
}[] = [
  { kid: 'main' },
  { kid: '' },
  { kid: 'tenant-a', issuers: ['tenant-a'], paths: ['/echo/a'] },
  { kid: 'tenant-b', issuers: ['tenant-b'], paths: ['/echo/b'] },
];

const revoked = [revocationPlace('s', Buffer.alloc(16, 7).toString('base64url')), revocationPlace('t', 'token-1')];

/** The KeyValueStore of every case. */
export const storeEntries: Readonly<Record<string, string>> = Object.fromEntries([
  ...keys.map(({ kid, issuers, paths }) => [
    `k:${kid}`,
    keyRecord(secretOf(kid), { ...(issuers ? { iss: issuers } : {}), ...(paths ? { paths } : {}) }),
  ]),
  ...revoked.map(({ key, fingerprint }) => [key, `,${fingerprint}`]),
]);

export type Expected = Reason | 'admitted';

export interface RequestCase {
  readonly name: string;
  /** Path and query as sent. */
  readonly target: string;
  readonly method?: string;
  /** In order; a name may come twice. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly host?: string;
  /** What CloudFront knows of the viewer: see `x-sim-viewer`. */
  readonly viewer?: string;
  /** Seconds after `NOW`. */
  readonly later?: number;
  /** The behaviour's policies list none of CloudFront's headers. */
  readonly unlisted?: true;
  readonly expected: Expected;
  /** What the profile `default` says where it is not that, and why it may. */
  readonly byDefault?: readonly [Expected, why: string];
  /** What the origin is asked for; `PATH` unless said. */
  readonly forwarded?: string;
}

type Claims = Record<string, unknown>;

export const live = new Map([[3, new Map([[1, '/echo/']])]]);

export function cat(claims: Claims = {}, parts: Partial<CatParts> = {}): string {
  const kid = typeof parts.kid === 'string' ? parts.kid : 'main';
  return makeCat({ claims: { exp: NOW + 60, ...claims }, key: secretOf(kid), kid, ...parts });
}

export function jwt(claims: Claims = {}, parts: Partial<JwtParts> = {}): string {
  const kid = parts.kid ?? 'main';
  return makeJwt({ claims: { exp: NOW + 60, ...claims }, key: secretOf(kid), kid, ...parts });
}

/** A token of exactly so many characters, by an unknown claim of the right length. */
export function tokenOfLength(make: (claims: Claims) => string, length: number): string {
  for (let padding = 0; padding < length; padding++) {
    const token = make({ filling: 'x'.repeat(padding) });
    if (token.length === length) return token;
    // Four characters for three bytes: far from the goal, take most of the way at once.
    if (length - token.length > 16) padding += Math.floor((length - token.length) / 2);
  }
  throw new Error(`no token has ${length} characters`);
}

function changed(text: string, at: number): string {
  const place = at < 0 ? text.length + at : at;
  return text.slice(0, place) + (text[place] === 'A' ? 'B' : 'A') + text.slice(place + 1);
}

const inPath = (token: string, path = PATH): string => `/${token}${path}`;
const map = (...pairs: [unknown, unknown][]): Map<unknown, unknown> => new Map(pairs);
const country = (code: unknown): [Claims, Claims] => [{ catgeoiso3166: code }, { catgeoiso3166: code }];
const admitted = 'admitted' as const;

/** The same request with a CAT and with a JWT, in the path. */
function both(
  name: string,
  [catClaims, jwtClaims]: readonly [Claims, Claims],
  expected: Expected,
  more: Partial<RequestCase> & { readonly path?: string } = {},
): RequestCase[] {
  const { path = PATH, ...rest } = more;
  const forwarded = expected === admitted && path !== PATH ? { forwarded: path } : {};
  return [
    { name: `CAT: ${name}`, target: inPath(cat(catClaims), path), expected, ...forwarded, ...rest },
    { name: `JWT: ${name}`, target: inPath(jwt(jwtClaims), path), expected, ...forwarded, ...rest },
  ];
}

const same = (claims: Claims): readonly [Claims, Claims] => [claims, claims];
const uri = (
  component: number,
  name: string,
  match: number,
  matchName: string,
  value: string,
): readonly [Claims, Claims] => [
  { catu: map([component, map([match, value])]) },
  { catu: { [name]: { [matchName]: value } } },
];

function placementCases(format: string, token: string): RequestCase[] {
  return [
    { name: `${format} first in the path`, target: inPath(token), expected: admitted },
    { name: `${format} first in the path, alone`, target: `/${token}`, expected: admitted, forwarded: '/' },
    {
      name: `${format} first in the path, a query behind`,
      target: `${inPath(token)}?a=1&b=`,
      expected: admitted,
      forwarded: `${PATH}?a=1&b=`,
    },
    { name: `${format} in the query`, target: `${PATH}?CAT=${token}`, expected: admitted },
    {
      name: `${format} in the query between others`,
      target: `${PATH}?a=1&CAT=${token}&b=2`,
      expected: admitted,
      forwarded: `${PATH}?a=1&b=2`,
    },
    {
      name: `${format} in a cookie`,
      target: PATH,
      headers: [['Cookie', `a=1; CAT=${token}; b=2`]],
      expected: admitted,
    },
    {
      name: `${format} in the standard's header`,
      target: PATH,
      headers: [['CTA-Common-Access-Token', token]],
      expected: admitted,
    },
    {
      name: `${format} in the header that players send`,
      target: PATH,
      headers: [['common-access-token', token]],
      expected: admitted,
    },
    {
      name: `${format} in the header as a string with parameters`,
      target: PATH,
      headers: [['CTA-Common-Access-Token', `"${token}";v=1`]],
      expected: admitted,
    },
  ];
}

function tamperingCases(): RequestCase[] {
  const good = cat();
  const goodJwt = jwt();
  const [header = '', payload = '', signature = ''] = goodJwt.split('.');
  const text = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const named = (alg: string, hash: 'sha256' | 'sha384' = 'sha256'): string => jwt({}, { header: { alg }, hash });
  const refused = (name: string, token: string, expected: Expected, more: Partial<RequestCase> = {}): RequestCase => ({
    name,
    target: inPath(token),
    expected,
    ...more,
  });
  return [
    { name: 'no token', target: PATH, expected: 'missing_token' },
    { name: 'an empty token parameter', target: `${PATH}?CAT=`, expected: 'missing_token' },
    {
      name: 'an empty token header',
      target: PATH,
      headers: [['CTA-Common-Access-Token', '']],
      expected: 'missing_token',
    },
    { name: 'the parameter under another case', target: `${PATH}?cat=${good}`, expected: 'missing_token' },
    refused('CAT: wrong MAC', changed(good, -3), 'bad_signature'),
    refused('CAT: all-zero MAC', cat({}, { mac: Buffer.alloc(32) }), 'bad_signature'),
    refused('CAT: truncated MAC', cat({}, { mac: (mac) => mac.subarray(0, 16) }), 'bad_signature'),
    refused('CAT: empty MAC', cat({}, { mac: Buffer.alloc(0) }), 'bad_signature'),
    refused(
      'CAT: MAC with a byte more',
      cat({}, { mac: (mac) => Buffer.concat([mac, Buffer.from([0])]) }),
      'bad_signature',
    ),
    refused('CAT: cut off', good.slice(0, -8), 'malformed_token'),
    refused('CAT: bytes behind it', cat({}, { trailing: Buffer.from([0]) }), 'malformed_token'),
    refused('CAT: five elements', cat({}, { more: [1] }), 'malformed_token'),
    refused('CAT: another context MACed', cat({}, { context: 'MAC' }), 'bad_signature'),
    refused('CAT: external data MACed', cat({}, { externalAad: Buffer.from('x') }), 'bad_signature'),
    refused('CAT: alg HMAC 384', cat({}, { alg: 6 }), 'unsupported_algorithm'),
    refused('CAT: alg HMAC 256/64', cat({}, { alg: 4, mac: (mac) => mac.subarray(0, 8) }), 'unsupported_algorithm'),
    refused('CAT: alg ES256 in a Mac0', cat({}, { alg: -7 }), 'unsupported_algorithm'),
    refused('CAT: COSE_Sign1 with alg HS256', cat({}, { tags: [61, 18] }), 'unsupported_algorithm'),
    refused('CAT: COSE_Sign1 of ES256 under an HMAC key', cat({}, { tags: [18], alg: -7 }), 'unsupported_algorithm'),
    refused('CAT: no alg at all', cat({}, { alg: null }), admitted),
    refused('CAT: without the CWT tag', cat({}, { tags: [17] }), admitted),
    {
      name: 'CAT: without any tag, in the query',
      target: `${PATH}?CAT=${cat({}, { tags: [] })}`,
      expected: 'malformed_token',
    },
    {
      name: 'CAT: tagged twice as CWT, in the query',
      target: `${PATH}?CAT=${cat({}, { tags: [61, 61, 17] })}`,
      expected: 'malformed_token',
    },
    refused(
      'CAT: alg and kid unprotected',
      cat({}, { protectedHeader: new Raw(''), unprotectedHeader: map([1, 5], [4, Buffer.from('main')]) }),
      admitted,
    ),
    refused(
      'CAT: an unprotected alg against the protected one',
      cat({}, { unprotectedHeader: map([1, -7]) }),
      admitted,
    ),
    refused('CAT: crit', cat({}, { protectedHeader: map([2, [99]]) }), 'malformed_token'),
    refused('CAT: no kid', makeCat({ claims: { exp: NOW + 60 }, key: secretOf('') }), admitted),
    refused(
      'CAT: no kid, signed by a key that has one',
      makeCat({ claims: { exp: NOW + 60 }, key: secretOf('main') }),
      'bad_signature',
    ),
    refused('CAT: unknown kid', cat({}, { kid: 'nobody' }), 'unknown_key'),
    refused('CAT: kid of 129 bytes', cat({}, { kid: 'k'.repeat(129) }), 'malformed_token'),
    refused(
      "CAT: one key's kid over another's MAC",
      cat({}, { kid: 'tenant-a', key: secretOf('main') }),
      'bad_signature',
    ),
    refused(
      'CAT: kid that is a text',
      cat(
        {},
        {
          kid: 'main',
          protectedHeader: new Raw(
            Buffer.concat([Buffer.from('a2010504', 'hex'), Buffer.from([0x64]), Buffer.from('main')]),
          ),
        },
      ),
      'malformed_token',
    ),
    refused('CAT: indefinite length', cat({}, { payload: Buffer.from('bf041a6b49d23cff', 'hex') }), 'malformed_token'),
    refused(
      'CAT: the same claim twice',
      makeCat({
        claims: [
          [4, NOW - 60],
          [4, NOW + 60],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
      'malformed_token',
    ),
    refused(
      'CAT: an integer longer than need be',
      cat({}, { payload: Buffer.from('a1041b000000006b49d23c', 'hex') }),
      'malformed_token',
    ),
    refused('CAT: claims that are a list', cat({}, { payload: Buffer.from('80', 'hex') }), 'malformed_token'),
    refused('CAT: a tag on exp', cat({ exp: new Tagged(1, NOW + 60) }), 'malformed_token'),
    refused('CAT: a claim named __proto__', cat({ ['__proto__x']: 1 }), admitted),
    refused('CAT: padded with =', `${good}${'='.repeat((4 - (good.length % 4)) % 4)}`, admitted),
    {
      name: 'CAT: padded with %3D in the query',
      target: `${PATH}?CAT=${tokenOfLength((more) => cat(more), 402)}%3D%3D`,
      expected: admitted,
    },
    refused('CAT: a thousand padding characters', `${good}${'='.repeat(1000)}`, 'malformed_token'),
    refused('CAT: a character that base64url has not', `${good.slice(0, 40)}+${good.slice(41)}`, 'malformed_token'),
    refused(
      'CAT: 4,096 characters',
      tokenOfLength((more) => cat(more), 4096),
      admitted,
    ),
    refused(
      'CAT: 4,098 characters',
      tokenOfLength((more) => cat(more), 4098),
      'malformed_token',
    ),
    refused(
      'JWT: 4,096 characters',
      tokenOfLength((more) => jwt(more, { header: { cty: 'a' } }), 4096),
      admitted,
    ),
    refused(
      'JWT: 4,098 characters',
      tokenOfLength((more) => jwt(more, { header: { cty: 'a' } }), 4098),
      'malformed_token',
    ),
    refused('JWT: wrong signature', changed(goodJwt, -3), 'bad_signature'),
    refused('JWT: truncated signature', goodJwt.slice(0, -8), 'bad_signature'),
    refused('JWT: no signature', `${header}.${payload}.`, 'bad_signature'),
    refused('JWT: two parts', `${header}.${payload}`, 'malformed_token'),
    refused('JWT: four parts', `${goodJwt}.${signature}`, 'malformed_token'),
    refused('JWT: changed claims', `${header}.${text({ exp: NOW + 600 })}.${signature}`, 'bad_signature'),
    refused(
      'JWT: changed claims, not JSON any more',
      `${header}.${changed(payload, 0)}.${signature}`,
      'malformed_token',
    ),
    refused('JWT: alg none', `${text({ alg: 'none', kid: 'main' })}.${payload}.`, 'unsupported_algorithm'),
    refused('JWT: alg None with a signature', named('None'), 'unsupported_algorithm'),
    refused('JWT: alg HS384', named('HS384', 'sha384'), 'unsupported_algorithm'),
    refused('JWT: alg RS256', named('RS256'), 'unsupported_algorithm'),
    refused('JWT: no alg', jwt({}, { header: { alg: undefined } }), 'unsupported_algorithm'),
    refused('JWT: alg as a list', jwt({}, { header: { alg: ['HS256'] } }), 'unsupported_algorithm'),
    refused('JWT: crit', jwt({}, { header: { crit: ['exp'] } }), 'malformed_token'),
    refused('JWT: no kid', makeJwt({ claims: { exp: NOW + 60 }, key: secretOf('') }), admitted),
    refused('JWT: unknown kid', jwt({}, { kid: 'nobody' }), 'unknown_key'),
    refused('JWT: kid __proto__', jwt({}, { kid: '__proto__' }), 'unknown_key'),
    refused("JWT: kid that names another record's key", jwt({}, { kid: '/../r1' }), 'unknown_key'),
    refused('JWT: kid that is a number', jwt({}, { header: { kid: 5 } }), 'malformed_token'),
    refused(
      "JWT: one key's kid over another's signature",
      jwt({}, { kid: 'tenant-b', key: secretOf('main') }),
      'bad_signature',
    ),
    refused(
      'JWT: a header with a line break behind it',
      jwt({}, { headerText: '{"alg":"HS256","typ":"JWT","kid":"main"}\n' }),
      admitted,
      { byDefault: ['malformed_token', 'reads JSON as JSON.stringify writes it, and no other'] },
    ),
    refused(
      'JWT: a header with a second kid',
      jwt({}, { headerText: '{"alg":"HS256","typ":"JWT","kid":"tenant-b","kid":"main"}' }),
      'malformed_token',
    ),
    refused(
      'JWT: the usual header with crit behind the kid',
      jwt({}, { headerText: '{"alg":"HS256","typ":"JWT","kid":"main","crit":["b64"]}' }),
      'malformed_token',
    ),
    refused(
      'JWT: the usual header with an escape in the kid',
      jwt({}, { headerText: '{"alg":"HS256","typ":"JWT","kid":"m\\u0061in"}' }),
      admitted,
      { byDefault: ['malformed_token', 'reads JSON as JSON.stringify writes it, and no other'] },
    ),
    refused(
      'JWT: the usual header without its end',
      jwt({}, { headerText: '{"alg":"HS256","typ":"JWT","kid":"main"' }),
      'malformed_token',
    ),
    refused('JWT: claims that are null', jwt({}, { payloadText: 'null' }), 'malformed_token'),
    refused('JWT: claims that are a list', jwt({}, { payloadText: '[]' }), 'malformed_token'),
    refused(
      'JWT: the same claim twice',
      jwt({}, { payloadText: `{"exp":${NOW - 60},"exp":${NOW + 60}}` }),
      'malformed_token',
    ),
    refused('JWT: JSON with spaces', jwt({}, { payloadText: `{ "exp": ${NOW + 60} }` }), admitted, {
      byDefault: ['malformed_token', 'reads JSON as JSON.stringify writes it, and no other'],
    }),
    refused(
      'JWT: the number of a claim beside its name',
      jwt({}, { payloadText: `{"4":${NOW + 60},"exp":${NOW - 60}}` }),
      'expired',
    ),
    refused(
      'JWT: the number of the session claim beside its name',
      jwt({ sid: Buffer.alloc(16, 7).toString('base64url'), '-65537': 'another' }),
      'revoked',
    ),
    refused('JWT: the number of a claim alone is an unknown name', jwt({ '312': 5 }), admitted),
    refused(
      'JWT: claims under __proto__',
      jwt({}, { payloadText: `{"exp":${NOW - 60},"__proto__":{"4":${NOW + 60}}}` }),
      'expired',
    ),
    refused('JWT: names of inherited members', jwt({ constructor: 1, toString: 'x', hasOwnProperty: null }), admitted),
    refused('a segment that only begins like a JWT', 'eyJhbGciOiJIUzI1NiJ9', 'malformed_token'),
    refused('a segment that only begins like a CAT', '2D3RhE', 'malformed_token'),
    refused('garbage', `eyJ${'x'.repeat(2000)}`, 'malformed_token'),
  ];
}

function claimCases(): RequestCase[] {
  const exp = (value: unknown): readonly [Claims, Claims] => same({ exp: value });
  return [
    ...both('one second before exp', exp(NOW + 60), admitted, { later: 59 }),
    ...both('expired exactly now', exp(NOW), 'expired'),
    ...both('expired a second ago', exp(NOW - 1), 'expired'),
    ...both('fractional exp ahead', exp(NOW + 0.75), admitted, { later: 0.5 }),
    ...both('fractional exp reached', exp(NOW + 0.75), 'expired', { later: 0.75 }),
    // njs writes it as 1744960832.9608319; another digit must not cost the token its form.
    ...both('a fraction that njs writes in its own way', same({ iat: 1744960832.960832 }), admitted),
    ...both('exp that is a text', exp(String(NOW + 60)), 'invalid_claim'),
    ...both('exp that is null', exp(null), 'invalid_claim'),
    ...both('negative exp', exp(-1), 'expired'),
    {
      name: 'JWT: exp beyond all numbers',
      target: inPath(jwt({}, { payloadText: '{"exp":1e999}' })),
      expected: 'invalid_claim',
      byDefault: ['malformed_token', 'reads JSON as JSON.stringify writes it, and no other'],
    },
    ...both('no exp', exp(undefined), admitted),
    ...both('nbf now', same({ nbf: NOW }), admitted),
    ...both('nbf one second ahead', same({ nbf: NOW + 1 }), 'not_yet_valid'),
    ...both('nbf half a second ahead', same({ nbf: NOW + 0.5 }), 'not_yet_valid'),
    ...both('iat that is a text', same({ iat: 'x' }), 'invalid_claim'),
    ...both('session end reached', same({ sxp: NOW }), 'session_ended'),
    ...both('iss that is a number', same({ iss: 1 }), 'invalid_claim'),
    ...both('aud', same({ aud: ['a', 'b'] }), admitted),
    ...both('aud without an entry', same({ aud: [] }), 'invalid_claim'),
    ...both('aud with a number', same({ aud: ['a', 1] }), 'invalid_claim'),
    ...both('catv 1', same({ catv: 1 }), admitted),
    ...both('catv 2', same({ catv: 2 }), 'version_mismatch'),
    ...both('an unknown claim', same({ whatever: [1, { a: true }] }), admitted),
    ...both('catu path prefix', uri(3, 'path', 1, 'prefix', '/echo/'), admitted),
    ...both('catu path prefix that another path only contains', uri(3, 'path', 1, 'prefix', '/ch1/'), 'uri_mismatch'),
    ...both('catu path prefix in another case', uri(3, 'path', 1, 'prefix', '/Echo/'), 'uri_mismatch'),
    ...both('catu path exact', uri(3, 'path', 0, 'exact', PATH), admitted),
    ...both('catu path exact, longer', uri(3, 'path', 0, 'exact', `${PATH}x`), 'uri_mismatch'),
    ...both('catu path contains', uri(3, 'path', 3, 'contains', '/ch1/'), admitted),
    ...both('catu path contains not', uri(3, 'path', 3, 'contains', '/ch2/'), 'uri_mismatch'),
    ...both('catu extension', uri(8, 'extension', 0, 'exact', '.ts'), admitted),
    ...both('catu extension differs', uri(8, 'extension', 0, 'exact', '.m3u8'), 'uri_mismatch'),
    ...both('catu stem suffix', uri(7, 'stem', 2, 'suffix', 'eg'), admitted),
    ...both('catu filename', uri(6, 'filename', 0, 'exact', 'seg.ts'), admitted),
    ...both('catu parent path', uri(5, 'parent', 0, 'exact', '/echo/ch1'), admitted),
    ...both('catu scheme', uri(0, 'scheme', 0, 'exact', 'https'), admitted),
    ...both('catu scheme differs', uri(0, 'scheme', 0, 'exact', 'http'), 'uri_mismatch'),
    ...both('catu host in any case', uri(1, 'host', 0, 'exact', 'video.example.com'), admitted, {
      host: 'VIDEO.example.com',
    }),
    ...both('catu host differs', uri(1, 'host', 2, 'suffix', '.example.com'), 'uri_mismatch', { host: 'example.com' }),
    ...both('catu default port', uri(2, 'port', 0, 'exact', ''), admitted, { host: 'video.example.com:443' }),
    ...both('catu port 443 never matches', uri(2, 'port', 0, 'exact', '443'), 'uri_mismatch', {
      host: 'video.example.com:443',
    }),
    ...both('catu other port', uri(2, 'port', 0, 'exact', '8443'), admitted, { host: 'video.example.com:8443' }),
    ...both('catu without a component', [{ catu: new Map() }, { catu: {} }], 'invalid_claim'),
    ...both('catu unknown component', uri(9, 'fragment', 0, 'exact', ''), 'invalid_claim'),
    ...both('catu unknown match', uri(3, 'path', 9, 'like', '/'), 'invalid_claim'),
    ...both(
      'catu match that is a number',
      [{ catu: map([3, map([1, 5])]) }, { catu: { path: { prefix: 5 } } }],
      'invalid_claim',
    ),
    ...both(
      'catu regex',
      [{ catu: map([3, map([4, ['^/echo/.*$']])]) }, { catu: { path: { regex: ['^/echo/.*$'] } } }],
      admitted,
      {
        byDefault: ['invalid_claim', 'regular expressions are left out'],
      },
    ),
    {
      name: 'CAT: catu query without the token',
      target: `${PATH}?q=1&CAT=${cat({ catu: map([4, map([0, 'q=1'])]) })}`,
      expected: admitted,
      forwarded: `${PATH}?q=1`,
    },
    {
      name: 'JWT: catu query differs',
      target: `${PATH}?q=2&CAT=${jwt({ catu: { query: { exact: 'q=1' } } })}`,
      expected: 'uri_mismatch',
    },
    ...both('catm', same({ catm: ['GET', 'HEAD'] }), admitted),
    ...both('catm HEAD', same({ catm: ['GET'] }), 'method_mismatch', { method: 'POST' }),
    ...both('catm in another case', same({ catm: ['get'] }), 'method_mismatch'),
    ...both('catm that is no list', same({ catm: 5 }), 'invalid_claim'),
    ...both('the right country', country(['US', 'CA']), admitted),
    ...both('the right country in lower case', country(['us']), admitted),
    ...both('the wrong country', country(['DE']), 'country_mismatch'),
    ...both('the right region', country(['US-CA']), admitted),
    ...both('the wrong region', country(['US-NY']), 'country_mismatch'),
    ...both('a region, the viewer from elsewhere', country(['US-CA']), 'country_mismatch', {
      viewer: 'country=MX; region=CA',
    }),
    ...both('a country that CloudFront does not know', country(['US']), 'country_mismatch', { viewer: 'country=' }),
    ...both('a code that is none', country(['USA']), 'invalid_claim'),
    ...both('a code that is not assigned', country(['ZZ']), 'invalid_claim', {
      byDefault: ['country_mismatch', 'takes any two letters for a code'],
    }),
    ...both('a forged country, the policy lists the header', country(['US']), 'country_mismatch', {
      viewer: 'country=DE',
      headers: [['CloudFront-Viewer-Country', 'US']],
    }),
    ...both('a forged country, the policy does not list the header', country(['US']), admitted, {
      unlisted: true,
      viewer: 'country=DE',
      headers: [['CloudFront-Viewer-Country', 'US']],
    }),
    ...both('a geo claim, the policy does not list the header', country(['US']), 'country_mismatch', {
      unlisted: true,
    }),
    ...networkCases(),
    ...both('cath', [{ cath: map(['x-app', map([0, 'tv'])]) }, { cath: { 'x-app': { exact: 'tv' } } }], admitted, {
      headers: [['X-App', 'tv']],
      byDefault: ['unsupported_claim', 'the claim is left out'],
    }),
    ...both(
      'cath, the header missing',
      [{ cath: map(['x-app', map([1, ''])]) }, { cath: { 'x-app': { prefix: '' } } }],
      'header_mismatch',
      {
        byDefault: ['unsupported_claim', 'the claim is left out'],
      },
    ),
    ...both('catgeocoord in the clear', [{ catgeocoord: [[1, 2, 3]] }, { catgeocoord: [[1, 2, 3]] }], 'invalid_claim', {
      byDefault: ['unsupported_claim', 'the claim is left out'],
    }),
    ...both('cnf without proof', [{ cnf: map([323, Buffer.alloc(32)]) }, { cnf: { jkt: 'AA' } }], 'proof_required', {
      byDefault: ['unsupported_claim', 'the claim is left out'],
    }),
    ...both(
      'a revoked session',
      [{ session: Buffer.alloc(16, 7) }, { sid: Buffer.alloc(16, 7).toString('base64url') }],
      'revoked',
    ),
    ...both(
      'another session',
      [{ session: Buffer.alloc(16, 8) }, { sid: Buffer.alloc(16, 8).toString('base64url') }],
      admitted,
    ),
    { name: 'JWT: a revoked token', target: inPath(jwt({ jti: 'token-1' })), expected: 'revoked' },
    {
      name: 'JWT: a revoked token that is expired too',
      target: inPath(jwt({ jti: 'token-1', exp: NOW - 9 })),
      expected: 'revoked',
    },
    ...both('a session that is no handle', [{ session: 'text' }, { sid: 5 }], 'invalid_claim'),
  ];
}

function networkCases(): RequestCase[] {
  const four = (length: number, bytes: string): unknown => new Tagged(52, [length, Buffer.from(bytes, 'hex')]);
  const six = (length: number, bytes: string): unknown => new Tagged(54, [length, Buffer.from(bytes, 'hex')]);
  const nets = (catEntry: unknown, text: unknown): readonly [Claims, Claims] => [
    { catnip: [catEntry] },
    { catnip: [text] },
  ];
  const inSix = nets(six(56, '20010db8'), '2001:db8::/56');
  return [
    ...both('the right IPv4 network', nets(four(24, 'cb0071'), '203.0.113.0/24'), admitted),
    ...both('the wrong IPv4 network', nets(four(24, 'c63364'), '198.51.100.0/24'), 'network_mismatch'),
    ...both('an IPv4 network, the viewer on IPv6', nets(four(24, 'cb0071'), '203.0.113.0/24'), 'network_mismatch', {
      viewer: 'ip=2001:db8::1',
    }),
    ...both('an IPv4 network of /25 in the clear', nets(four(25, 'cb0071'), '203.0.113.0/25'), 'invalid_claim'),
    ...both(
      'a bare address in the clear',
      nets(new Tagged(52, Buffer.from('cb007109', 'hex')), '203.0.113.9'),
      'invalid_claim',
    ),
    ...both('bits beyond the prefix', nets(four(16, 'cb0071'), '203.0.113.0/16'), 'invalid_claim'),
    ...both('IPv6, short spelling', inSix, admitted, { viewer: 'ip=2001:db8::1' }),
    ...both('IPv6, full spelling', inSix, admitted, { viewer: 'ip=2001:0db8:0000:0000:0000:0000:0000:0001' }),
    ...both('IPv6, upper case', inSix, admitted, { viewer: 'ip=2001:DB8:0:0:A:B:C:D' }),
    ...both('IPv6, gap at the end', inSix, admitted, { viewer: 'ip=2001:db8:0:12::' }),
    ...both('IPv6, next network', inSix, 'network_mismatch', { viewer: 'ip=2001:db8:0:100::1' }),
    {
      name: 'JWT: catnip spelled in full',
      target: inPath(jwt({ catnip: ['2001:0DB8:0000:0000::/56'] })),
      viewer: 'ip=2001:db8::1',
      expected: admitted,
    },
    ...both('an IPv6 network of /64 in the clear', nets(six(64, '20010db8'), '2001:db8::/64'), 'invalid_claim', {
      viewer: 'ip=2001:db8::1',
    }),
    ...both('the right autonomous system', nets(64500, 64500), admitted),
    ...both('the wrong autonomous system', nets(64501, 64501), 'network_mismatch'),
    ...both('an unknown autonomous system', nets(64500, 64500), 'network_mismatch', { viewer: 'asn=' }),
    ...both('a network as text in a CAT, broken in a JWT', nets('203.0.113.0/24', '203.0.113/24'), 'invalid_claim'),
  ];
}

function pathCases(): RequestCase[] {
  const token = cat({ catu: live });
  const ambiguous = (name: string, path: string): RequestCase => ({
    name: `path: ${name}`,
    target: inPath(token, path),
    expected: 'ambiguous_path',
  });
  const other = (name: string, path: string, expected: Expected, forwarded = path): RequestCase => ({
    name: `path: ${name}`,
    target: inPath(token, path),
    expected,
    forwarded,
  });
  return [
    ambiguous('dot segment', '/echo/../secret'),
    ambiguous('dot segment at the end', '/echo/..'),
    ambiguous('single dot', '/echo/./a'),
    ambiguous('encoded dots', '/echo/%2e%2e/secret'),
    ambiguous('encoded dots in upper case', '/echo/%2E%2E/secret'),
    ambiguous('half encoded dots', '/echo/.%2e/secret'),
    ambiguous('dot segment with a parameter', '/echo/..;a=1/secret'),
    ambiguous('encoded slash', '/echo/a%2Fb'),
    ambiguous('encoded slash in lower case', '/echo/..%2fsecret'),
    ambiguous('double encoding of a slash', '/echo/a%252Fb'),
    ambiguous('double encoding of a dot', '/echo/%252e%252e/secret'),
    ambiguous('empty segment', '/echo//a'),
    ambiguous('empty segment first', '//echo/a'),
    ambiguous('backslash', '/echo/a\\b'),
    ambiguous('encoded backslash', '/echo/..%5Csecret'),
    ambiguous('NUL', '/echo/a%00.ts'),
    ambiguous('control character', '/echo/a%0d%0aX:1'),
    ambiguous('DEL', '/echo/a%7f'),
    ambiguous('broken escape', '/echo/a%zz'),
    ambiguous('cut escape', '/echo/a%4'),
    ambiguous('escape of no UTF-8', '/echo/a%ff'),
    ambiguous('overlong UTF-8 of a slash', '/echo/a%c0%afb'),
    ambiguous('surrogate in UTF-8', '/echo/a%ed%a0%80b'),
    ambiguous('byte of 0x80 and more', '/echo/caf\u00e9'),
    ambiguous('fragment', '/echo/a#b'),
    other('escaped letter is the letter', '/ech%6F/a', admitted),
    other('escaped UTF-8', '/echo/caf%C3%A9', admitted),
    other('escaped space', '/echo/a%20b', admitted),
    other('another folder', '/secret/a', 'uri_mismatch'),
    other('three dots are a name', '/echo/.../a', admitted),
    other('hidden file', '/echo/.hidden', admitted),
    other('parameters of a segment', '/echo/a;v=1;w/b', admitted),
    other('nothing but parameters in front', '/;/echo/a', 'uri_mismatch'),
    other('plus and others', "/echo/a+b,c=d@e:f!$&'()*", admitted),
    {
      name: 'path: token as a parameter of the segment',
      target: `/echo/ch1;CAT=${token}/seg.ts`,
      expected: admitted,
      forwarded: PATH,
      byDefault: ['missing_token', 'path parameters are left out'],
    },
    {
      name: 'path: token in Authorization',
      target: PATH,
      headers: [['Authorization', `Bearer ${token}`]],
      expected: admitted,
      byDefault: ['missing_token', 'Authorization is left out'],
    },
    { name: 'path: the dots before the token', target: `/echo/../${token}/a`, expected: 'ambiguous_path' },
    { name: 'path: the token twice', target: `/${token}/${token}${PATH}`, expected: 'uri_mismatch' },
    { name: 'path: ambiguous and without a token', target: '/echo/a%2Fb', expected: 'ambiguous_path' },
  ];
}

function severalCases(): RequestCase[] {
  const good = cat({ catu: live });
  const other = jwt({ catu: { path: { prefix: '/echo/' } } });
  const expired = cat({ exp: NOW - 60 });
  const forged = cat({}, { mac: Buffer.alloc(32) });
  const header = (token: string): [string, string] => ['CTA-Common-Access-Token', token];
  return [
    { name: 'header and path, both good', target: inPath(good), headers: [header(other)], expected: admitted },
    {
      name: 'header bad, path good: the header alone counts',
      target: inPath(good),
      headers: [header(expired)],
      expected: 'expired',
    },
    {
      name: 'header good, path bad: stripped all the same',
      target: inPath(expired),
      headers: [header(good)],
      expected: admitted,
    },
    {
      name: 'header good, query and cookie bad: stripped all the same',
      target: `${PATH}?CAT=${expired}&a=1`,
      headers: [header(good), ['Cookie', `CAT=${forged}`]],
      expected: admitted,
      forwarded: `${PATH}?a=1`,
    },
    {
      name: 'both names of the header',
      target: PATH,
      headers: [['Common-Access-Token', good], header(expired)],
      expected: admitted,
    },
    { name: 'two lines of the header', target: PATH, headers: [header(expired), header(good)], expected: admitted },
    { name: 'two parameters, the second good', target: `${PATH}?CAT=${expired}&CAT=${good}`, expected: admitted },
    {
      name: 'two parameters, the first good',
      target: `${PATH}?CAT=${good}&x=1&CAT=garbage`,
      expected: admitted,
      forwarded: `${PATH}?x=1`,
    },
    {
      name: 'two parameters, the first a JWT that is none, the second good',
      target: `${PATH}?CAT=eyJ.e30.AA&CAT=${good}`,
      expected: admitted,
    },
    {
      name: 'two parameters, the first a CAT cut off, the second good',
      target: `${PATH}?CAT=${good.slice(0, 50)}&CAT=${other}`,
      expected: admitted,
    },
    {
      name: 'header malformed in the first line, expired in the second',
      target: PATH,
      headers: [header(good.slice(0, 50)), header(expired)],
      expected: 'malformed_token',
    },
    {
      name: 'two parameters, both bad: the first gives the reason',
      target: `${PATH}?CAT=${expired}&CAT=${forged}`,
      expected: 'expired',
    },
    {
      name: 'two cookies in one line',
      target: PATH,
      headers: [['Cookie', `CAT=${forged}; CAT=${good}`]],
      expected: admitted,
    },
    {
      name: 'two lines of cookies',
      target: PATH,
      headers: [
        ['Cookie', `CAT=${expired}`],
        ['Cookie', `CAT=${good}; a=1`],
      ],
      expected: admitted,
    },
    { name: 'path bad, query good', target: `${inPath(forged)}?CAT=${good}`, expected: admitted },
    {
      name: 'path bad, cookie bad: the path gives the reason',
      target: inPath(forged),
      headers: [['Cookie', `CAT=${expired}`]],
      expected: 'bad_signature',
    },
    {
      name: 'six tokens, the last good',
      target: `${PATH}?${`CAT=${expired}&`.repeat(5)}CAT=${good}`,
      expected: admitted,
    },
    {
      name: 'seven tokens, the last good',
      target: `${PATH}?${`CAT=${expired}&`.repeat(6)}CAT=${good}`,
      expected: 'expired',
    },
    {
      name: 'a kid of another tenant beside a good token',
      target: `${inPath(cat({ iss: 'tenant-a' }, { kid: 'tenant-a' }), '/echo/b/x')}?CAT=${cat({ iss: 'tenant-b' }, { kid: 'tenant-b' })}`,
      expected: admitted,
      forwarded: '/echo/b/x',
    },
  ];
}

function tenantCases(): RequestCase[] {
  const of = (
    make: typeof cat | typeof jwt,
    kid: string,
    iss: string | undefined,
    path: string,
    name: string,
    expected: Expected,
  ): RequestCase => ({
    name: `${make === cat ? 'CAT' : 'JWT'}: ${name}`,
    target: inPath(make({ iss }, { kid }), path),
    expected,
    forwarded: path,
  });
  return [cat, jwt].flatMap((make) => [
    of(make, 'tenant-a', 'tenant-a', '/echo/a/x.ts', 'its own issuer and path', admitted),
    of(make, 'tenant-a', 'tenant-a', '/echo/a', 'its own path exactly', admitted),
    of(make, 'tenant-a', 'tenant-a', '/echo/a-secret/x', 'a path that only begins alike', 'not_entitled'),
    of(make, 'tenant-a', 'tenant-a', '/echo/b/x.ts', "another tenant's path", 'not_entitled'),
    of(make, 'tenant-a', 'tenant-b', '/echo/a/x.ts', "another tenant's issuer", 'issuer_mismatch'),
    of(make, 'tenant-a', undefined, '/echo/a/x.ts', 'no issuer where the key asks for one', 'issuer_mismatch'),
  ]);
}

export const requestCases: readonly RequestCase[] = [
  ...placementCases('CAT', cat()),
  ...placementCases('JWT', jwt()),
  ...tamperingCases(),
  ...claimCases(),
  ...pathCases(),
  ...severalCases(),
  ...tenantCases(),
];
