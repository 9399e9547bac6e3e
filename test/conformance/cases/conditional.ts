import { NOW, PATH, cat, jwt } from '../../verdicts/requests.js';
import { cbor, LABEL } from '../../engine/token-maker.js';
import { claimsOf } from '../genuine.js';
import { forms, map, onlyCat, onlyJwt, request, same, table, type Forms, type Row } from '../case.js';

/** A `catif` of one entry: for claims by name, in either format's words. */
function answer(names: readonly string[], status: unknown, ...more: readonly [headers?: Parts, kid?: string]): Forms {
  const [headers, kid] = more;
  const keys = names.map((name) => (LABEL as Record<string, number>)[name] ?? Number(name));
  const withKid = kid === undefined ? [] : [Buffer.from(kid)];
  return forms(
    {
      catif: map([
        keys.length === 1 ? keys[0] : keys,
        [
          status,
          ...(headers ? [new Map(Object.entries(headers).map(([name, part]) => [name, inCat(part)]))] : []),
          ...withKid,
        ],
      ]),
    },
    { catif: { [names.join(',')]: [status, ...(headers ? [headers] : []), ...(kid === undefined ? [] : [kid])] } },
  );
}
type Part = string | number | null | Readonly<Record<string, unknown>>;
type Parts = Readonly<Record<string, Part | readonly Part[]>>;
/** A claim set in a JWT's words, in a CAT's. */
function inCat(part: Part | readonly Part[]): unknown {
  if (Array.isArray(part)) return part.map((one) => inCat(one as Part));
  if (part === null || typeof part !== 'object') return part;
  return new Map(Object.entries(part).map(([name, value]) => [(LABEL as Record<string, number>)[name] ?? name, value]));
}

const with_ = (one: Forms, claims: Record<string, unknown>): Forms =>
  forms({ ...one.cat, ...claims }, { ...one.jwt, ...claims });
const gone = { exp: NOW };
const text = (value: string): string => Buffer.from(value).toString('base64url');
const rejected = (...labels: number[]): string => cbor(labels).toString('base64url');
const signed =
  (expected: Record<string, unknown>, kid = 'edge') =>
  (token: string): void => {
    const claims = claimsOf(token, kid);
    for (const [name, value] of Object.entries(expected)) {
      if (JSON.stringify(claims[name]) !== JSON.stringify(value))
        throw new Error(`${name} is ${JSON.stringify(claims[name])}, not ${JSON.stringify(value)}`);
    }
  };
const original = (value: string): void => {
  const uri = Buffer.from(value, 'base64url').toString();
  if (!/^https:\/\/video\.example\.com\/(2D3|eyJ)[\w.-]+\/echo\/ch1\/seg\.ts\?a=1$/.test(uri)) throw new Error(uri);
};

const answered: Row[] = [
  ['its status', with_(answer(['exp'], 403), gone), 'expired', {}, { answer: { status: 403 } }],
  [
    'a redirect',
    with_(answer(['exp'], 302, { Location: 'https://www.example.com/' }), gone),
    'expired',
    {},
    { answer: { status: 302, headers: { location: 'https://www.example.com/' } } },
  ],
  [
    'an entry for several claims, the second one rejected',
    with_(answer(['nbf', 'exp'], 410), gone),
    'expired',
    {},
    { answer: { status: 410 } },
  ],
  [
    'an entry for a claim that a request fails',
    with_(answer(['catm'], 405, { Allow: 'POST' }), { catm: ['POST'] }),
    'method_mismatch',
    {},
    { answer: { status: 405, headers: { allow: 'POST' } } },
  ],
  ['an entry for the issuer', answer(['iss'], 418), 'issuer_mismatch', { kid: 'edge-a' }, { answer: { status: 418 } }],
  [
    'an entry for the dice',
    forms(
      { ...answer(['catpor'], 429).cat, catpor: [1, Buffer.from('x')] },
      { ...answer(['catpor'], 429).jwt, catpor: [1, 'eA'] },
    ),
    'probabilistic_refusal',
    { random: 0 },
    { answer: { status: 429 } },
  ],
  [
    'an entry for one of two rejected claims',
    with_(answer(['catm'], 405), { ...gone, catm: ['POST'] }),
    'expired',
    {},
    { answer: { status: 405 } },
  ],
  ['an entry for another claim', with_(answer(['nbf'], 403), gone), 'expired', {}, { answer: { status: 401 } }],
  [
    'an entry for a claim that nobody knows',
    with_(answer(['999'], 403), gone),
    'expired',
    {},
    { answer: { status: 401 } },
  ],
  ['no entry matters to an acceptable token', answer(['exp'], 403), 'admitted'],
  [
    'a header in pieces',
    with_(answer(['exp'], 302, { Location: ['https://www.example.com/', 'login', '?'] }), gone),
    'expired',
    {},
    { answer: { status: 302, headers: { location: 'https://www.example.com/login?' } } },
  ],
  [
    '0 is the URI as asked for',
    with_(answer(['exp'], 403, { 'X-Uri': [0] }), gone),
    'expired',
    { query: 'a=1' },
    { answer: { status: 403, headers: { 'x-uri': original } } },
  ],
  [
    '1 is the URI without its token',
    with_(answer(['exp'], 403, { 'X-Uri': ['u=', 1] }), gone),
    'expired',
    { query: 'a=1' },
    { answer: { status: 403, headers: { 'x-uri': `u=${text(`https://video.example.com${PATH}?a=1`)}` } } },
  ],
  [
    '1 is the query without its token',
    with_(answer(['exp'], 403, { 'X-Uri': [1] }), gone),
    'expired',
    { query: 'a=1', place: 'query' },
    { answer: { status: 403, headers: { 'x-uri': text(`https://video.example.com${PATH}?a=1`) } } },
  ],
  [
    '2 is the list of rejected claims',
    with_(answer(['exp'], 403, { 'X-Claims': [2] }), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-claims': rejected(4) } } },
  ],
  [
    '2 is the list of all rejected claims',
    with_(answer(['exp'], 403, { 'X-Claims': [2] }), { ...gone, catm: ['POST'] }),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-claims': rejected(4, 313) } } },
  ],
  [
    'another number is an empty text',
    with_(answer(['exp'], 403, { 'X-Odd': ['a', 7, 'b', -1] }), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-odd': 'ab' } } },
  ],
  [
    'a claim set becomes a token',
    with_(answer(['exp'], 302, { Location: ['https://a.example/?CAT=', { sub: 'x', exp: NOW + 9 }] }, 'edge'), gone),
    'expired',
    {},
    {
      answer: {
        status: 302,
        headers: {
          location: (value) => {
            if (!value.startsWith('https://a.example/?CAT=')) throw new Error(value);
            signed({ sub: 'x', exp: NOW + 9, iss: undefined })(value.slice(23));
          },
        },
      },
    },
  ],
  [
    'a null issuer and time are filled in',
    with_(answer(['exp'], 403, { 'X-Token': [{ iss: null, iat: null, sub: 'x' }] }, 'edge'), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-token': signed({ iss: 'edge', iat: NOW, sub: 'x' }) } } },
  ],
  [
    'another issuer and time stay',
    with_(answer(['exp'], 403, { 'X-Token': [{ iss: 'me', iat: 5 }] }, 'edge'), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-token': signed({ iss: 'me', iat: 5 }) } } },
  ],
  [
    'a claim set within a claim set goes along',
    with_(answer(['exp'], 403, { 'X-Token': [{ catm: ['GET'], sub: 'y' }] }, 'edge'), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-token': signed({ catm: ['GET'], sub: 'y' }) } } },
  ],
  [
    'a claim set without a key is an empty text',
    with_(answer(['exp'], 403, { 'X-Token': ['t=', { sub: 'x' }] }), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-token': 't=' } } },
  ],
  [
    'a claim set with a key that nobody knows is an empty text',
    with_(answer(['exp'], 403, { 'X-Token': ['t=', { sub: 'x' }] }, 'nobody'), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'x-token': 't=' } } },
  ],
  [
    'a header that is there already stays',
    with_(answer(['exp'], 403, { 'Cache-Control': 'max-age=600', 'X-New': '1' }), gone),
    'expired',
    {},
    { answer: { status: 403, headers: { 'cache-control': 'no-store', 'x-new': '1' } } },
  ],
  [
    'not for a wrong signature',
    with_(answer(['exp'], 403), gone),
    'bad_signature',
    { catParts: { mac: Buffer.alloc(32) }, jwtParts: { signature: Buffer.alloc(32) } },
    { answer: { status: 401 } },
  ],
  [
    'not for a malformed claim',
    with_(answer(['exp'], 403), { ...gone, catm: 5 }),
    'invalid_claim',
    {},
    { answer: { status: 401 } },
  ],
  [
    'not for a revocation',
    forms(
      { ...answer(['cti'], 302).cat, cti: Buffer.from('ff00ee', 'hex') },
      { catif: { jti: [302] }, jti: 'revoked-token' },
    ),
    'revoked',
    {},
    { answer: { status: 403 } },
  ],
];

const malformed: Row[] = [
  ['no map', same({ catif: 5 }), 'invalid_claim'],
  ['an entry that is no list', forms({ catif: map([4, 302]) }, { catif: { exp: 302 } }), 'invalid_claim'],
  ['an entry of nothing', forms({ catif: map([4, []]) }, { catif: { exp: [] } }), 'invalid_claim'],
  ['a status that is a text', answer(['exp'], '302'), 'invalid_claim'],
  ['a status that is none', answer(['exp'], 42), 'invalid_claim'],
  ['a status beyond all', answer(['exp'], 600), 'invalid_claim'],
  ['a fractional status', answer(['exp'], 302.5), 'invalid_claim'],
  [
    'headers that are no map',
    forms({ catif: map([4, [302, 'Location']]) }, { catif: { exp: [302, 'Location'] } }),
    'invalid_claim',
  ],
  ['a header name that is a number', onlyCat({ catif: map([4, [302, map([1, 'x'])]]) }), 'invalid_claim'],
  ['a header name with a space', answer(['exp'], 302, { 'X Y': 'x' }), 'invalid_claim'],
  ['a header name with a line break', answer(['exp'], 302, { 'X\r\nY': 'x' }), 'invalid_claim'],
  ['a header value with a line break', answer(['exp'], 302, { Location: 'x\r\nSet-Cookie: y' }), 'invalid_claim'],
  ['a line break in a piece', answer(['exp'], 302, { Location: ['x', '\n', 'y'] }), 'invalid_claim'],
  ['a value beyond ASCII', answer(['exp'], 302, { Location: 'caf\u00e9' }), 'invalid_claim'],
  [
    'a key id of the wrong type',
    forms({ catif: map([4, [302, map(), 'edge']]) }, { catif: { exp: [302, {}, 5] } }),
    'invalid_claim',
  ],
  [
    'a malformed entry for a claim that holds',
    forms({ catif: map([4, [302]], [5, 'x']) }, { catif: { exp: [302], nbf: 'x' } }),
    'invalid_claim',
  ],
  ['a list in a JWT', onlyJwt({ catif: [['exp', [302]]] }), 'invalid_claim'],
];

const late = (status: number) => ({ ...gone, catif: map([4, [status]]) });
const several = [
  request(
    '4.9.1 catif',
    'none of two tokens acceptable: the first catif that applies, though the first token has none',
    `${PATH}?CAT=${cat(gone)}&CAT=${cat(late(302))}`,
    'expired',
    {},
    { answer: { status: 302 } },
  ),
  request(
    '4.9.1 catif',
    'none of two tokens acceptable, both with a catif',
    `${PATH}?CAT=${cat(late(302))}&CAT=${cat(late(410))}`,
    'expired',
    {},
    { answer: { status: 302 } },
  ),
  request(
    '4.9.1 catif',
    'none of two tokens acceptable, the catif of a forged one',
    `${PATH}?CAT=${cat(late(302), { mac: Buffer.alloc(32) })}&CAT=${cat(late(410))}`,
    'bad_signature',
    {},
    { answer: { status: 410 } },
  ),
  request(
    '4.9.1 catif',
    'an acceptable token behind one with a catif',
    `${PATH}?CAT=${cat(late(302))}&CAT=${jwt()}`,
    'admitted',
    {},
    { forwarded: PATH },
  ),
];

export const conditional = [...table('4.9.1', 'catif', [...answered, ...malformed]), ...several];
