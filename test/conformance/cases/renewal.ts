import { NOW } from '../../verdicts/requests.js';
import {
  forms,
  map,
  onlyCat,
  onlyJwt,
  same,
  table,
  type Asked,
  type ExpectedRenewal,
  type Forms,
  type Row,
} from '../case.js';

const types = ['automatic', 'cookie', 'header', 'redirect'] as const;
const rules = ['type', 'expext', 'deadline', 'cookieName', 'headerName', 'cookieParams', 'headerParams', 'status'];
type Rules = Readonly<Record<string, unknown>>;

/** A `catr` in either format's words, with other claims beside it. */
function renewable(type: unknown, more: Rules = {}, claims: Forms = {}): Forms {
  const all: Rules = { type, expext: 600, ...more };
  const present = rules.filter((name) => all[name] !== undefined);
  const number = types.indexOf(type as (typeof types)[number]);
  return forms(
    {
      ...claims.cat,
      catr: new Map(present.map((name) => [rules.indexOf(name), name === 'type' && number >= 0 ? number : all[name]])),
    },
    { ...claims.jwt, catr: Object.fromEntries(present.map((name) => [name, all[name]])) },
  );
}
const renewed = (
  by: ExpectedRenewal['by'],
  more: Partial<ExpectedRenewal> = {},
): { readonly renewal: ExpectedRenewal } => ({
  renewal: { by, ...more, claims: { exp: NOW + 600, iat: NOW, iss: 'edge', ...more.claims } },
});
const none = { renewal: 'none' } as const;
const inCookie: Asked = { place: 'cookie' };
const inHeader: Asked = { place: 'header' };
const handle = Buffer.alloc(16, 9);
const session = forms({ session: handle }, { sid: handle.toString('base64url') });
const newId =
  (old: string) =>
  (claim: unknown): void => {
    if (typeof claim !== 'string' || claim === old || claim.length < 22)
      throw new Error(`the new id is ${String(claim)}`);
  };
const hasId = forms({ cti: Buffer.from('old id') }, { jti: 'old id' });

const automatic: Row[] = [
  ['automatic: in the cookie that it came in', renewable('automatic'), 'admitted', inCookie, renewed('cookie')],
  ['automatic: in the header that it came in', renewable('automatic'), 'admitted', inHeader, renewed('header')],
  [
    'automatic: in the path, by a redirect',
    renewable('automatic'),
    'admitted',
    { later: 0 },
    { ...renewed('redirect') },
  ],
  [
    'automatic: in the query, by a redirect',
    renewable('automatic', { deadline: 60 }),
    'admitted',
    { place: 'query', query: 'a=1' },
    renewed('redirect'),
  ],
  [
    'automatic: in Authorization, in the standard\u2019s header',
    renewable('automatic'),
    'admitted',
    { place: 'authorization' },
    renewed('header'),
  ],
];

const cookie: Row[] = [
  ['cookie: by the usual name', renewable('cookie'), 'admitted', inCookie, renewed('cookie')],
  ['cookie: though it came in a header', renewable('cookie'), 'admitted', inHeader, renewed('cookie')],
  ['cookie: though it came in the path', renewable('cookie'), 'admitted', {}, renewed('cookie')],
  [
    'cookie: by a name of its own',
    renewable('cookie', { cookieName: 'session' }),
    'admitted',
    inCookie,
    renewed('cookie', { name: 'session' }),
  ],
  [
    'cookie: with parameters',
    renewable('cookie', { cookieParams: ['Path=/', 'Secure', 'SameSite=None'] }),
    'admitted',
    inCookie,
    renewed('cookie', { parameters: 'Path=/; Secure; SameSite=None' }),
  ],
  [
    'cookie: a name with a character that none has',
    renewable('cookie', { cookieName: 'a=b' }),
    'admitted',
    inCookie,
    none,
  ],
  ['cookie: a name with a line break', renewable('cookie', { cookieName: 'a\r\nb' }), 'admitted', inCookie, none],
  [
    'cookie: a parameter with a line break',
    renewable('cookie', { cookieParams: ['Path=/\r\nX: y'] }),
    'admitted',
    inCookie,
    none,
  ],
  [
    'cookie: a parameter with a semicolon (RFC 6265 4.1.1)',
    renewable('cookie', { cookieParams: ['Path=/; Domain=example.com'] }),
    'admitted',
    inCookie,
    none,
  ],
  ['cookie: a header name is foreign', renewable('cookie', { headerName: 'X-Token' }), 'admitted', inCookie, none],
  ['cookie: header parameters are foreign', renewable('cookie', { headerParams: ['a=1'] }), 'admitted', inCookie, none],
  ['cookie: a redirect status is foreign', renewable('cookie', { status: 302 }), 'admitted', inCookie, none],
];

const header: Row[] = [
  ['header: by the standard\u2019s name', renewable('header'), 'admitted', inHeader, renewed('header')],
  ['header: though it came in a cookie', renewable('header'), 'admitted', inCookie, renewed('header')],
  ['header: though it came in the path', renewable('header'), 'admitted', {}, renewed('header')],
  [
    'header: by a name of its own',
    renewable('header', { headerName: 'X-Token' }),
    'admitted',
    inHeader,
    renewed('header', { name: 'x-token' }),
  ],
  [
    'header: with parameters',
    renewable('header', { headerParams: ['a=1'] }),
    'admitted',
    inHeader,
    renewed('header', { parameters: 'a=1' }),
  ],
  ['header: a name with a space', renewable('header', { headerName: 'X Token' }), 'admitted', inHeader, none],
  ['header: a cookie name is foreign', renewable('header', { cookieName: 'CAT' }), 'admitted', inHeader, none],
  [
    'header: cookie parameters are foreign',
    renewable('header', { cookieParams: ['Secure'] }),
    'admitted',
    inHeader,
    none,
  ],
  ['header: a redirect status is foreign', renewable('header', { status: 307 }), 'admitted', inHeader, none],
];

const redirect: Row[] = [
  [
    'redirect: 307 unless it says another',
    renewable('redirect', { deadline: 60 }),
    'admitted',
    {},
    renewed('redirect'),
  ],
  [
    'redirect: with a status',
    renewable('redirect', { deadline: 60, status: 302 }),
    'admitted',
    {},
    renewed('redirect', { status: 302 }),
  ],
  [
    'redirect: in the query, other parameters stay',
    renewable('redirect', { deadline: 60 }),
    'admitted',
    { place: 'query', query: 'a=1' },
    renewed('redirect'),
  ],
  ['redirect: HEAD', renewable('redirect', { deadline: 60 }), 'admitted', { method: 'HEAD' }, renewed('redirect')],
  [
    'redirect: not of what cannot be asked again',
    renewable('redirect', { deadline: 60 }),
    'admitted',
    { method: 'POST' },
    none,
  ],
  [
    'redirect: a cookie name is foreign',
    renewable('redirect', { deadline: 60, cookieName: 'CAT' }),
    'admitted',
    {},
    none,
  ],
  [
    'redirect: a header name is foreign',
    renewable('redirect', { deadline: 60, headerName: 'X' }),
    'admitted',
    {},
    none,
  ],
];

const times: Row[] = [
  ['within the deadline', renewable('cookie', { deadline: 60 }), 'admitted', inCookie, renewed('cookie')],
  [
    'at the deadline',
    renewable('cookie', { deadline: 30 }),
    'admitted',
    { ...inCookie, later: 30 },
    { renewal: { by: 'cookie', claims: { exp: NOW + 630, iat: NOW + 30 } } },
  ],
  ['before the deadline', renewable('cookie', { deadline: 30 }), 'admitted', { ...inCookie, later: 29 }, none],
  [
    'a deadline without an exp',
    renewable('cookie', { deadline: 30 }, same({ exp: undefined })),
    'admitted',
    inCookie,
    none,
  ],
  ['expired: only acceptable tokens renew', renewable('cookie', {}, same({ exp: NOW })), 'expired', inCookie, none],
  [
    'for another path: only acceptable tokens renew',
    renewable('cookie', {}, forms({ catu: map([3, map([1, '/vod/'])]) }, { catu: { path: { prefix: '/vod/' } } })),
    'uri_mismatch',
    inCookie,
    none,
  ],
  [
    'the session\u2019s end bounds the new exp',
    renewable('cookie', {}, same({ sxp: NOW + 300 })),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { exp: NOW + 300, sxp: NOW + 300 } }),
  ],
  ['a session that ends with the token', renewable('cookie', {}, same({ sxp: NOW + 60 })), 'admitted', inCookie, none],
  ['a session that has ended', renewable('cookie', {}, same({ sxp: NOW })), 'session_ended', inCookie, none],
];

const claims: Row[] = [
  [
    'a new id where there was one',
    renewable('cookie', {}, hasId),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { jti: newId('old id') } }),
  ],
  [
    'no id where there was none',
    renewable('cookie'),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { jti: undefined } }),
  ],
  [
    'the session handle as it was',
    renewable('cookie', {}, session),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { sid: handle.toString('base64url') } }),
  ],
  [
    'the subject and unknown claims as they were',
    renewable('cookie', {}, same({ sub: 'viewer', note: ['x', 1] })),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { sub: 'viewer', note: ['x', 1] } }),
  ],
  [
    'the time of issue in the place of the old one',
    renewable('cookie', {}, same({ iat: NOW - 600 })),
    'admitted',
    inCookie,
    renewed('cookie'),
  ],
  [
    'the renewer in the place of the old issuer',
    renewable('cookie', {}, same({ iss: 'cms' })),
    'admitted',
    inCookie,
    renewed('cookie'),
  ],
  [
    'the conditions as they were',
    renewable(
      'cookie',
      {},
      forms(
        { catm: ['GET'], catu: map([3, map([1, '/echo/'])]) },
        { catm: ['GET'], catu: { path: { prefix: '/echo/' } } },
      ),
    ),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { catm: ['GET'], catu: { path: { prefix: '/echo/' } } } }),
  ],
  [
    'a country, a cell, a protocol and a network that only CloudFront\u2019s headers tell',
    renewable(
      'cookie',
      {},
      forms(
        { catgeoiso3166: ['US-CA'], geohash: '9q8y', catalpn: [Buffer.from('h2')], catnip: [64500] },
        { catgeoiso3166: ['US-CA'], geohash: '9q8y', catalpn: ['h2'], catnip: [64500] },
      ),
    ),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { catgeoiso3166: ['US-CA'], geohash: '9q8y' } }),
  ],
  [
    'the renewal itself as it was',
    renewable('cookie', { deadline: 60 }),
    'admitted',
    inCookie,
    renewed('cookie', { claims: { catr: { type: 'cookie', expext: 600, deadline: 60 } } }),
  ],
  [
    'signed with the edge\u2019s own key, in the configured cookie',
    renewable('cookie', {}, session),
    'admitted',
    { ...inHeader, build: 'lenient' },
    renewed('cookie', { kid: 'edge', name: 'auth' }),
  ],
  [
    'a key that is for issuers, of which the renewer is none',
    renewable('cookie', {}, same({ iss: 'tenant-a' })),
    'admitted',
    { ...inCookie, kid: 'tenant-a', path: '/echo/a/x' },
    renewed('cookie', { kid: 'tenant-a', claims: { iss: 'tenant-a' } }),
  ],
];

const malformed: Row[] = [
  ['no map', same({ catr: 5 }), 'invalid_claim'],
  ['no type', renewable(undefined), 'invalid_claim'],
  ['no seconds', renewable('cookie', { expext: undefined }), 'invalid_claim'],
  [
    'a type that is none',
    forms({ catr: map([0, 4], [1, 600]) }, { catr: { type: 'mail', expext: 600 } }),
    'invalid_claim',
  ],
  [
    'the other format\u2019s type',
    forms({ catr: map([0, 'cookie'], [1, 600]) }, { catr: { type: 1, expext: 600 } }),
    'invalid_claim',
  ],
  ['seconds as a text', renewable('cookie', { expext: '600' }), 'invalid_claim'],
  ['negative seconds', renewable('cookie', { expext: -600 }), 'invalid_claim'],
  ['a deadline as a text', renewable('cookie', { deadline: 'soon' }), 'invalid_claim'],
  ['a cookie name that is a number', renewable('cookie', { cookieName: 5 }), 'invalid_claim'],
  ['a header name that is a number', renewable('header', { headerName: 5 }), 'invalid_claim'],
  ['cookie parameters that are a number', renewable('cookie', { cookieParams: 5 }), 'invalid_claim'],
  ['a status that is a text', renewable('redirect', { status: 'found' }), 'invalid_claim'],
  ['a list', onlyCat({ catr: [1, 600] }), 'invalid_claim'],
  ['null', onlyJwt({ catr: null }), 'invalid_claim'],
];

export const renewal = [
  ...table('4.9.2.1', 'catr', automatic),
  ...table('4.9.2.2', 'catr', cookie),
  ...table('4.9.2.3', 'catr', header),
  ...table('4.9.2.4', 'catr', redirect),
  ...table('4.9.2', 'catr', [...times, ...claims, ...malformed]),
];
