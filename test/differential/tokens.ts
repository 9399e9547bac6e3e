import { createHash } from 'node:crypto';
import { cbor, Float, LABEL, makeCat, makeJwt, Raw, Tagged, type CatParts } from '../engine/token-maker.js';
import { NOW, secretOf } from '../verdicts/requests.js';
import type { Random } from './random.js';
import { cells, type Facts } from './requests.js';
import { blocked, handles, kids, scopeOf, subjects, tokenIds } from './stores.js';
import { anyCbor, anyJson, anyNumber, anyText, oddJson } from './values.js';

/** One claim in both formats: the JWT's name, the CAT's value, the JWT's value. */
type Claim = readonly [name: keyof typeof LABEL | 'jti' | 'sid', inCat: unknown, inJwt: unknown];

const both = (name: Claim[0], value: unknown): Claim => [name, value, value];
const text64 = (value: Buffer): string => value.toString('base64url');
const map = (entries: readonly (readonly [unknown, unknown])[]): Map<unknown, unknown> => new Map(entries);

const moment = (random: Random, from: number): number =>
  from + random.pick([1, 1, 20, 60, 3600, 0.25, 1e-6, 2 ** 33, 1e15]);
const past = (random: Random): number => NOW - random.pick([0, 0, 1, 0.5, 60, NOW, 2 * NOW, 1e10]);

const componentNames = ['scheme', 'host', 'port', 'path', 'query', 'parent', 'filename', 'stem', 'extension'];
const matchNames: Readonly<Record<string, string>> = {
  0: 'exact',
  1: 'prefix',
  2: 'suffix',
  3: 'contains',
  4: 'regex',
  [-1]: 'sha256',
  [-2]: 'sha512-256',
};

const patterns = [
  '^/echo/',
  '.*',
  '^/echo/([a-z0-9]+)/',
  '[.]ts$',
  '(a|b)?',
  '^/[[:alpha:]]+/.*$',
  '[^/]+',
  '(a+)+$',
  '\\d',
  'x{2,3}',
  '[]a]',
  '(?=x)',
  'a++',
  '$^',
  '',
  '[[:nope:]]',
  '^/echo/ch1/seg\\.ts$',
  '[a-Z]',
  '/{0,}',
  '(',
  '.{70000}',
  '|',
];

function match(random: Random, subject: string): [code: number, inCat: unknown, inJwt: unknown] {
  const type = random.pick([0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, -1, random.pick([-2, 5, -1, 4])]);
  const part = random.below(subject.length + 1);
  const same = (value: unknown): [number, unknown, unknown] => [type, value, value];
  const wrong = random.chance(0.2);
  if (random.chance(0.03)) return same(random.pick([5, null, [], {}]));
  switch (type) {
    case 1:
      return same(wrong ? `${subject}x` : subject.slice(0, part));
    case 2:
      return same(wrong ? `x${subject}` : subject.slice(part));
    case 3:
      return same(wrong ? '\u0000' : subject.slice(part, part + 3));
    case 4: {
      const pattern = random.chance(0.9) ? random.pick(patterns) : anyText(random);
      const groups = random.weighed<unknown[]>([
        [5, () => []],
        [1, () => [random.pick(['ch1', null, ''])]],
        [0.3, () => [null, null]],
        [0.2, () => [5]],
      ]);
      return same([pattern, ...groups]);
    }
    case -1:
    case -2: {
      const hash = createHash('sha256')
        .update(wrong ? 'else' : subject)
        .digest();
      return [type, hash, text64(hash)];
    }
    default:
      return same(wrong ? `${subject}.` : subject);
  }
}

function matches(random: Random, subject: string): [inCat: unknown, inJwt: unknown] {
  const all = Array.from({ length: random.pick([1, 1, 1, 1, 1, 1, 1, 1, 2, 2, random.below(2)]) }, () =>
    match(random, subject),
  );
  return [
    map(all.map(([code, inCat]) => [code, inCat])),
    Object.fromEntries(all.map(([code, , inJwt]) => [matchNames[code] ?? 'else', inJwt])),
  ];
}

function catu(random: Random, facts: Facts): Claim {
  const path = facts.path;
  const filename = path.slice(path.lastIndexOf('/') + 1);
  const subjectsOf = [
    (facts.headers['cloudfront-forwarded-proto'] as string) || 'https',
    'video.example.com',
    '',
    path,
    facts.query.join('&'),
    path.slice(0, path.lastIndexOf('/')),
    filename,
    filename.split('.')[0] as string,
    filename.includes('.') ? filename.slice(filename.lastIndexOf('.')) : '',
  ];
  const all = Array.from({ length: random.pick([1, 1, 1, 1, 1, 1, 2, 2, 3, random.below(2)]) }, () => {
    const component = random.pick([0, 1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 6, 7, 8, 8, random.below(11) - 1]);
    const [inCat, inJwt] = matches(random, subjectsOf[component] ?? '');
    return [component, inCat, inJwt] as const;
  });
  return [
    'catu',
    map(all.map(([component, inCat]) => [component, inCat])),
    Object.fromEntries(
      all.map(([component, , inJwt]) => [
        componentNames[component] ?? random.pick(['fragment', '__proto__', '3']),
        inJwt,
      ]),
    ),
  ];
}

function catnip(random: Random): Claim {
  const four = (length: unknown, hex: string, jwt: string): [unknown, unknown] => [
    new Tagged(52, [length, Buffer.from(hex, 'hex')]),
    jwt,
  ];
  const six = (length: unknown, hex: string, jwt: string): [unknown, unknown] => [
    new Tagged(54, [length, Buffer.from(hex, 'hex')]),
    jwt,
  ];
  const entries = Array.from({ length: random.pick([1, 1, 2, 3, 0]) }, () =>
    random.pick<[unknown, unknown]>([
      four(24, 'cb0071', '203.0.113.0/24'),
      four(24, 'cb0071', '203.0.113.0/24'),
      four(24, 'c63364', '198.51.100.0/24'),
      four(8, 'cb', '203.0.0.0/8'),
      four(0, '', '0.0.0.0/0'),
      four(25, 'cb0071', '203.0.113.0/25'),
      four(16, 'cb0071', '203.0.113.0/16'),
      four(24, 'cb007100ff', '203.0.113.0.1/24'),
      four(-1, '', '1.1.1.1/-1'),
      four(8.5, 'cb', '203.0.0.0/8.5'),
      four('24', 'cb0071', '0xcb.0.113.0/24'),
      six(56, '20010db8', '2001:db8::/56'),
      six(0, '', '::/0'),
      six(32, '20010db8', '2001:0DB8:0000::/32'),
      six(64, '20010db8', '2001:db8::/64'),
      six(56, '20010db80000001200', '2001:db8:0:12::/56'),
      [new Tagged(52, Buffer.from('cb007109', 'hex')), '203.0.113.9'],
      [new Tagged(54, Buffer.alloc(16)), '::'],
      [new Tagged(52, 5), ':::/8'],
      [64500, 64500],
      [64501, 64501],
      [-1, -1],
      [64500.5, 64500.5],
      ['203.0.113.0/24', ''],
    ]),
  );
  return ['catnip', entries.map(([inCat]) => inCat), entries.map(([, inJwt]) => inJwt)];
}

function catr(random: Random): Claim {
  const type = random.chance(0.95) ? random.below(4) : random.pick([4, -1]);
  const rules: [number, string, unknown][] = [
    [0, 'type', ['automatic', 'cookie', 'header', 'redirect'][type] ?? 'else'],
    [1, 'expext', random.chance(0.93) ? random.pick([60, 3600, 7200, 1, 30.5]) : random.pick([0, -1, '60', null])],
  ];
  const maybe = (chance: number, number: number, name: string, values: readonly unknown[]): void => {
    if (random.chance(chance)) rules.push([number, name, random.pick(values)]);
  };
  maybe(0.4, 2, 'deadline', [30, 100, 1e6, 1e6, 0, random.pick([-5, 'x'])]);
  maybe(0.15, 3, 'cookieName', ['tok', 'a b', 'x=y', 5]);
  maybe(0.15, 4, 'headerName', ['X-Token', 'a:b', '']);
  maybe(0.15, 5, 'cookieParams', [['Path=/', 'Secure'], 'Path=/', ['a\r\nb'], 5, [], null]);
  maybe(0.15, 6, 'headerParams', [['a=1'], 'b', 'x\ny', {}]);
  maybe(0.15, 7, 'status', [302, 307, 200, 308, 999, 'x']);
  return [
    'catr',
    map(rules.map(([number, , value]) => [number, number === 0 ? type : value])),
    Object.fromEntries(rules.map(([, name, value]) => [name, value])),
  ];
}

/** The names of claims that `catif` may be for, and their labels. */
const conditions = ['exp', 'catu', 'catm', 'catgeoiso3166', 'iss', 'cath', 'nbf'] as const;

function catif(random: Random): Claim {
  const part = (): readonly [unknown, unknown] =>
    random.pick<readonly [unknown, unknown]>([
      ['https://login.example/?u=', 'https://login.example/?u='],
      [0, 0],
      [1, 1],
      [2, 2],
      [7, 7],
      [
        map([
          [4, NOW + 300],
          [2, 'guest'],
          [1, null],
          [6, null],
        ]),
        { exp: NOW + 300, sub: 'guest', iss: null, iat: null },
      ],
      [
        map([
          [312, map([[3, map([[1, '/echo/']])]])],
          [7, Buffer.from('x')],
          ['own', [1, map([[2, 3]])]],
        ]),
        { catu: { path: { prefix: '/echo/' } }, jti: 'eA', own: [1, { a: 3 }] },
      ],
      ...(random.chance(0.1) ? ([['x\r\nSet-Cookie: a', 'x\r\nSet-Cookie: a']] as const) : []),
    ]);
  const value = (): readonly [unknown, unknown] => {
    if (random.chance(0.5)) return part();
    const parts = Array.from({ length: random.below(4) }, part);
    return [parts.map(([inCat]) => inCat), parts.map(([, inJwt]) => inJwt)];
  };
  const entry = (): readonly [unknown, unknown] => {
    const headers = Array.from(
      { length: random.below(3) },
      () =>
        [
          random.pick([
            'Location',
            'X-Why',
            'Cache-Control',
            'x-portcullis-reason',
            random.chance(0.1) ? 'a b' : 'Via',
          ]),
          value(),
        ] as const,
    );
    const status = random.chance(0.95)
      ? random.pick([302, 401, 403, 451, 200, 307])
      : random.pick([99, 302.5, '302', null]);
    const kid = random.pick([
      undefined,
      undefined,
      'main',
      'spare',
      'spare',
      'nobody',
      random.pick(['es', 'nobody', 5]),
    ]);
    const tail = (bytes: boolean): unknown[] =>
      kid === undefined ? [] : [bytes && typeof kid === 'string' ? Buffer.from(kid) : kid];
    return [
      [status, map(headers.map(([name, [inCat]]) => [name, inCat])), ...tail(true)],
      [status, Object.fromEntries(headers.map(([name, [, inJwt]]) => [name, inJwt])), ...tail(false)],
    ];
  };
  const entries = Array.from({ length: random.pick([1, 1, 1, 2]) }, () => {
    const names = random.some(conditions, random.pick([1, 1, 2, 3]));
    return [names, entry()] as const;
  });
  return [
    'catif',
    map(
      entries.map(([names, [inCat]]) => [
        names.length === 1 ? LABEL[names[0] as (typeof conditions)[number]] : names.map((name) => LABEL[name]),
        inCat,
      ]),
    ),
    Object.fromEntries(entries.map(([names, [, inJwt]]) => [names.join(','), inJwt])),
  ];
}

/** The claims that the standard knows: mostly such as hold, some that do not, few that are malformed. */
function claim(random: Random, facts: Facts, kid: string): Claim {
  const holds = random.chance(0.8);
  const id = random.pick(tokenIds);
  const session = random.pick(handles);
  const makers: Readonly<Record<Claim[0], () => Claim>> = {
    exp: () => both('exp', holds ? moment(random, NOW) : past(random)),
    nbf: () => both('nbf', holds ? past(random) : moment(random, NOW)),
    sxp: () => both('sxp', holds ? moment(random, NOW) : past(random)),
    iat: () => both('iat', NOW - random.pick([0, 50, 150, 0.5, -10])),
    iss: () => both('iss', holds ? kid : random.pick(['tenant-a', 'tenant-b', 'else', ''])),
    sub: () => both('sub', random.pick(subjects)),
    aud: () =>
      both('aud', holds ? random.pick(['video.example', ['x', 'video.example']]) : random.pick(['x', ['x', 'y'], []])),
    cti: () => ['cti', id, id.toString()],
    jti: () => ['cti', id, text64(id)],
    session: () => ['session', session, text64(session)],
    sid: () => ['session', random.bytes(16), text64(session)],
    cnf: () => ['cnf', map([[323, Buffer.alloc(32, 1)]]), { jkt: text64(Buffer.alloc(32, 1)) }],
    catv: () => both('catv', holds ? 1 : 2),
    geohash: () => {
      const cell = random.pick(cells);
      return both(
        'geohash',
        random.pick([cell, cell, cell.slice(0, 2), [cell, 'zzz'], cell.toUpperCase(), '9q8yyk', 'ail', []]),
      );
    },
    catreplay: () => both('catreplay', random.pick([0, 1, 2, 2, holds ? 0 : 3])),
    catpor: () => {
      const by = random.pick(blocked);
      const chance = random.pick([0, 0.25, 0.5, 0.75, 1, holds ? 0 : 2]);
      const more = random.chance(0.3) ? [NOW + 9] : [];
      return random.chance(0.7)
        ? ['catpor', [chance, by, ...more], [chance, text64(by), ...more]]
        : ['catpor', [chance, 7, ...more], [chance, 'jti', ...more]];
    },
    catnip: () => catnip(random),
    catu: () => catu(random, facts),
    catm: () =>
      both('catm', holds ? random.some([facts.method, 'GET', 'HEAD'], 2) : random.pick([['PUT'], [], [5], 'GET'])),
    catalpn: () => {
      const protocol = random.pick(['h2', 'h3', 'http/1.1', 'http/1.0', 'x']);
      return ['catalpn', [Buffer.from(protocol)], [protocol]];
    },
    cath: () => {
      const name = random.pick(['x-app', 'X-App', 'user-agent', 'constructor', '__proto__', 'x-none']);
      const value = facts.headers[name.toLowerCase()];
      const [inCat, inJwt] = matches(random, typeof value === 'string' ? value : 'tv, phone');
      return ['cath', map([[name, inCat]]), JSON.parse(`{${JSON.stringify(name)}:${JSON.stringify(inJwt)}}`)];
    },
    catgeoiso3166: () =>
      both(
        'catgeoiso3166',
        random.some(
          ['US', 'us', 'US-CA', 'DE', 'MX', 'de-be', holds ? 'SE' : random.pick(['ZZ', 'USA', 'u\u017f', 'US-', 5])],
          3,
        ),
      ),
    catgeocoord: () => both('catgeocoord', [[37.5, -122.25, 1000]]),
    catgeoalt: () => both('catgeoalt', [10, 5]),
    cattpk: () => {
      const key = Buffer.from(holds ? 'spki of a client' : 'another');
      return ['cattpk', key, text64(key)];
    },
    catifdata: () => both('catifdata', random.pick(['x', ['x'], 5])),
    catdpop: () => [
      'catdpop',
      map([
        [0, 300],
        [1, 1],
      ]),
      { window: 300, jti: 1 },
    ],
    catif: () => catif(random),
    catr: () => catr(random),
  };
  const often = [
    'exp',
    'nbf',
    'iss',
    'sub',
    'catu',
    'catu',
    'catu',
    'catm',
    'catnip',
    'catgeoiso3166',
    'cath',
    'catif',
    'catif',
    'catr',
    'catr',
    'sxp',
    'session',
    'cti',
  ] as const;
  const name = random.chance(0.6) ? random.pick(often) : random.pick(Object.keys(makers) as Claim[0][]);
  const [, inCat, inJwt] = makers[name]();
  const key = name === 'jti' ? 'cti' : name === 'sid' ? 'session' : name;
  if (!random.chance(0.03)) return [key, inCat, inJwt];
  return [key, anyCbor(random), anyJson(random)];
}

const jwtNames: Readonly<Record<string, string>> = { cti: 'jti', session: 'sid' };

/** Claims of a token that is due to be renewed. */
function dueClaims(random: Random): Claim[] {
  const type = random.below(3);
  const extension = random.pick([3600, 7200, 90_000]);
  return [
    both('exp', NOW + random.pick([20, 60, 60.5])),
    [
      'catr',
      map([
        [0, type],
        [1, extension],
      ]),
      { type: ['automatic', 'cookie', 'header'][type], expext: extension },
    ],
  ];
}

function claimsOf(random: Random, facts: Facts, kid: string, due: boolean): Claim[] {
  const claims: Claim[] = due ? dueClaims(random) : [];
  if (!due && random.chance(0.9)) claims.push(both('exp', random.chance(0.9) ? moment(random, NOW) : past(random)));
  if (scopeOf(kid).iss && random.chance(0.9)) claims.push(both('iss', kid));
  if (random.chance(0.5)) claims.push(both('aud', 'video.example'));
  for (let count = random.pick([0, 0, 1, 1, 2, 2, 3, 4, 6]); count > 0; count--) {
    const one = claim(random, facts, kid);
    if (!claims.some(([name]) => name === one[0])) claims.push(one);
  }
  return claims;
}

const strangeNames = ['whatever', '__proto__', 'constructor', '4', '-65537', 'exp ', 'EXP', '', 'catx'];

function cat(random: Random, facts: Facts, kid: string, due: boolean): string {
  const claims = claimsOf(random, facts, kid, due);
  const pairs: [unknown, unknown][] = claims.map(([name, value]) => [LABEL[name as keyof typeof LABEL], value]);
  if (random.chance(0.15))
    pairs.push([
      random.weighed<unknown>([
        [2, () => random.pick(strangeNames)],
        [2, () => random.below(400)],
        [1, () => anyNumber(random)],
        [1, () => [random.below(9)]],
      ]),
      anyCbor(random),
    ]);
  const shuffled = random.chance(0.3) ? random.some(pairs, pairs.length) : pairs;
  const rare = random.chance(0.04);
  const parts: CatParts = {
    key: secretOf(random.chance(0.95) ? kid : random.pick(kids)),
    claims: shuffled,
    ...(kid === '' ? {} : { kid }),
    ...(rare ? { alg: random.pick([null, null, 4, -7, -37, 'HS256', 5.5]) } : {}),
    ...(random.chance(0.05) ? { tags: random.pick([[17], [18], [61, 18], [61, 61, 17], [], [16], [97], [61]]) } : {}),
    ...(random.chance(0.04)
      ? {
          unprotectedHeader: random.pick([
            map([[4, Buffer.from('main')]]),
            map([[1, 5]]),
            map([[2, [1]]]),
            map([['x', 1]]),
            new Raw('80'),
          ]),
        }
      : {}),
    ...(random.chance(0.03)
      ? {
          protectedHeader: random.pick([
            map([[2, [1]]]),
            map([['__proto__', 1]]),
            new Raw(''),
            new Raw('a0'),
            new Raw(random.bytes(5)),
          ]),
        }
      : {}),
    ...(random.chance(0.01) ? { context: 'MAC' } : {}),
    ...(random.chance(0.01) ? { more: [1] } : {}),
    ...(random.chance(0.01) ? { trailing: random.bytes(1) } : {}),
    ...(random.chance(0.02) ? { mac: random.bytes(random.pick([32, 31, 0, 33])) } : {}),
  };
  if (!random.chance(0.06)) return makeCat(parts);
  // Signed after the change, so that what reads the claims sees it.
  const payload = cbor(new Map(shuffled));
  for (let changes = 1 + random.below(2); changes > 0 && payload.length > 0; changes--)
    payload[random.below(payload.length)] = random.below(256);
  return makeCat({
    ...parts,
    payload: random.chance(0.8) ? payload : payload.subarray(0, random.below(payload.length)),
  });
}

function jwt(random: Random, facts: Facts, kid: string, due: boolean): string {
  const claims: Record<string, unknown> = {};
  for (const [name, , value] of claimsOf(random, facts, kid, due))
    claims[jwtNames[name] ?? name] = value instanceof Float ? value.value : value;
  if (random.chance(0.15))
    Object.defineProperty(claims, random.pick(strangeNames), {
      value: anyJson(random),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  const odd = random.chance(0.2);
  let payloadText = odd ? oddJson(claims, random) : JSON.stringify(claims);
  if (random.chance(0.04))
    payloadText = payloadText.replace(
      '{',
      random.pick([
        `{"exp":${NOW + 9},`,
        '{"exp":1,',
        '{"__proto__":{"exp":1},',
        '{"a":1,"a":2,',
        '\ufeff{',
        ' {',
        '[',
        '{"a":"\\ud800",',
      ]),
    );
  if (random.chance(0.04))
    payloadText = random.pick([
      'null',
      '[]',
      '5',
      '"x"',
      '',
      '{}',
      '{"exp":1e999}',
      payloadText.slice(1),
      `${payloadText} `,
      `${payloadText}x`,
      payloadText.replace(/\d/, '0$&'),
    ]);
  const header = {
    alg: random.chance(0.95) ? 'HS256' : random.pick(['none', 'None', 'HS384', 'ES256', null, 5, ['HS256'], '']),
    ...(random.chance(0.8)
      ? { typ: random.chance(0.9) ? 'JWT' : random.pick(['at+jwt', 'JWE', 'jwt ', 5, '', null]) }
      : {}),
    ...(kid === ''
      ? {}
      : {
          kid: random.chance(0.97)
            ? kid
            : random.pick([
                [kid],
                5,
                null,
                { a: 1 },
                true,
                `${kid} `,
                'k'.repeat(random.pick([128, 129, 600])),
                '../main',
                'm:',
                'J\u00f6rg',
              ]),
        }),
    ...(random.chance(0.02) ? { crit: random.pick([['exp'], [], null, false]) } : {}),
    ...(random.chance(0.03) ? { cty: 'x', jwk: { k: 'x' } } : {}),
  };
  return makeJwt({
    key: secretOf(random.chance(0.95) ? kid : random.pick(kids)),
    headerText: random.chance(0.1) ? oddJson(header, random) : JSON.stringify(header),
    payloadText: random.chance(0.02) ? Buffer.concat([Buffer.from(payloadText), random.bytes(1)]) : payloadText,
    ...(random.chance(0.02) ? { signature: random.bytes(random.pick([32, 31, 0])) } : {}),
  });
}

const alphabet = 'ABCZaez019-_.=+/%;"\\ \u0000\u00e9';

/** One change to a text. */
function changed(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const character = alphabet[random.below(alphabet.length)] as string;
  return random.pick([
    text.slice(0, at) + character + text.slice(at),
    text.slice(0, at) + character + text.slice(at + 1),
    text.slice(0, at) + text.slice(at + 1),
    text.slice(0, at),
    text + text,
    `${text}=`,
    `${text}%3D%3d`,
    `${text}.${text.split('.')[0]}`,
  ]);
}

/** A token: most are genuine, and made for the request; `due`: and to be renewed. */
export function randomToken(random: Random, facts: Facts, due: boolean): string {
  const kid = random.weighed<string>([
    [60, () => 'main'],
    [35, () => random.pick(kids)],
    [3, () => random.pick(['nobody', 'm\u00e4in', '\u0000', 'k'.repeat(129)])],
  ]);
  const token = random.chance(0.5) ? cat(random, facts, kid, due) : jwt(random, facts, kid, due);
  return random.chance(0.95) ? token : changed(token, random);
}
