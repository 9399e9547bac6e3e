import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  functionHosts,
  viewerRequestEvent,
  type HostCase,
  type HostResult,
  type RequestParts,
} from '../../scripts/engine/index.js';
import { cbor, Float, makeCat, makeJwt, Raw, Tagged } from '../engine/token-maker.js';
import { compiledFolder, neutralConfig } from './functions.js';
import { NOW, secretOf, storeEntries } from './requests.js';

/** Another run looks elsewhere with `PORTCULLIS_SEED=<number>`; a failure names its requests. */
const seed = Number(process.env['PORTCULLIS_SEED'] ?? 20261120);
const runs = 10_000;

const hosts = await functionHosts();
const { file } = await compiledFolder(neutralConfig('default'));

const names = [
  'iss',
  'sub',
  'aud',
  'exp',
  'nbf',
  'iat',
  'jti',
  'catv',
  'catnip',
  'catu',
  'catm',
  'catgeoiso3166',
  'sid',
  'sxp',
  'cnf',
  'cath',
  'whatever',
  '__proto__',
  'constructor',
  '4',
  '-65537',
];
const moments = fc.oneof(
  fc.integer({ min: NOW - 3, max: NOW + 3 }),
  fc.double({ min: NOW - 2, max: NOW + 2, noNaN: true }),
  fc.constantFrom(0, -1, 2 ** 53, 2 ** 31, 1e300),
);
const texts = fc.oneof(
  fc.constantFrom(
    'US',
    'us',
    'US-CA',
    'GET',
    'get',
    '/echo/',
    '/echo/ch1/',
    'https',
    'tenant-a',
    '203.0.113.0/24',
    '2001:db8::/56',
    '::1/128',
    '::/0',
    '256.1.1.1/8',
    '',
  ),
  fc.string({ maxLength: 12 }),
);
const jsonValues = fc.oneof(
  moments,
  texts,
  fc.array(texts, { maxLength: 3 }),
  fc.constantFrom(null, true, 1, 2, [], {}, 64500, [64500], [-1], [1.5]),
  fc.record({
    path: fc.dictionary(fc.constantFrom('exact', 'prefix', 'suffix', 'contains', 'regex', 'sha256', 'else'), texts, {
      maxKeys: 2,
    }),
  }),
  fc.dictionary(
    fc.constantFrom(
      'scheme',
      'host',
      'port',
      'path',
      'query',
      'parent',
      'filename',
      'stem',
      'extension',
      'constructor',
    ),
    fc.dictionary(fc.constantFrom('exact', 'prefix', 'contains'), texts, { maxKeys: 2 }),
    { maxKeys: 2 },
  ),
  // njs writes integers beyond 2 ** 53 in its own way, and the profile takes JSON as it is written there alone.
  fc.jsonValue({ maxDepth: 3 }).filter((value) => !/\d{17}/.test(JSON.stringify(value).replace(/\.\d+(?!e)/g, ''))),
);
const jsonClaims = fc.dictionary(fc.constantFrom(...names), jsonValues, { maxKeys: 4 });

const bytes = fc.uint8Array({ maxLength: 18 }).map((value) => Buffer.from(value));
const addresses = fc
  .tuple(fc.constantFrom(52, 54, 1), fc.oneof(bytes, fc.tuple(fc.integer({ min: -1, max: 130 }), bytes)))
  .map(([tag, value]) => new Tagged(tag, value));
const scalars = fc.oneof(
  moments,
  texts,
  bytes,
  fc.constantFrom(null, true, 1, 2, undefined),
  addresses,
  moments.map((value) => new Float(value)),
);
const maps = fc
  .array(
    fc.tuple(fc.oneof(fc.integer({ min: -3, max: 10 }), texts), fc.oneof(scalars, fc.array(scalars, { maxLength: 2 }))),
    { maxLength: 3 },
  )
  .map((pairs) => new Map<unknown, unknown>(pairs));
const uriMaps = fc
  .array(
    fc.tuple(
      fc.integer({ min: 0, max: 9 }),
      fc.array(fc.tuple(fc.integer({ min: -2, max: 5 }), texts), { maxLength: 2 }).map((pairs) => new Map(pairs)),
    ),
    { maxLength: 2 },
  )
  .map((pairs) => new Map(pairs));
const catValues = fc.oneof(
  scalars,
  fc.array(scalars, { maxLength: 3 }),
  maps,
  uriMaps,
  fc.uint8Array({ maxLength: 8 }).map((value) => new Raw(value)),
);
const catClaims = fc.array(
  fc.tuple(
    fc.oneof(
      fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8, 282, 310, 311, 312, 313, 315, 316, 323, -65537, -65538),
      fc.integer({ min: -2, max: 400 }),
      texts,
    ),
    catValues,
  ),
  { maxLength: 4 },
);

const kids = fc.constantFrom('main', 'main', 'main', 'tenant-a', 'tenant-b', 'nobody');
const jwts = fc
  .tuple(kids, jsonClaims, fc.constantFrom<unknown>('HS256', 'HS256', 'HS256', 'none', 'HS384', null, 5))
  .map(([kid, claims, alg]) =>
    makeJwt({ key: secretOf(kid), kid, header: { alg }, claims: { exp: NOW + 60, ...claims } }),
  );
const cats = fc
  .tuple(
    kids,
    catClaims,
    fc.constantFrom(5, 5, 5, null, 4, -7, 'HS256'),
    fc.constantFrom([61, 17], [17], [18], [61, 18]),
  )
  .map(([kid, claims, alg, tags]) =>
    makeCat({
      key: secretOf(kid),
      kid,
      claims: [[4, NOW + 60], ...claims.filter(([label]) => label !== 4)] as [unknown, unknown][],
      alg,
      tags,
    }),
  );
/** One claim that is well-formed, so that each is decided often. */
const sane = fc
  .tuple(
    fc.boolean(),
    fc.constantFrom('main', 'main', 'tenant-a'),
    fc.constantFrom<readonly [number, string, unknown, unknown]>(
      [4, 'exp', NOW, NOW],
      [5, 'nbf', NOW + 1, NOW + 1],
      [1, 'iss', 'tenant-a', 'tenant-a'],
      [312, 'catu', new Map([[3, new Map([[1, '/echo/ch1/']])]]), { path: { prefix: '/echo/ch1/' } }],
      [313, 'catm', ['GET'], ['GET']],
      [316, 'catgeoiso3166', ['US'], ['US']],
      [311, 'catnip', [new Tagged(52, [24, Buffer.from('cb0071', 'hex')])], ['203.0.113.0/24']],
      [315, 'cath', new Map([['a', new Map([[0, 'b']])]]), { a: { exact: 'b' } }],
    ),
  )
  .map(([isCat, kid, [label, name, catValue, jwtValue]]) =>
    isCat
      ? makeCat({ key: secretOf(kid), kid, claims: [[label, catValue]] })
      : makeJwt({ key: secretOf(kid), kid, claims: { [name]: jwtValue } }),
  );

/** Signed all the same, so that what reads the claims sees them. */
const strangePayloads = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((payload) => makeCat({ key: secretOf('main'), kid: 'main', payload })),
  fc.tuple(catClaims, fc.nat(), fc.nat(255)).map(([claims, at, byte]) => {
    const payload = cbor(new Map<unknown, unknown>([[4, NOW + 60], ...(claims as [unknown, unknown][])]));
    payload[at % payload.length] = byte;
    return makeCat({ key: secretOf('main'), kid: 'main', payload });
  }),
  fc
    .uint8Array({ maxLength: 12 })
    .map((header) => makeCat({ key: secretOf('main'), protectedHeader: new Raw(header) })),
  fc
    .oneof(
      fc.json(),
      fc.string(),
      jsonClaims.map((claims) => JSON.stringify(claims).replace(',', ', ')),
    )
    .map((payloadText) => makeJwt({ key: secretOf('main'), kid: 'main', payloadText })),
);

/** One change to a text: a character, a cut, a doubling, or none. */
const alphabet = 'ABCZaez019-_.=+/%;"\\ \u0000\u00e9';
const change = fc.tuple(
  fc.constantFrom('keep', 'keep', 'keep', 'keep', 'keep', 'keep', 'put', 'replace', 'remove', 'cut', 'double'),
  fc.nat(),
  fc.constantFrom(...alphabet),
);
type Change = readonly [kind: string, place: number, character: string];
function changed(text: string, [kind, place, character]: Change): string {
  const at = place % (text.length + 1);
  switch (kind) {
    case 'put':
      return text.slice(0, at) + character + text.slice(at);
    case 'replace':
      return text.slice(0, at) + character + text.slice(at + 1);
    case 'remove':
      return text.slice(0, at) + text.slice(at + 1);
    case 'cut':
      return text.slice(0, at);
    case 'double':
      return text + text;
    default:
      return text;
  }
}

const tokens = fc
  .tuple(fc.oneof(jwts, cats, strangePayloads, { arbitrary: sane, weight: 3 }), change)
  .map(([token, by]) => changed(token, by));
const pieces = fc.constantFrom(
  '/echo',
  '/ch1',
  '/seg.ts',
  '/',
  '/..',
  '/.',
  '/%2e%2e',
  '%2F',
  '%5c',
  '\\',
  '%00',
  '%zz',
  '%',
  '%e2%82%ac',
  '%c0%af',
  '%41',
  '%7e',
  ';a=1',
  '/.hidden',
  '/a.tar.gz',
  '\u00e9',
  '#',
  ' ',
  '//',
  ':',
  '%252f',
  '.',
  '/..;',
);
const paths = fc.oneof(
  fc.constantFrom('/echo/ch1/seg.ts', '/echo/a/x', '/echo/b/x'),
  fc.constantFrom('/echo/ch1/a.tar.gz', '/echo/%41;b=1/.hidden', '/'),
  fc.array(pieces, { maxLength: 5 }).map((parts) => `/${parts.join('').replace(/^\//, '')}`),
);
const viewers = fc.record(
  {
    'cloudfront-viewer-country': fc.constantFrom('US', 'DE', 'us', ''),
    'cloudfront-viewer-country-region': fc.constantFrom('CA', ''),
    'cloudfront-viewer-asn': fc.constantFrom('64500', 'x'),
    'cloudfront-forwarded-proto': fc.constantFrom('http', 'https', ''),
    host: fc.constantFrom('video.example.com', 'VIDEO.example.com:8443', '', ':', 'a:443'),
    origin: fc.constantFrom('https://a.example', 'null', ''),
    'x-portcullis-renewal': fc.string({ maxLength: 8 }),
    constructor: fc.constant('x'),
    ['__proto__']: fc.constant('x'),
  },
  { requiredKeys: [] },
);
const requests: fc.Arbitrary<RequestParts> = fc
  .record({
    path: paths,
    tokens: fc.array(
      fc.tuple(fc.constantFrom('path', 'path', 'query', 'cookie', 'header', 'other-header', 'string-header'), tokens),
      { minLength: 0, maxLength: 2 },
    ),
    query: fc.constantFrom('', '', 'a=1', 'CAT=', 'CAT', '&&', 'a=%', '__proto__=1', 'CAT=x&CAT=y'),
    headers: viewers,
    method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'get'),
    ip: fc.constantFrom('203.0.113.9', '2001:db8::1', '::1', '2001:db8:0:0:1::', ''),
  })
  .map(({ path, tokens: placed, query, headers, method, ip }) => {
    let uri = path;
    const queries: string[] = query === '' ? [] : [query];
    const cookies: [string, string][] = [];
    const lines: Record<string, string | string[]> = { ...headers };
    for (const [place, token] of placed) {
      if (place === 'path') uri = `/${token}${uri}`;
      else if (place === 'query') queries.push(`CAT=${token}`);
      else if (place === 'cookie') cookies.push(['CAT', token]);
      else {
        const name = place === 'other-header' ? 'common-access-token' : 'cta-common-access-token';
        lines[name] = [...[lines[name] ?? []].flat(), place === 'string-header' ? `"${token}"; v=1` : token];
      }
    }
    return { uri: uri.split('?')[0] ?? '/', query: queries.join('&'), cookies, headers: lines, method, ip };
  });

const cases: HostCase[] = fc
  .sample(requests, { numRuns: runs, seed })
  .map((request) => ({ event: viewerRequestEvent(request) }));
const options = { store: { entries: storeEntries }, now: NOW * 1000 };

function summary({ result, error, logs }: HostResult): string {
  if (error) return `threw ${error.name}: ${error.message}`;
  if (!result) return 'nothing';
  const lines = logs.map((line) => {
    // Ids may be numbers in malformed claims, which njs writes in its own way.
    const { r, m, k } = JSON.parse(line) as Record<string, unknown>;
    return [r, m, k];
  });
  const rest = result.statusCode ? result.body : [result.uri, result.querystring];
  return JSON.stringify([result.statusCode ?? 'admitted', rest, lines]);
}

/** njs 0.7.9 lists claims in the token's order, so that of two claims that cannot be used another may be named. */
const unnamed = (text: string, engine: string): string =>
  engine === 'njs 0.7.9' ? text.replaceAll('unsupported_claim', 'invalid_claim') : text;

const answers = new Map<string, Promise<HostResult[]>>(
  hosts.filter((host) => !host.missing).map((host) => [host.name, host.run(file, cases, options)]),
);

test.each(hosts)(`nothing is thrown out of the handler in ${runs} mutated requests: $name`, async (host) => {
  if (host.missing) return;
  const results = (await answers.get(host.name)) ?? [];
  expect(results.length).toBe(runs);
  const thrown = results.flatMap((result, i) =>
    result.error || !result.result ? [{ seed, request: cases[i]?.event.request, result }] : [],
  );
  expect(thrown.slice(0, 3)).toEqual([]);
  // Faults of ours would hide behind a refusal.
  const internal = results.flatMap(({ result }, i) =>
    /internal_error/.test(String(result?.body)) ? [cases[i]?.event.request] : [],
  );
  expect(internal.slice(0, 3)).toEqual([]);
});

test.each(hosts.filter((host) => host.name !== 'node-vm'))(
  "$name gives the same verdicts as Node's engine",
  async (host) => {
    if (host.missing) return;
    const reference = (await answers.get('node-vm')) ?? [];
    const results = (await answers.get(host.name)) ?? [];
    const differing = results.flatMap((result, i) => {
      const here = unnamed(summary(result), host.name);
      const there = unnamed(summary(reference[i] as HostResult), host.name);
      return here === there ? [] : [`${here}, not ${there}: ${JSON.stringify(cases[i]?.event.request)}`];
    });
    expect(differing.slice(0, 5)).toEqual([]);
  },
);

test('the requests are of every kind', async () => {
  const results = (await answers.get('node-vm')) ?? [];
  const kinds: Record<string, number> = {};
  for (const { result } of results) {
    const kind = result?.statusCode
      ? String(/"error":"(\w+)"/.exec(String(result.body))?.[1] ?? result.statusCode)
      : 'admitted';
    kinds[kind] = (kinds[kind] ?? 0) + 1;
  }
  for (const kind of [
    'admitted',
    'bad_signature',
    'malformed_token',
    'missing_token',
    'invalid_claim',
    'unsupported_claim',
    'unsupported_algorithm',
    'unknown_key',
    'expired',
    'ambiguous_path',
    'uri_mismatch',
    'not_entitled',
    'issuer_mismatch',
  ])
    expect([kind, (kinds[kind] ?? 0) > 9]).toEqual([kind, true]);
});
