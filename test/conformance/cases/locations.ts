import { cat, jwt, live, NOW, PATH, secretOf, tokenOfLength, type Expected } from '../../verdicts/requests.js';
import { request, type Asked, type ConformanceCase } from '../case.js';

const good = cat({ catu: live });
const other = jwt({ catu: { path: { prefix: '/echo/' } } });
const expired = cat({ exp: NOW - 60 });
const expiredJwt = jwt({ exp: NOW - 60 });
const early = cat({ nbf: NOW + 60 });
const forged = cat({}, { mac: Buffer.alloc(32) });
const elsewhere = cat({ catu: new Map([[3, new Map([[1, '/vod/']])]]) });
const HEADER = 'CTA-Common-Access-Token';

const at = (
  what: string,
  target: string,
  expected: Expected,
  headers: Asked['headers'] = [],
  forwarded: string = PATH,
): ConformanceCase => request('4.4', what, target, expected, { headers }, { forwarded });

const everywhere = [
  ['CAT', good],
  ['JWT', other],
] as const;

/** Each place, with each format. */
const places = everywhere.flatMap(([format, token]) => [
  at(`first in the path (${format})`, `/${token}${PATH}`, 'admitted'),
  at(`first in the path, nothing behind it (${format})`, `/${format === 'CAT' ? cat() : jwt()}`, 'admitted', [], '/'),
  at(`parameter of the last path segment (${format})`, `${PATH};CAT=${token}`, 'admitted'),
  at(`parameter of a path segment before others (${format})`, `/echo/ch1;CAT=${token}/seg.ts`, 'admitted'),
  at(
    `parameter behind another (${format})`,
    `/echo/ch1;v=1;CAT=${token};w=2/seg.ts`,
    'admitted',
    [],
    '/echo/ch1;v=1;w=2/seg.ts',
  ),
  at(`query, alone (${format})`, `${PATH}?CAT=${token}`, 'admitted'),
  at(`query, first (${format})`, `${PATH}?CAT=${token}&a=1`, 'admitted', [], `${PATH}?a=1`),
  at(
    `query, between others that stay as they were (${format})`,
    `${PATH}?b=2&CAT=${token}&a=%20&c`,
    'admitted',
    [],
    `${PATH}?b=2&a=%20&c=`,
  ),
  at(`cookie (${format})`, PATH, 'admitted', [['Cookie', `CAT=${token}`]]),
  at(`cookie among others (${format})`, PATH, 'admitted', [['Cookie', `a=1; CAT=${token}; b=2`]]),
  at(`cookie in a line of its own (${format})`, PATH, 'admitted', [
    ['Cookie', 'a=1'],
    ['Cookie', `CAT=${token}`],
  ]),
  at(`Authorization: Bearer (${format})`, PATH, 'admitted', [['Authorization', `Bearer ${token}`]]),
  at(`Authorization: DPoP (${format})`, PATH, 'admitted', [['Authorization', `DPoP ${token}`]]),
  at(`Authorization, the scheme in another case (${format})`, PATH, 'admitted', [
    ['Authorization', `bearer  ${token}`],
  ]),
  at(`the standard's header (${format})`, PATH, 'admitted', [[HEADER, token]]),
  at(`the standard's header in lower case (${format})`, PATH, 'admitted', [[HEADER.toLowerCase(), token]]),
  at(`the header that players send (${format})`, PATH, 'admitted', [['Common-Access-Token', token]]),
  at(`the header as a string (RFC 8941 3.3.3) (${format})`, PATH, 'admitted', [[HEADER, `"${token}"`]]),
  at(`the header with parameters, which are ignored (RFC 8941 3.1.2) (${format})`, PATH, 'admitted', [
    [HEADER, `"${token}"; a=1;b="x"`],
  ]),
  at(`the header as a token with parameters (RFC 8941 3.3.4) (${format})`, PATH, 'admitted', [[HEADER, `${token};a`]]),
  at(`the header in two lines, the second one good (${format})`, PATH, 'admitted', [
    [HEADER, expired],
    [HEADER, token],
  ]),
]);

const order: readonly ConformanceCase[] = [
  at('no token anywhere', PATH, 'missing_token'),
  at('an empty parameter', `${PATH}?CAT=`, 'missing_token'),
  at('an empty cookie', PATH, 'missing_token', [['Cookie', 'CAT=']]),
  at('an empty header', PATH, 'missing_token', [[HEADER, '']]),
  at('another scheme of Authorization', PATH, 'missing_token', [['Authorization', `Basic ${good}`]]),
  at('a parameter of another name', `${PATH}?token=${good}`, 'missing_token'),
  at('a parameter in another case', `${PATH}?cat=${good}`, 'missing_token'),
  at('a cookie of another name', PATH, 'missing_token', [['Cookie', `XCAT=${good}`]]),
  at('the header alone counts: it is expired, the path is not', `/${good}${PATH}`, 'expired', [[HEADER, expired]]),
  at('the header alone counts: it is forged, the query is not', `${PATH}?CAT=${good}`, 'bad_signature', [
    [HEADER, forged],
  ]),
  at('the header alone counts: it is good, the path is forged', `/${forged}${PATH}`, 'admitted', [[HEADER, good]]),
  at(
    'the header alone counts: it is good, all else is stripped',
    `/${forged}/echo/ch1;CAT=${expired}/seg.ts?CAT=${early}&a=1`,
    'admitted',
    [
      [HEADER, good],
      ['Cookie', `CAT=${forged}; b=2`],
      ['Authorization', `Bearer ${expired}`],
    ],
    `${PATH}?a=1`,
  ),
  at('an empty header is none', `/${good}${PATH}`, 'admitted', [[HEADER, '']]),
  at('both headers, one good', PATH, 'admitted', [
    [HEADER, expired],
    ['Common-Access-Token', good],
  ]),
  at('path and query, the query good', `/${expired}${PATH}?CAT=${good}`, 'admitted'),
  at('query and cookie, the cookie good', `${PATH}?CAT=${expired}`, 'admitted', [['Cookie', `CAT=${other}`]]),
  at('query and cookie, the query good', `${PATH}?CAT=${other}`, 'admitted', [['Cookie', `CAT=${forged}`]]),
  at('two parameters, the first good', `${PATH}?CAT=${good}&CAT=${forged}`, 'admitted'),
  at('two parameters, the second good', `${PATH}?CAT=garbage&CAT=${good}`, 'admitted'),
  at('two cookies, the second good', PATH, 'admitted', [['Cookie', `CAT=${expired}; CAT=${good}`]]),
  at('good for another path, and good for this one', `/${elsewhere}${PATH}?CAT=${good}`, 'admitted'),
  at('none good: the path gives the reason', `/${expired}${PATH}?CAT=${forged}`, 'expired', [
    ['Cookie', `CAT=${early}`],
  ]),
  at(
    'none good: the path parameter comes before the query',
    `/echo/ch1;CAT=${early}/seg.ts?CAT=${forged}`,
    'not_yet_valid',
  ),
  at('none good: the query comes before the cookie', `${PATH}?CAT=${early}`, 'not_yet_valid', [
    ['Cookie', `CAT=${forged}`],
  ]),
  at('none good: the cookie comes before Authorization', PATH, 'expired', [
    ['Authorization', `Bearer ${forged}`],
    ['Cookie', `CAT=${expiredJwt}`],
  ]),
  at('none good: the first of two parameters', `${PATH}?CAT=${early}&CAT=${expired}`, 'not_yet_valid'),
  at('six tokens, the sixth good', `/${expired}${PATH}?${`CAT=${forged}&`.repeat(4)}CAT=${good}`, 'admitted'),
  at('six cookies, the sixth good', PATH, 'admitted', [['Cookie', `${`CAT=${expired}; `.repeat(5)}CAT=${good}`]]),
  at(
    'seven tokens, the seventh good: beyond what is looked at',
    `${PATH}?${`CAT=${expired}&`.repeat(6)}CAT=${good}`,
    'expired',
  ),
];

const lengths: readonly ConformanceCase[] = [
  request(
    '4.3.1.1',
    'a token of 4,096 characters (CAT)',
    `/${tokenOfLength((more) => cat(more), 4096)}${PATH}`,
    'admitted',
  ),
  request(
    '4.3.1.1',
    'a token of 4,096 characters (JWT)',
    `/${tokenOfLength((more) => jwt(more, { header: { cty: 'a' } }), 4096)}${PATH}`,
    'admitted',
  ),
  request('4.3.1.1', 'a longer token', `/${tokenOfLength((more) => cat(more), 4098)}${PATH}`, 'malformed_token'),
  request(
    '4.3.1.1',
    'two tokens of 4,096 characters together, the second good',
    `${PATH}?CAT=${tokenOfLength((more) => cat({ ...more, exp: NOW }), 2048)}&CAT=${tokenOfLength((more) => cat(more), 2048)}`,
    'admitted',
  ),
  request(
    '4.3.1.1',
    'two tokens of more, the second good: beyond what is looked at',
    `${PATH}?CAT=${tokenOfLength((more) => cat({ ...more, exp: NOW }), 2048)}&CAT=${tokenOfLength((more) => cat(more), 2050)}`,
    'expired',
  ),
];

const PADDED = tokenOfLength((more) => cat(more), 402);
const padding: readonly ConformanceCase[] = [
  request('4.3.1.1', 'padding in the path', `/${PADDED}==${PATH}`, 'admitted'),
  request('4.3.1.1', 'padding in the query', `${PATH}?CAT=${PADDED}==`, 'admitted', {}, { forwarded: PATH }),
  request(
    '4.3.1.1',
    'escaped padding in the query',
    `${PATH}?CAT=${PADDED}%3D%3d`,
    'admitted',
    {},
    { forwarded: PATH },
  ),
  request('4.3.1.1', 'padding in a cookie', PATH, 'admitted', { headers: [['Cookie', `CAT=${PADDED}==`]] }),
  request('4.3.1.1', 'padding in the header', PATH, 'admitted', { headers: [[HEADER, `"${PADDED}=="`]] }),
  request('4.3.1.1', 'no padding where some would be', `/${PADDED}${PATH}`, 'admitted'),
  request(
    '4.3.1.1',
    'padding in the middle',
    `/${PADDED.slice(0, 200)}==${PADDED.slice(200)}${PATH}`,
    'malformed_token',
  ),
  request(
    '4.3.1.1',
    'plain base64 instead of base64url',
    `/${PADDED.slice(0, 200)}+${PADDED.slice(201)}${PATH}`,
    'malformed_token',
  ),
];

/** A key is for issuers, and those for paths: a good signature alone opens nothing (4.10.2). */
const tenant = (
  what: string,
  make: typeof cat | typeof jwt,
  iss: string | undefined,
  kid: string,
  path: string,
  expected: Expected,
): ConformanceCase =>
  request(
    '4.10.2',
    `${what} (${make === cat ? 'CAT' : 'JWT'})`,
    `/${make({ iss }, { kid })}${path}`,
    expected,
    { kid },
    { forwarded: path },
  );
const tenants = [cat, jwt].flatMap((make) => [
  tenant('an issuer on its path', make, 'tenant-a', 'tenant-a', '/echo/a/x', 'admitted'),
  tenant('an issuer on another of its paths', make, 'partner-a', 'tenant-a', '/vod/a/x', 'admitted'),
  tenant('an issuer on its path itself', make, 'tenant-a', 'tenant-a', '/echo/a', 'admitted'),
  tenant('an issuer on a path that only begins alike', make, 'tenant-a', 'tenant-a', '/echo/ab', 'not_entitled'),
  tenant("an issuer on another tenant's path", make, 'tenant-a', 'tenant-a', '/echo/b/x', 'not_entitled'),
  tenant("an issuer's name in another tenant's token", make, 'tenant-a', 'tenant-b', '/echo/a/x', 'issuer_mismatch'),
  tenant(
    "an issuer on its path under another tenant's key",
    make,
    'tenant-b',
    'tenant-a',
    '/echo/a/x',
    'issuer_mismatch',
  ),
  tenant('no issuer under a tenant\u2019s key', make, undefined, 'tenant-a', '/echo/a/x', 'issuer_mismatch'),
  tenant('an issuer on its path in escapes', make, 'tenant-a', 'tenant-a', '/ech%6f/a/x', 'admitted'),
  tenant('an issuer on its way out of its path', make, 'tenant-a', 'tenant-a', '/echo/a/../b/x', 'ambiguous_path'),
]);

/** The places that a deployment may name instead. */
const named = (
  what: string,
  target: string,
  expected: Expected,
  forwarded = PATH,
  headers: Asked['headers'] = [],
): ConformanceCase => request('4.4', what, target, expected, { build: 'lenient', headers }, { forwarded });
const elsewhereNamed = everywhere.flatMap(([format, token]) => [
  named(`behind a prefix, which stays (${format})`, `/echo/${token}/ch1/seg.ts`, 'admitted'),
  named(`behind a prefix, last (${format})`, `/echo/${token}`, 'admitted', '/echo/'),
  named(`behind a marker, which goes (${format})`, `/~t/${token}${PATH}`, 'admitted'),
  named(`path parameter of another name (${format})`, `/echo/ch1;auth=${token}/seg.ts`, 'admitted'),
  named(`query parameter of another name (${format})`, `${PATH}?a=1&auth=${token}`, 'admitted', `${PATH}?a=1`),
  named(`cookie of another name (${format})`, PATH, 'admitted', PATH, [['Cookie', `auth=${token}`]]),
  named(`not first in the path (${format})`, `/${token}${PATH}`, 'missing_token'),
  named(`not behind another prefix (${format})`, `/vod/${token}/ch1/seg.ts`, 'missing_token'),
  named(`not under the usual name (${format})`, `${PATH}?CAT=${token}`, 'missing_token'),
]);
const namedOthers = [
  named('content behind a prefix that only has no token', PATH, 'missing_token'),
  named('garbage behind a marker is a token', `/~t/garbage${PATH}`, 'malformed_token'),
  named('a marker without anything', '/~t', 'missing_token'),
  named('a prefix that only begins alike', `/echoes/${good}/ch1/seg.ts`, 'missing_token'),
];

const keyless = request(
  '4.3.1.1.1',
  'no kid: the key without one',
  `/${cat({}, { kid: '', key: secretOf(''), protectedHeader: new Map() })}${PATH}`,
  'admitted',
);

export const locations: readonly ConformanceCase[] = [
  ...places,
  ...order,
  ...lengths,
  ...padding,
  ...tenants,
  ...elsewhereNamed,
  ...namedOthers,
  keyless,
];
