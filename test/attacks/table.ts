import { createHash, createHmac, generateKeyPairSync } from 'node:crypto';
import type { EntitledKey, Reason } from '@portcullis/tokens';
import {
  cbor,
  cborHead,
  Float,
  keyRecord,
  makeCat,
  makeJwt,
  Raw,
  revocationPlace,
  Tagged,
} from '../engine/token-maker.js';
import type { AskedRequest } from '../verdicts/asking.js';
import { cat, jwt, live, NOW, PATH, secretOf, storeEntries, tokenOfLength } from '../verdicts/requests.js';
import { extendedDigest, padding } from './sha256.js';

/** What a request must come to. `answered`: 204 with nothing of the content. */
export type Outcome = Reason | 'admitted' | 'answered';

/** A known way around a token gate, or (`admitted`) the honest request that it imitates. */
export interface Attack extends AskedRequest {
  readonly family: string;
  readonly expected: Outcome;
  /** What `verifyRequest` says where it is not `expected`, and why. */
  readonly inNode?: readonly [Outcome, why: string];
  /** Why `verifyRequest` is not asked: what is attacked is the deployment's policy, or the store's records. */
  readonly edgeOnly?: string;
  /** Whether an admitted request gets a renewed token; not looked at unless said. */
  readonly renews?: boolean;
  /** What the function does in V8, which stands in for njs in workerd, and why. */
  readonly inV8?: readonly [Outcome, why: string];
  /** HTTP refuses the request before it becomes an event. */
  readonly eventOnly?: true;
}

const seconds = { es: 'ES256', rs: 'RS256' } as const;
const pairs = {
  es: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  rs: generateKeyPairSync('rsa', { modulusLength: 2048 }),
};
const spki = (kid: keyof typeof pairs): Buffer => pairs[kid].publicKey.export({ format: 'der', type: 'spki' });
const pem = (kid: keyof typeof pairs): string =>
  pairs[kid].publicKey.export({ format: 'pem', type: 'spki' }).toString();

/** Keys for other algorithms, as `verifyRequest` has them. */
export const publicKeys: readonly EntitledKey[] = (['es', 'rs'] as const).map((kid) => ({
  alg: seconds[kid],
  kid,
  publicKey: pem(kid),
}));

const session = Buffer.alloc(16, 7);
const handle = session.toString('base64url');
const slate = '/echo/slate/index.m3u8';
const place = (scope: string, id: string): [string, string] => {
  const { key, fingerprint } = revocationPlace(scope, id);
  return [key, `,${fingerprint}`];
};
const blackout = (more: Record<string, unknown> = {}): string => JSON.stringify({ deny: { country: ['US'] }, ...more });

/** The KeyValueStore of every attack. */
export const attackStore: Readonly<Record<string, string>> = {
  ...storeEntries,
  ...Object.fromEntries([
    place('u', 'mallory'),
    place('x', 'eve\nch1'),
    place('c', 'withdrawn'),
    place('t', Buffer.from([0xff, 0xfe, 0]).toString('base64url')),
    place('p', Buffer.from('blocked').toString('base64url')),
  ]),
  ...Object.fromEntries(
    (['es', 'rs'] as const).map((kid) => [
      `k:${kid}`,
      JSON.stringify({ alg: seconds[kid], k: spki(kid).toString('base64url') }),
    ]),
  ),
  'k:logged': keyRecord(secretOf('logged'), { mode: 'log', paths: ['/echo/log'] }),
  'k:was-logged': keyRecord(secretOf('was-logged'), { mode: 'log', until: NOW }),
  'k:off': keyRecord(secretOf('off'), { mode: 'off', paths: ['/echo/off'] }),
  'b:dark': blackout({ slate }),
  'b:late': blackout({ from: NOW - 60, until: NOW + 60 }),
  'b:local': JSON.stringify({ allow: { region: ['US-NY'] } }),
};

type Claims = Record<string, unknown>;
type Extra = Partial<Omit<Attack, 'family' | 'name'>> & { readonly path?: string };
const map = (...entries: [unknown, unknown][]): Map<unknown, unknown> => new Map(entries);
/** A text of a multiple of 32 characters: njs 0.7.9 never ends a replacement at the end of such a one beyond ASCII. */
const endless = (before: string, after: string): string =>
  before + 'x'.repeat(31 - ((before.length + after.length + 31) % 32)) + after;
const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');
const encoded = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** One family of the table, its rows in the order they are added. */
class Family {
  readonly rows: Attack[] = [];
  constructor(readonly name: string) {}

  /** A request as it is. */
  request(name: string, expected: Outcome, target: string, more: Partial<Attack> = {}): this {
    this.rows.push({ name, target, expected, ...more, family: this.name });
    return this;
  }

  /** A token first in the path, and what is left of the path once it is taken out. */
  token(name: string, expected: Outcome, token: string, { path = PATH, ...more }: Extra = {}): this {
    return this.request(name, expected, `/${token}${path}`, { forwarded: path, ...more });
  }

  /** The same claims as a CAT and as a JWT. */
  both(name: string, expected: Outcome, [catClaims, jwtClaims]: readonly [Claims, Claims], more: Extra = {}): this {
    this.token(`CAT: ${name}`, expected, cat(catClaims), more);
    return this.token(`JWT: ${name}`, expected, jwt(jwtClaims), more);
  }
}

const inV8 = { inV8: ['admitted', 'V8 reads more JSON than njs'] } as const;
const same = (claims: Claims): readonly [Claims, Claims] => [claims, claims];
const bound = { catu: live };
const component = (
  number: number,
  name: string,
  match: number,
  by: string,
  value: unknown,
): readonly [Claims, Claims] => [{ catu: map([number, map([match, value])]) }, { catu: { [name]: { [by]: value } } }];
const exact = component(3, 'path', 0, 'exact', PATH);
const good = cat();
const goodJwt = jwt();
const forged = cat({}, { mac: Buffer.alloc(32) });
const expired = cat({ exp: NOW - 1 });
const [header = '', payload = '', signature = ''] = goodJwt.split('.');

function encodings(): Family {
  const family = new Family('encoding of the token');
  const spare = (text: string): string => {
    // The last character of 43 carries two bits that mean nothing.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return text.slice(0, -1) + alphabet[alphabet.indexOf(text.at(-1) as string) ^ 1];
  };
  const revoked = jwt({ sid: handle });
  family
    .token('a CAT', 'admitted', good)
    .token('a JWT', 'admitted', goodJwt)
    .token('one padding character too many', 'malformed_token', `${goodJwt}===`)
    .token('padding inside a JWT', 'malformed_token', `${header}=.${payload}.${signature}`)
    .token('letters of plain base64', 'malformed_token', `${good.slice(0, 60)}+${good.slice(61)}`)
    .token('an escaped letter', 'malformed_token', `${good.slice(0, 60)}%41${good.slice(61)}`)
    .token('the dots of a JWT escaped', 'malformed_token', goodJwt.replaceAll('.', '%2e'))
    .token('a NUL behind', 'malformed_token', `${good}%00`)
    .token('a line break behind', 'malformed_token', `${goodJwt}%0a`)
    .token('a length that no base64 has', 'malformed_token', `${header}A.${payload}.${signature}`)
    .token('another spelling of the last character of a revoked token', 'revoked', spare(revoked))
    .request('a space in front, in the query', 'malformed_token', `${PATH}?CAT=%20${good}`)
    .request('a plus for a space, in the query', 'malformed_token', `${PATH}?CAT=+${good}`)
    .request('quotes around it, in a cookie', 'malformed_token', PATH, { headers: [['Cookie', `CAT="${good}"`]] })
    .token('a byte order mark before the claims', 'malformed_token', jwt({}, { payloadText: '\ufeff{"exp":9e9}' }))
    .token('claims that are not UTF-8', 'malformed_token', jwt({}, { payloadText: bytes('7b2261223a22ff227d') }))
    .token('overlong UTF-8 in the claims', 'malformed_token', jwt({}, { payloadText: bytes('7b2261223a22c0af227d') }))
    .token('a lone surrogate, escaped', 'malformed_token', jwt({}, { payloadText: '{"sub":"\\ud800"}' }), inV8)
    .token('a text that is not UTF-8', 'malformed_token', cat({ sub: new Raw('62c328') }));
  return family;
}

function structures(): Family {
  const family = new Family('structure of the token');
  const nested = (depth: number): unknown => (depth ? [nested(depth - 1)] : 1);
  const exp = (raw: string): string => cat({}, { payload: bytes(`a104${raw}`) });
  const later = (NOW + 60).toString(16);
  family
    .token('claims in their shortest form', 'admitted', exp(`1a${later}`))
    .token('an integer longer than need be', 'malformed_token', exp(`1b00000000${later}`))
    .token('an integer of two words that is small', 'malformed_token', exp('1900ff'))
    .token('a length longer than need be', 'malformed_token', cat({}, { payload: bytes(`b80104 1a${later}`) }))
    .token('an indefinite map', 'malformed_token', cat({}, { payload: bytes(`bf041a${later}ff`) }))
    .token('an indefinite text', 'malformed_token', cat({ sub: new Raw('7f6161ff') }))
    .token('an indefinite list', 'malformed_token', cat({ catm: new Raw('9f63474554ff') }))
    .token('a break alone', 'malformed_token', cat({ sub: new Raw('ff') }))
    .token('an integer as a float', 'malformed_token', cat({ exp: new Float(NOW + 60) }))
    .token('NaN', 'malformed_token', cat({ exp: new Float(NaN, 2) }))
    .token('infinity', 'malformed_token', cat({ exp: new Float(Infinity, 2) }))
    .token('minus zero', 'malformed_token', cat({ exp: -0 }))
    .token('a float wider than need be', 'malformed_token', cat({ exp: new Float(1.5, 8) }))
    .token('a reserved length', 'malformed_token', cat({ exp: new Raw('1c00') }))
    .token('a simple value of two bytes', 'malformed_token', cat({ exp: new Raw('f8ff') }))
    .token('a big number under a tag', 'malformed_token', cat({ exp: new Raw('c2 49 010000000000000000') }))
    .token('a date under a tag', 'malformed_token', cat({ exp: new Tagged(1, NOW + 60) }))
    .token(
      'the same claim twice',
      'malformed_token',
      makeCat({
        claims: [
          [4, 1],
          [4, NOW + 60],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
    )
    .token(
      'a label that is a list',
      'malformed_token',
      makeCat({
        claims: [
          [4, 'x'],
          [[4], NOW + 60],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
    )
    .token(
      'a label that is a byte string',
      'malformed_token',
      makeCat({ claims: [[Buffer.from([4]), NOW + 60]], key: secretOf('main'), kid: 'main' }),
    )
    .token('bytes behind the token', 'malformed_token', cat({}, { trailing: Buffer.from([0]) }))
    .token('bytes behind the claims', 'malformed_token', cat({}, { payload: bytes('a000') }))
    .token('a text that runs over the end', 'malformed_token', cat({}, { payload: bytes('a1027aff') }))
    .token(
      'four thousand million entries',
      'malformed_token',
      cat({}, { payload: Buffer.concat([cborHead(5, 0xffff_ffff), bytes('0401')]) }),
    )
    .token('as many as fit no number', 'malformed_token', cat({}, { payload: bytes('bbffffffffffffffff') }))
    .token('seven hundred entries', 'malformed_token', cat({ catm: Array.from({ length: 700 }, () => 'GET') }))
    .token('fifty entries', 'admitted', cat({ catm: [...Array.from({ length: 49 }, (_, i) => `M${i}`), 'GET'] }))
    .token('lists forty deep', 'malformed_token', cat({ whatever: nested(40) }))
    .token('JSON lists forty deep', 'malformed_token', jwt({ whatever: nested(40) }), inV8)
    .token('JSON lists a thousand deep', 'malformed_token', jwt({ whatever: nested(1000) }), inV8)
    .token('claims that are a list', 'malformed_token', cat({}, { payload: bytes('80') }))
    .token('no claims but bytes', 'malformed_token', cat({}, { payload: cbor(Buffer.from('a0', 'hex')) }))
    .token('a payload that is detached', 'malformed_token', cat({}, { payload: null }))
    .token('an array without its tag, among others', 'malformed_token', cat({}, { tags: [] }), {
      target: `${PATH}?CAT=${cat({}, { tags: [] })}`,
    })
    .token('COSE_Encrypt0', 'malformed_token', cat({}, { tags: [16] }), {
      target: `${PATH}?CAT=${cat({}, { tags: [16] })}`,
    })
    .token('COSE_Mac, for several recipients', 'malformed_token', cat({}, { tags: [97] }), {
      target: `${PATH}?CAT=${cat({}, { tags: [97] })}`,
    })
    .token('crit in the protected header', 'malformed_token', cat({}, { protectedHeader: map([2, [4]]) }))
    .token('crit in the unprotected header', 'malformed_token', cat({}, { unprotectedHeader: map([2, [4]]) }))
    .token('two parts', 'malformed_token', `${header}.${payload}`)
    .token('four parts', 'malformed_token', `${goodJwt}.${signature}`)
    .token('two dots between', 'malformed_token', `${header}..${payload}.${signature}`)
    .token('no header', 'malformed_token', `${PATH}?CAT=.${payload}.${signature}`, {
      target: `${PATH}?CAT=.${payload}.${signature}`,
    })
    .token(
      'a JWE',
      'malformed_token',
      `${encoded({ alg: 'dir', enc: 'A128GCM' })}..${signature.slice(0, 16)}.${payload}.${signature.slice(0, 22)}`,
    )
    .token('a JWS in JSON', 'malformed_token', encoded({ payload, signatures: [{ protected: header, signature }] }))
    .token('a JWT in a JWT', 'malformed_token', jwt({}, { header: { cty: 'JWT' }, payloadText: goodJwt }))
    .token('a token made for something else', 'malformed_token', jwt({}, { header: { typ: 'dpop+jwk' } }))
    .token('an unencoded payload', 'malformed_token', jwt({}, { header: { b64: false, crit: ['b64'] } }))
    .token('crit of a claim we know', 'malformed_token', jwt({}, { header: { crit: ['exp'] } }))
    .token('the same name twice', 'malformed_token', jwt({}, { payloadText: `{"exp":1,"exp":${NOW + 60}}` }))
    .token(
      'the same name twice, once escaped',
      'malformed_token',
      jwt({}, { payloadText: `{"exp":1,"\\u0065xp":${NOW + 60}}` }),
    )
    .token(
      'the same name twice in the header',
      'malformed_token',
      jwt({}, { headerText: '{"alg":"none","kid":"main","alg":"HS256"}' }),
    )
    .token('a comment', 'malformed_token', jwt({}, { payloadText: `{"exp":${NOW + 60}/*"exp":1*/}` }))
    .token('a comma too many', 'malformed_token', jwt({}, { payloadText: `{"exp":${NOW + 60},}` }))
    .token('a number with a zero in front', 'malformed_token', jwt({}, { payloadText: `{"exp":0${NOW + 60}}` }))
    .token('a number that ends in a dot', 'malformed_token', jwt({}, { payloadText: `{"exp":${NOW + 60}.}` }))
    .token('a hexadecimal number', 'malformed_token', jwt({}, { payloadText: '{"exp":0xffffffff}' }))
    .token('NaN by name', 'malformed_token', jwt({}, { payloadText: '{"exp":NaN}' }))
    .token('single quotes', 'malformed_token', jwt({}, { payloadText: `{'exp':${NOW + 60}}` }))
    .token(
      'spaces behind letters beyond ASCII',
      'bad_signature',
      jwt({}, { payloadText: endless(`{"exp":${NOW + 60},"sub":"\u00e9`, '"} '), signature: Buffer.alloc(32) }),
    )
    .token('JSON spelled oddly', 'admitted', jwt({}, { payloadText: `{ "\\u0065xp" : ${(NOW + 60) / 10}e1 }` }));
  return family;
}

function algorithms(): Family {
  const family = new Family('algorithm');
  const named = (alg: unknown): string => jwt({}, { header: { alg } });
  const unsigned = (alg: unknown): string => `${encoded({ alg, kid: 'main' })}.${payload}.`;
  family.token('HS256', 'admitted', goodJwt).token('HMAC 256/256', 'admitted', cat({}, { alg: 5 }));
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', null])
    family.token(`unsigned, alg ${JSON.stringify(alg)}`, 'unsupported_algorithm', unsigned(alg));
  family
    .token('no alg', 'unsupported_algorithm', jwt({}, { header: { alg: undefined } }))
    .token('alg in small letters', 'unsupported_algorithm', named('hs256'))
    .token('alg with a space', 'unsupported_algorithm', named('HS256 '))
    .token('alg as a list', 'unsupported_algorithm', named(['HS256']))
    .token('alg as an object', 'unsupported_algorithm', named({ toString: 'HS256' }))
    .token(
      'alg inherited',
      'unsupported_algorithm',
      jwt({}, { headerText: '{"__proto__":{"alg":"HS256"},"kid":"main"}' }),
    )
    .token('HS384', 'unsupported_algorithm', jwt({}, { header: { alg: 'HS384' }, hash: 'sha384' }))
    .token('HS512', 'unsupported_algorithm', jwt({}, { header: { alg: 'HS512' }, hash: 'sha512' }))
    .token('ES256 under an HMAC key', 'unsupported_algorithm', named('ES256'))
    .token('RS256 under an HMAC key', 'unsupported_algorithm', named('RS256'))
    .token('HMAC 256/64, cut short', 'unsupported_algorithm', cat({}, { alg: 4, mac: (mac) => mac.subarray(0, 8) }))
    .token('HMAC 512 by number', 'unsupported_algorithm', cat({}, { alg: 7 }))
    .token('alg as a text in a CAT', 'unsupported_algorithm', cat({}, { alg: 'HS256' }))
    .token('ES256 in a COSE_Mac0', 'unsupported_algorithm', cat({}, { alg: -7 }))
    .token('HMAC in a COSE_Sign1', 'unsupported_algorithm', cat({}, { tags: [18] }))
    .token('a COSE_Sign1 that names none', 'unsupported_algorithm', cat({}, { tags: [18], alg: null }));
  for (const kid of ['es', 'rs'] as const)
    for (const [form, key] of [
      ['DER', spki(kid)],
      ['PEM', Buffer.from(pem(kid))],
      ['PEM without its last line break', Buffer.from(pem(kid).trim())],
    ] as const)
      family
        .token(`JWT: HMAC with the public key of ${kid} as ${form}`, 'unsupported_algorithm', jwt({}, { kid, key }))
        .token(`CAT: HMAC with the public key of ${kid} as ${form}`, 'unsupported_algorithm', cat({}, { kid, key }));
  family
    .token(
      'JWT: an HMAC said to be ES256',
      'unsupported_algorithm',
      jwt({}, { kid: 'es', key: spki('es'), header: { alg: 'ES256' } }),
      {
        inNode: ['bad_signature', 'Node checks signatures of public keys'],
      },
    )
    .token(
      'CAT: all zeroes for an ES256 signature',
      'unsupported_algorithm',
      cat({}, { kid: 'es', key: spki('es'), alg: -7, tags: [18], mac: Buffer.alloc(64) }),
      {
        inNode: ['bad_signature', 'Node checks signatures of public keys'],
      },
    );
  return family;
}

function signatures(): Family {
  const family = new Family('signature');
  const secret = secretOf('main');
  const input = `${header}.${payload}`;
  const sha = (...parts: (string | Buffer)[]): Buffer =>
    parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
  const signed = (text: string, mac: Buffer): string => `${text}.${mac.toString('base64url')}`;
  // An HMAC taken for the plain hash of a message behind a secret of one block: what follows can be hashed by anyone.
  const grown = Buffer.concat([Buffer.from(input), padding(64 + input.length), Buffer.from('x')]);
  const extended = extendedDigest(
    createHmac('sha256', secret).update(input).digest(),
    64 + input.length,
    Buffer.from('x'),
  );
  family
    .token('the true one', 'admitted', signed(input, createHmac('sha256', secret).update(input).digest()))
    .token('a plain hash behind the secret', 'bad_signature', signed(input, sha(secret, input)))
    .token('a plain hash before the secret', 'bad_signature', signed(input, sha(input, secret)))
    .token('a hash extended by its padding', 'malformed_token', signed(grown.toString('latin1'), extended), {
      eventOnly: true,
    })
    .token(
      'a hash extended, the padding in base64url',
      'malformed_token',
      signed(`${input}${encoded(grown.subarray(input.length).toString('latin1'))}`, extended),
    )
    .token('the digest of the extension over the old claims', 'bad_signature', signed(input, extended))
    .token(
      "a hash of what is to be hashed, by the inner half of HMAC's alone",
      'bad_signature',
      signed(input, sha(Buffer.concat([secret, Buffer.alloc(32)]).map((byte) => byte ^ 0x36) as Buffer, input)),
    )
    .token('all zeroes', 'bad_signature', forged)
    .token('none', 'bad_signature', `${input}.`)
    .token('half of it', 'bad_signature', cat({}, { mac: (mac) => mac.subarray(0, 16) }))
    .token('one byte more', 'bad_signature', cat({}, { mac: (mac) => Buffer.concat([mac, Buffer.from([0])]) }))
    .token('twice', 'bad_signature', cat({}, { mac: (mac) => Buffer.concat([mac, mac]) }))
    .token('in hexadecimal', 'bad_signature', `${input}.${createHmac('sha256', secret).update(input).digest('hex')}`)
    .token('with the empty key', 'bad_signature', cat({}, { key: Buffer.alloc(0) }))
    .token(
      "with the key's text instead of its bytes",
      'bad_signature',
      cat({}, { key: Buffer.from(secret.toString('base64url')) }),
    )
    .token("with the store's whole record", 'bad_signature', cat({}, { key: Buffer.from(keyRecord(secret)) }))
    .token('of other claims', 'bad_signature', `${header}.${encoded({ exp: NOW + 600 })}.${signature}`)
    .token(
      'of another header',
      'bad_signature',
      `${encoded({ alg: 'HS256', typ: 'JWT', kid: 'main', x: 1 })}.${payload}.${signature}`,
    )
    .token('of another COSE structure', 'bad_signature', cat({}, { context: 'Signature1' }))
    .token('of a COSE_Mac', 'bad_signature', cat({}, { context: 'MAC' }))
    .token('with external data', 'bad_signature', cat({}, { externalAad: Buffer.from('x') }))
    .token(
      'by a key that the token brings along',
      'bad_signature',
      jwt({}, { key: Buffer.from('attacker'), header: { jwk: { kty: 'oct', k: encoded('attacker') } } }),
    )
    .token(
      'by a key that the token points to',
      'bad_signature',
      jwt(
        {},
        { key: Buffer.from('attacker'), header: { jku: 'https://evil.example/keys', x5u: 'https://evil.example/x' } },
      ),
    )
    .token(
      'by a key that a CAT brings along',
      'bad_signature',
      cat({}, { key: Buffer.from('attacker'), unprotectedHeader: map([-1, Buffer.from('attacker')]) }),
    );
  return family;
}

function keyIds(): Family {
  const family = new Family('key id');
  family.token('of the key', 'admitted', cat({}, { kid: 'main' }));
  family.token('none, for the key without one', 'admitted', makeJwt({ claims: { exp: NOW + 60 }, key: secretOf('') }));
  const unknown = [
    '../main',
    '/main',
    'k:main',
    'm:',
    'r12',
    'b:dark',
    'x:',
    'Main',
    'main*',
    '*',
    '%6dain',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
  ];
  for (const kid of unknown) {
    family.token(`CAT: ${kid}`, 'unknown_key', cat({}, { kid, key: secretOf('main') }));
    family.token(`JWT: ${kid}`, 'unknown_key', jwt({}, { kid, key: secretOf('main') }));
  }
  for (const kid of ['main ', 'main\0', 'main\n', '\0', 'm\u00e4in'])
    family.token(`CAT: ${JSON.stringify(kid)}`, 'unknown_key', cat({}, { kid, key: secretOf('main') }));
  family
    .token(
      'CAT: bytes that are no text',
      'unknown_key',
      cat({}, { kid: Buffer.from([0xff, 0, 0xfe]), key: secretOf('main') }),
    )
    .token('CAT: empty bytes, signed by another key', 'bad_signature', cat({}, { kid: '', key: secretOf('main') }))
    .token(
      'JWT: none, signed by a key that has one',
      'bad_signature',
      makeJwt({ claims: { exp: NOW + 60 }, key: secretOf('main') }),
    )
    .token('JWT: null, signed by a key that has one', 'bad_signature', jwt({}, { header: { kid: null } }))
    .token('JWT: inherited', 'bad_signature', jwt({}, { headerText: '{"alg":"HS256","__proto__":{"kid":"main"}}' }))
    .token('CAT: 129 bytes', 'malformed_token', cat({}, { kid: 'k'.repeat(129) }))
    .token('JWT: longer than any key of the store', 'malformed_token', jwt({}, { kid: 'k'.repeat(600) }))
    .token('JWT: a number', 'malformed_token', jwt({}, { header: { kid: 5 } }))
    .token('JWT: true', 'malformed_token', jwt({}, { header: { kid: true } }))
    .token('JWT: an object', 'malformed_token', jwt({}, { header: { kid: { toString: 'main' } } }))
    .token(
      "another key's signature under this key's id",
      'bad_signature',
      cat({}, { kid: 'tenant-a', key: secretOf('main') }),
    )
    .token(
      'two ids, the protected one unknown',
      'unknown_key',
      cat({}, { kid: 'nobody', key: secretOf('main'), unprotectedHeader: map([4, Buffer.from('main')]) }),
    );
  return family;
}

function prototypes(): Family {
  const family = new Family('inherited names');
  const past = NOW - 60;
  family
    .token(
      'names that objects have anyway, as claims',
      'admitted',
      jwt({ constructor: 1, toString: 'x', hasOwnProperty: null, valueOf: [] }),
    )
    .token(
      'JWT: exp under __proto__',
      'expired',
      jwt({}, { payloadText: `{"exp":${past},"__proto__":{"4":${NOW + 60},"exp":${NOW + 60}}}` }),
    )
    .token('JWT: the number of exp beside it', 'expired', jwt({}, { payloadText: `{"4":${NOW + 60},"exp":${past}}` }))
    .token(
      'JWT: exp by its number within constructor',
      'expired',
      jwt({}, { payloadText: `{"constructor":{"prototype":{"4":${NOW + 60}}},"exp":${past}}` }),
    )
    .token(
      'CAT: exp under __proto__',
      'expired',
      makeCat({
        claims: [
          [4, past],
          ['__proto__', map([4, NOW + 60])],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
    )
    .token(
      'CAT: exp under a text that reads as its number',
      'expired',
      makeCat({
        claims: [
          [4, past],
          ['4', NOW + 60],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
    )
    .token(
      'CAT: exp under its name',
      'expired',
      makeCat({
        claims: [
          [4, past],
          ['exp', NOW + 60],
        ],
        key: secretOf('main'),
        kid: 'main',
      }),
    );
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    const named = (inner: string): string => `{"exp":${NOW + 60},"catu":${inner}}`;
    const own = JSON.stringify(name);
    family
      .token(
        `JWT: catu of a component ${name}`,
        'invalid_claim',
        jwt({}, { payloadText: named(`{${own}:{"prefix":""}}`) }),
      )
      .token(`JWT: catu with a match ${name}`, 'invalid_claim', jwt({}, { payloadText: named(`{"path":{${own}:""}}`) }))
      .token(`CAT: catu of a component ${name}`, 'invalid_claim', cat({ catu: map([name, map([1, ''])]) }))
      .token(`CAT: catu with a match ${name}`, 'invalid_claim', cat({ catu: map([3, map([name, ''])]) }))
      .token(
        `JWT: cath of a header ${name}`,
        'header_mismatch',
        jwt({}, { payloadText: `{"cath":{${own}:{"prefix":""}}}` }),
      )
      .token(`CAT: cath of a header ${name}`, 'header_mismatch', cat({ cath: map([name, map([1, ''])]) }));
  }
  return family;
}

function paths(): Family {
  const family = new Family('path');
  const token = cat(bound);
  const allowed = (name: string, path: string): Family => family.token(name, 'admitted', token, { path });
  const ambiguous = (name: string, path: string, more: Extra = {}): Family =>
    family.token(name, 'ambiguous_path', token, { path, ...more });
  allowed('below the prefix', PATH);
  allowed('an escaped letter is the letter', '/ech%6F/ch1');
  allowed('dots in names', '/echo/.../a..b/.c');
  ambiguous('dot segments', '/echo/../secret');
  ambiguous('dot segments, escaped', '/echo/%2e%2e/secret');
  ambiguous('dot segments, one dot escaped', '/echo/.%2E/secret');
  ambiguous('dot segments, escaped twice', '/echo/%252e%252e/secret');
  ambiguous('dot segments, escaped three times', '/echo/%25252e%25252e/secret');
  ambiguous('dot segments, an escape within the escape', '/echo/%%32%65%%32%65/secret');
  ambiguous('dot segments in overlong UTF-8', '/echo/%c0%ae%c0%ae/secret');
  ambiguous('dot segments in longer UTF-8', '/echo/%e0%80%ae%e0%80%ae/secret');
  ambiguous('dot segments in the form %u', '/echo/%u002e%u002e/secret');
  ambiguous('dot segments with a parameter', '/echo/..;/secret');
  ambiguous('dot segments with an escaped parameter', '/echo/..%3Ba=1/secret');
  ambiguous('a dot segment at the end', '/echo/ch1/..');
  ambiguous('a single dot', '/echo/./secret');
  ambiguous('an escaped slash', '/echo/..%2fsecret');
  ambiguous('an escaped slash, escaped twice', '/echo/..%252Fsecret');
  ambiguous('an overlong slash', '/echo/..%c0%afsecret');
  ambiguous('a backslash', '/echo/..\\secret');
  ambiguous('an escaped backslash', '/echo/..%5Csecret');
  ambiguous('an empty segment', '/echo//ch1');
  ambiguous('an empty segment first', '//echo/ch1');
  ambiguous('a NUL', '/echo/secret%00.ts');
  ambiguous('a line break', '/echo/a%0d%0aX-Injected:1');
  ambiguous('a tab', '/echo/a%09b');
  ambiguous('a fragment', '/echo/a#/../secret', { eventOnly: true });
  ambiguous('a half escape', '/echo/a%');
  ambiguous('an escape of no hexadecimal', '/echo/a%g1');
  ambiguous('a raw byte', '/echo/caf\u00e9');
  family.request('a raw byte before a token', 'ambiguous_path', endless('/caf\u00e9', `;CAT=${token}`));
  family
    .request('dot segments before the token', 'ambiguous_path', `/echo/../${token}/secret`)
    .request('an absolute target', 'ambiguous_path', `http://evil.example/${token}${PATH}`, {
      eventOnly: true,
      edgeOnly: 'verifyRequest takes absolute URLs',
    })
    .token('the token twice', 'uri_mismatch', token, { path: `/${token}${PATH}` })
    .token('parameters in front', 'uri_mismatch', token, { path: '/;/echo/ch1' })
    .token('a question mark, escaped', 'uri_mismatch', token, { path: '/secret%3f/echo/' })
    .token('the prefix in capitals', 'uri_mismatch', token, { path: '/ECHO/ch1' })
    .token('the prefix further on', 'uri_mismatch', token, { path: '/secret/echo/' })
    .token('the prefix without its slash', 'uri_mismatch', token, { path: '/echo' })
    .token('the prefix longer', 'uri_mismatch', token, { path: '/echo-secret/ch1' })
    .both('exactly the path', 'admitted', exact)
    .both('exactly the path, and a dot', 'uri_mismatch', exact, { path: `${PATH}.` })
    .both('exactly the path, and a slash', 'uri_mismatch', exact, { path: `${PATH}/` })
    .both('exactly the path, and a parameter', 'uri_mismatch', exact, { path: `${PATH};x=1` })
    .both('exactly the path, and a space', 'uri_mismatch', exact, { path: `${PATH}%20` })
    .both('exactly the path in capitals', 'uri_mismatch', exact, { path: '/echo/CH1/seg.ts' })
    .both('a suffix', 'admitted', component(3, 'path', 2, 'suffix', '/seg.ts'))
    .both('a suffix, the other way round', 'uri_mismatch', component(3, 'path', 2, 'suffix', '/seg.ts'), {
      path: '/echo/seg.ts/secret',
    })
    .both('an extension', 'admitted', component(8, 'extension', 0, 'exact', '.ts'))
    .both('an extension, then another', 'uri_mismatch', component(8, 'extension', 0, 'exact', '.ts'), {
      path: '/echo/a.ts.m3u8',
    })
    .both('an extension behind a parameter', 'uri_mismatch', component(8, 'extension', 0, 'exact', '.ts'), {
      path: '/echo/a.mp4;.ts/x',
    })
    .both(
      'an escape in small letters where the token has capitals',
      'admitted',
      component(3, 'path', 0, 'exact', '/echo/caf%C3%A9'),
      { path: '/echo/caf%c3%a9' },
    )
    .both('another escape', 'uri_mismatch', component(3, 'path', 0, 'exact', '/echo/caf%C3%A9'), {
      path: '/echo/cafe%CC%81',
    })
    .both('the hash of the path', 'admitted', [
      { catu: map([3, map([-1, createHash('sha256').update(PATH).digest()])]) },
      { catu: { path: { sha256: createHash('sha256').update(PATH).digest('base64url') } } },
    ])
    .both('the hash of another path', 'uri_mismatch', [
      { catu: map([3, map([-1, createHash('sha256').update('/echo/').digest()])]) },
      { catu: { path: { sha256: createHash('sha256').update('/echo/').digest('base64url') } } },
    ]);
  return family;
}

function hosts(): Family {
  const family = new Family('host');
  const claim = component(1, 'host', 0, 'exact', 'video.example.com');
  family.both('in capitals, with the default port', 'admitted', claim, { host: 'VIDEO.Example.com:443' });
  for (const host of [
    'evil.example',
    'video.example.com.evil.example',
    'xvideo.example.com',
    'video.example.com.',
    '203.0.113.1',
  ])
    family.both(host, 'uri_mismatch', claim, { host });
  family
    .both('named by X-Forwarded-Host alone', 'uri_mismatch', claim, {
      host: 'evil.example',
      headers: [
        ['X-Forwarded-Host', 'video.example.com'],
        ['Forwarded', 'host=video.example.com'],
        ['X-Host', 'video.example.com'],
      ],
    })
    .both('a second line', 'uri_mismatch', claim, { headers: [['Host', 'evil.example']], eventOnly: true })
    .both('a port that is not the default', 'uri_mismatch', component(2, 'port', 0, 'exact', ''), {
      host: 'video.example.com:8443',
    })
    .both('plain HTTP', 'uri_mismatch', component(0, 'scheme', 0, 'exact', 'https'), { viewer: 'proto=http' })
    .both('plain HTTP, said to be secure', 'uri_mismatch', component(0, 'scheme', 0, 'exact', 'https'), {
      viewer: 'proto=http',
      headers: [
        ['X-Forwarded-Proto', 'https'],
        ['CloudFront-Forwarded-Proto', 'https'],
      ],
    });
  return family;
}

function places(): Family {
  const family = new Family('place of the token');
  const header = (token: string, name = 'CTA-Common-Access-Token'): [string, string] => [name, token];
  family
    .request('in the header, whatever its case', 'admitted', PATH, {
      headers: [header(good, 'cta-COMMON-access-TOKEN')],
    })
    .request('in the query', 'admitted', `${PATH}?CAT=${good}`, { forwarded: PATH })
    .request('in a cookie among others', 'admitted', PATH, { headers: [['Cookie', `a=1; CAT=${good}; b=2`]] })
    .request('in Authorization', 'admitted', PATH, { headers: [['Authorization', `Bearer ${good}`]] })
    .request('in a parameter of a segment', 'admitted', `/echo/ch1;CAT=${good}/seg.ts`, { forwarded: PATH });
  for (const name of [
    'CTA_Common_Access_Token',
    'X-CTA-Common-Access-Token',
    'Common-Access-Tokens',
    'X-Access-Token',
    'Referer',
    'X-Original-URL',
    'X-Rewrite-URL',
    'Proxy-Authorization',
    'Cookie2',
  ])
    family.request(`in the header ${name}`, 'missing_token', PATH, { headers: [header(good, name)] });
  for (const name of ['cat', 'Cat', 'C%41T', 'CAT[]', 'CAT%3d', 'xCAT', '__proto__'])
    family.request(`in the parameter ${name}`, 'missing_token', `${PATH}?${name}=${good}`);
  for (const name of ['cat', 'xCAT', '__Host-CAT', '__Secure-CAT', '$CAT'])
    family.request(`in the cookie ${name}`, 'missing_token', PATH, { headers: [['Cookie', `${name}=${good}`]] });
  return family
    .request('in a parameter behind a semicolon', 'missing_token', `${PATH}?a=1;CAT=${good}`)
    .request('in a second query', 'missing_token', `${PATH}?a=1?CAT=${good}`)
    .request('in a segment that is not the first', 'missing_token', `/echo/${good}/seg.ts`)
    .request('in a parameter of another name', 'missing_token', `/echo/ch1;cat=${good}/seg.ts`)
    .request('as Basic authorization', 'missing_token', PATH, { headers: [['Authorization', `Basic ${good}`]] })
    .request('as Bearer, a second word behind it', 'malformed_token', PATH, {
      headers: [['Authorization', `Bearer ${good} x`]],
    })
    .request('escaped in a cookie', 'malformed_token', PATH, {
      headers: [['Cookie', `CAT=${good.slice(0, 9)}%${good.slice(10)}`]],
    })
    .request('nowhere', 'missing_token', PATH)
    .request('nowhere, but a range is asked for', 'missing_token', PATH, { headers: [['Range', 'bytes=0-1']] })
    .request('nowhere, but the answer is known', 'missing_token', PATH, {
      headers: [
        ['If-None-Match', '*'],
        ['If-Modified-Since', 'Fri, 01 Jan 2027 00:00:00 GMT'],
      ],
    })
    .request('nowhere, and the path is said to be another', 'missing_token', PATH, {
      headers: [
        ['X-Original-URL', '/public/x'],
        ['X-Rewrite-URL', '/public/x'],
        ['X-Forwarded-Prefix', '/public'],
      ],
    })
    .request('expired, a range asked for', 'expired', `/${expired}${PATH}`, { headers: [['Range', 'bytes=0-']] });
}

function several(): Family {
  const family = new Family('several tokens');
  const long = (length: number): string => tokenOfLength((claims) => cat({ exp: NOW - 1, ...claims }), length);
  const header = (token: string): [string, string] => ['CTA-Common-Access-Token', token];
  const tenant = cat({ iss: 'tenant-a' }, { kid: 'tenant-a' });
  return family
    .request('a bad one before a good one', 'admitted', `${PATH}?CAT=${forged}&CAT=${good}`, { forwarded: PATH })
    .request('six, the last good', 'admitted', `${PATH}?${`CAT=${forged}&`.repeat(5)}CAT=${good}`, { forwarded: PATH })
    .request('seven, the last good', 'bad_signature', `${PATH}?${`CAT=${forged}&`.repeat(6)}CAT=${good}`)
    .request('a good one behind more characters than all may have', 'expired', `${PATH}?CAT=${long(4090)}&CAT=${good}`)
    .request('a thousand empty ones', 'missing_token', `${PATH}?${'CAT=&'.repeat(1000)}`)
    .request('a bad one in the header before a good one in the path', 'bad_signature', `/${good}${PATH}`, {
      headers: [header(forged)],
    })
    .request('two bad ones', 'bad_signature', `${PATH}?CAT=${forged}&CAT=${expired}`)
    .request('an expired one and a forged one of the same claims', 'expired', `${PATH}?CAT=${expired}&CAT=${forged}`)
    .request('two halves of one', 'malformed_token', `${PATH}?CAT=${good.slice(0, 60)}&CAT=${good.slice(60)}`)
    .request('two halves in two lines of the header', 'malformed_token', PATH, {
      headers: [header(good.slice(0, 60)), header(good.slice(60))],
    })
    .request('a genuine one of another tenant before a forged one', 'not_entitled', `/${tenant}${PATH}?CAT=${forged}`)
    .request(
      'a forged one that another tenant would log, before an expired one',
      'bad_signature',
      `${PATH}?CAT=${cat({}, { kid: 'logged', mac: Buffer.alloc(32) })}&CAT=${expired}`,
      { edgeOnly: 'modes are in the store' },
    )
    .request('two lines of cookies, both bad', 'bad_signature', PATH, {
      headers: [
        ['Cookie', `CAT=${forged}`],
        ['Cookie', `CAT=${expired}`],
      ],
    });
}

function methods(): Family {
  const family = new Family('method');
  const claims = same({ catm: ['GET', 'HEAD'] });
  family.both('HEAD', 'admitted', claims, { method: 'HEAD' });
  for (const name of ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])
    family.both(`POST that ${name} calls GET`, 'method_mismatch', claims, { method: 'POST', headers: [[name, 'GET']] });
  const asking: Extra = {
    method: 'OPTIONS',
    headers: [
      ['Origin', 'https://evil.example'],
      ['Access-Control-Request-Method', 'GET'],
      ['Access-Control-Request-Headers', 'cta-common-access-token'],
    ],
    edgeOnly: 'the function answers preflights',
  };
  return family
    .both('POST that a parameter calls GET', 'method_mismatch', claims, { method: 'POST', path: `${PATH}?_method=GET` })
    .both('DELETE', 'method_mismatch', claims, { method: 'DELETE' })
    .both('get in small letters', 'method_mismatch', claims, { method: 'get', eventOnly: true })
    .both('GET in small letters in the token', 'method_mismatch', same({ catm: ['get'] }))
    .request('a preflight without a token', 'answered', PATH, asking)
    .token('a preflight with a token', 'answered', good, asking)
    .token(
      'a preflight with a token that asks for renewal',
      'answered',
      cat({ exp: NOW + 5, catr: map([0, 3], [1, 3600]) }),
      asking,
    )
    .token('a preflight that is none', 'answered', good, { ...asking, headers: [] });
}

function moments(): Family {
  const family = new Family('moments');
  const exp = (value: unknown): readonly [Claims, Claims] => same({ exp: value });
  const text = (payloadText: string): string => jwt({}, { payloadText });
  return family
    .both('a second before', 'admitted', exp(NOW + 1))
    .both('at the very second', 'expired', exp(NOW))
    .both('a fraction ago', 'expired', exp(NOW - 0.25))
    .both('a negative moment', 'expired', exp(-NOW))
    .both('a text', 'invalid_claim', exp(String(NOW + 60)))
    .both('a date as text', 'invalid_claim', exp('2099-01-01T00:00:00Z'))
    .both('true', 'invalid_claim', exp(true))
    .both('null', 'invalid_claim', exp(null))
    .both('a list', 'invalid_claim', exp([NOW + 60]))
    .both('an empty map', 'invalid_claim', [{ exp: map() }, { exp: {} }])
    .both('bytes, or their text', 'invalid_claim', [{ exp: Buffer.from([0xff]) }, { exp: '/w' }])
    .token('JWT: beyond all numbers', 'invalid_claim', text('{"exp":1e999}'))
    .token('JWT: minus zero', 'expired', text('{"exp":-0}'))
    .both('milliseconds taken for seconds, not before', 'not_yet_valid', same({ nbf: NOW * 1000 }))
    .both('not before in a fraction of a second', 'not_yet_valid', same({ nbf: NOW + 0.25 }))
    .both('not before as a text', 'invalid_claim', same({ nbf: '0' }))
    .both('the session over', 'session_ended', same({ sxp: NOW }))
    .both('the session over, the token not', 'session_ended', same({ sxp: NOW - 1, exp: NOW + 3600 }))
    .both('an end of the session that is a text', 'invalid_claim', same({ sxp: 'never' }))
    .both('an end of the session that is null', 'invalid_claim', same({ sxp: null }))
    .both('a version that is to come', 'version_mismatch', same({ catv: 2 }))
    .both('a version that is a text', 'invalid_claim', same({ catv: '1' }));
}

function tenants(): Family {
  const family = new Family('tenants');
  const of = (name: string, expected: Outcome, iss: unknown, path: string): Family =>
    family
      .token(`CAT: ${name}`, expected, cat({ iss }, { kid: 'tenant-a' }), { path })
      .token(`JWT: ${name}`, expected, jwt({ iss }, { kid: 'tenant-a' }), { path });
  of('their own path', 'admitted', 'tenant-a', '/echo/a/x');
  of('their own path, a letter escaped', 'admitted', 'tenant-a', '/echo/%61/x');
  of("another's path, a letter escaped", 'not_entitled', 'tenant-a', '/echo/%62/x');
  of("another's path", 'not_entitled', 'tenant-a', '/echo/b/x');
  of('a path that begins alike', 'not_entitled', 'tenant-a', '/echo/a-secret/x');
  of('a path with a parameter', 'not_entitled', 'tenant-a', '/echo/a;/x');
  of('a path in capitals', 'not_entitled', 'tenant-a', '/echo/A/x');
  of("another's path behind dots", 'ambiguous_path', 'tenant-a', '/echo/a/../b/x');
  of("another's path behind an escaped slash", 'ambiguous_path', 'tenant-a', '/echo/a%2f..%2fb/x');
  of("another's issuer", 'issuer_mismatch', 'tenant-b', '/echo/a/x');
  of('an issuer in capitals', 'issuer_mismatch', 'Tenant-A', '/echo/a/x');
  of('an issuer with a space', 'issuer_mismatch', 'tenant-a ', '/echo/a/x');
  of('no issuer', 'issuer_mismatch', undefined, '/echo/a/x');
  of('a list of issuers', 'invalid_claim', ['tenant-a'], '/echo/a/x');
  return family;
}

function records(): Family {
  const family = new Family('modes');
  const edgeOnly = 'modes are in the store';
  const logged = (claims: Claims, parts: Parameters<typeof cat>[1] = {}): string =>
    cat(claims, { kid: 'logged', ...parts });
  return family
    .token('expired, where its key only logs', 'admitted', logged({ exp: 1 }), { path: '/echo/log/x', edgeOnly })
    .token(
      'forged, where its key only logs, on a path of another',
      'bad_signature',
      logged({}, { mac: Buffer.alloc(32) }),
      { edgeOnly },
    )
    .token('genuine, where its key only logs, on a path of another', 'not_entitled', logged({}), { edgeOnly })
    .token(
      'forged, where its key is off, on a path of another',
      'bad_signature',
      cat({}, { kid: 'off', mac: Buffer.alloc(32) }),
      { edgeOnly },
    )
    .token('expired, its key no longer logging', 'expired', cat({ exp: 1 }, { kid: 'was-logged' }), { edgeOnly })
    .token('expired, where its key only logs, on a path that begins alike', 'expired', logged({ exp: 1 }), {
      path: '/echo/logs/x',
      edgeOnly,
    })
    .request('no token, where a key only logs', 'missing_token', '/echo/log/x')
    .token('a path read in two ways, where its key only logs', 'ambiguous_path', logged({ exp: 1 }), {
      path: '/echo/log/../x',
      edgeOnly,
    })
    .token(
      'expired and to be renewed, where its key only logs',
      'admitted',
      logged({ exp: 1, catr: map([0, 2], [1, 60]) }),
      { path: '/echo/log/x', edgeOnly, renews: false },
    )
    .token(
      'forged and to be renewed, where its key is off',
      'admitted',
      cat({ catr: map([0, 2], [1, 60]) }, { kid: 'off', mac: Buffer.alloc(32) }),
      { path: '/echo/off/x', edgeOnly, renews: false },
    );
}

function revocations(): Family {
  const family = new Family('revocation');
  const token = cat({ session });
  const ids = (name: string, expected: Outcome, claims: readonly [Claims, Claims], more: Extra = {}): Family =>
    family.both(name, expected, claims, more);
  family
    .request('in the query instead of the path', 'revoked', `${PATH}?CAT=${token}`)
    .request('in a cookie', 'revoked', PATH, { headers: [['Cookie', `CAT=${token}`]] })
    .request('in the header', 'revoked', PATH, { headers: [['CTA-Common-Access-Token', token]] })
    .request('in the header as a string', 'revoked', PATH, { headers: [['Common-Access-Token', `"${token}"`]] })
    .request('in Authorization', 'revoked', PATH, { headers: [['Authorization', `DPoP ${token}`]] })
    .request('in a parameter of a segment', 'revoked', `/echo/ch1;CAT=${token}/seg.ts`)
    .token('padded', 'revoked', `${token}${'='.repeat((4 - (token.length % 4)) % 4)}`)
    .token('without the CWT tag', 'revoked', cat({ session }, { tags: [17] }))
    .token('renewed: another token of the session', 'revoked', cat({ session, cti: Buffer.from('another'), iat: NOW }))
    .token('and expired', 'revoked', cat({ session, exp: 1 }))
    .token('and for another path', 'revoked', cat({ session, ...bound }), { path: '/secret' })
    .token('under another format', 'revoked', jwt({ sid: handle }));
  ids('another session', 'admitted', [
    { session: Buffer.alloc(16, 8) },
    { sid: Buffer.alloc(16, 8).toString('base64url') },
  ]);
  ids('an account', 'revoked', same({ sub: 'mallory' }));
  ids("the account's name as the id of a token", 'admitted', [{ cti: Buffer.from('mallory') }, { jti: 'mallory' }]);
  ids('an account for one content', 'revoked', same({ sub: 'eve' }));
  ids('the same account, other content', 'admitted', same({ sub: 'eve' }), { path: '/echo/ch2/x' });
  ids('an account and content in one name', 'admitted', same({ sub: 'eve\nch1' }), { path: '/echo/ch2/x' });
  ids('content', 'revoked', same({}), { path: '/echo/withdrawn/x' });
  ids('content, a letter escaped', 'revoked', same({}), { path: '/echo/with%64rawn/x' });
  ids('content, a parameter behind it', 'revoked', same({}), { path: '/echo/withdrawn;v=1/x' });
  ids('ids named like keys of the store', 'admitted', [
    { cti: Buffer.from('k:main'), session: Buffer.from('m:'), sub: 'r1' },
    { jti: 'k:main', sid: '../k:main', sub: '__proto__' },
  ]);
  return family
    .token('an id that is no text', 'revoked', cat({ cti: Buffer.from([0xff, 0xfe, 0]) }))
    .token('its neighbour, which reads as the same text', 'admitted', cat({ cti: Buffer.from([0xfe, 0xff, 0]) }))
    .both('a session that is no handle', 'invalid_claim', [{ session: handle }, { sid: [handle] }])
    .both('blocked by catpor', 'probabilistic_refusal', [
      { catpor: [0, Buffer.from('blocked')] },
      { catpor: [0, Buffer.from('blocked').toString('base64url')] },
    ]);
}

function blackouts(): Family {
  const family = new Family('blackout');
  const dark = (name: string, path: string, more: Extra = {}): Family =>
    family.token(name, 'blackout', good, { path, ...more });
  const elsewhere = { viewer: 'country=DE' };
  family.token('from a country that may', 'admitted', good, { path: '/echo/dark/x.ts', ...elsewhere });
  family.token('a playlist gets the slate', 'admitted', good, {
    path: '/echo/dark/x.m3u8',
    forwarded: slate,
    inNode: ['blackout', 'the function rewrites the path'],
  });
  dark('a segment', '/echo/dark/x.ts');
  dark('a letter escaped', '/echo/d%61rk/x.ts');
  dark('a parameter behind the content', '/echo/dark;x=1/x.ts');
  dark('by another name of a playlist', '/echo/dark/x.m3u8;.ts');
  dark('a forged country', '/echo/dark/x.ts', { headers: [['CloudFront-Viewer-Country', 'DE']] });
  dark('an unknown country', '/echo/dark/x.ts', { viewer: 'country=' });
  dark('within its time', '/echo/late/x.ts');
  dark('an unknown region where only one may', '/echo/local/x.ts', { viewer: 'country=US; region=' });
  dark('where its key only logs', '/echo/dark/x.ts', {
    target: `/${cat({ exp: 1 }, { kid: 'logged' })}/echo/dark/x.ts`,
    expected: 'expired',
    edgeOnly: 'modes are in the store',
  });
  family
    .token('dots to it', 'ambiguous_path', good, { path: '/echo/slate/../dark/x.ts' })
    .token('an empty segment to it', 'ambiguous_path', good, { path: '/echo//dark/x.ts' })
    .token('after its time', 'admitted', good, {
      path: '/echo/late/x.ts',
      later: 59,
      target: `/${cat({ exp: NOW + 600 })}/echo/late/x.ts`,
      viewer: 'country=CA',
    })
    .request('by an old client', 'blackout', '/echo/dark/x.ts', {
      headers: [['User-Agent', 'OldTV/1.0']],
      edgeOnly: 'the policy allows old clients',
    });
  return family;
}

function forgedHeaders(): Family {
  const family = new Family('forged headers');
  const country = same({ catgeoiso3166: ['US'] });
  const network: readonly [Claims, Claims] = [
    { catnip: [new Tagged(52, [24, bytes('cb0071')])] },
    { catnip: ['203.0.113.0/24'] },
  ];
  const handover = `header cta-common-access-token ${good} ${Buffer.alloc(32).toString('base64url')}`;
  return family
    .both('the right country', 'admitted', country)
    .both('a country', 'country_mismatch', country, {
      viewer: 'country=DE',
      headers: [['CloudFront-Viewer-Country', 'US']],
    })
    .both('a country, the true one unknown', 'country_mismatch', country, { viewer: 'country=' })
    .both('an address', 'network_mismatch', network, {
      viewer: 'ip=198.51.100.1',
      headers: [
        ['X-Forwarded-For', '203.0.113.9'],
        ['True-Client-IP', '203.0.113.9'],
        ['X-Real-IP', '203.0.113.9'],
        ['CloudFront-Viewer-Address', '203.0.113.9:1'],
        ['Forwarded', 'for=203.0.113.9'],
      ],
    })
    .both('a network number', 'network_mismatch', same({ catnip: [64501] }), {
      headers: [['CloudFront-Viewer-ASN', '64501']],
    })
    .both('a protocol', 'alpn_mismatch', [{ catalpn: [Buffer.from('h3')] }, { catalpn: ['h3'] }], {
      headers: [['CloudFront-Viewer-Http-Version', '3.0']],
    })
    .both("a certificate's hash", 'tls_key_mismatch', [{ cattpk: Buffer.from('key') }, { cattpk: encoded('key') }], {
      headers: [['CloudFront-Viewer-Cert-Sha256', 'main']],
    })
    .both(
      'a proof of possession',
      'proof_required',
      [{ cnf: map([323, Buffer.alloc(32)]) }, { cnf: { jkt: Buffer.alloc(32).toString('base64url') } }],
      { headers: [['DPoP', goodJwt]] },
    )
    .both(
      'a header the token asks for',
      'admitted',
      [{ cath: map(['X-App', map([0, 'tv'])]) }, { cath: { 'X-App': { exact: 'tv' } } }],
      { headers: [['x-APP', 'tv']] },
    )
    .both(
      'that header twice',
      'header_mismatch',
      [{ cath: map(['x-app', map([0, 'tv'])]) }, { cath: { 'x-app': { exact: 'tv' } } }],
      {
        headers: [
          ['X-App', 'tv'],
          ['X-App', 'evil'],
        ],
      },
    )
    .request('the hand-over to viewer-response', 'missing_token', PATH, {
      headers: [['X-Portcullis-Handover', handover]],
    })
    .request('a verdict', 'missing_token', PATH, {
      headers: [
        ['X-Portcullis-Reason', ''],
        ['X-Portcullis-Mode', 'off'],
        ['X-Portcullis', 'admitted'],
      ],
    })
    .token('the hand-over beside a good token', 'admitted', good, {
      headers: [['X-Portcullis-Handover', handover]],
      renews: false,
    });
}

function networks(): Family {
  const family = new Family('networks and places');
  const four = (length: unknown, hex: string): unknown => new Tagged(52, [length, bytes(hex)]);
  const six = (length: unknown, hex: string): unknown => new Tagged(54, [length, bytes(hex)]);
  const nets = (name: string, expected: Outcome, inCat: unknown, inJwt: unknown, viewer = ''): Family =>
    family.both(name, expected, [{ catnip: [inCat] }, { catnip: [inJwt] }], viewer ? { viewer } : {});
  nets('the network', 'admitted', four(24, 'cb0071'), '203.0.113.0/24');
  nets('IPv6, spelled otherwise', 'admitted', six(56, '20010db8'), '2001:0DB8::/56', 'ip=2001:db8:0:0:ffff::1');
  nets('one address in the clear', 'invalid_claim', four(32, 'cb007109'), '203.0.113.9/32');
  nets('a prefix too long', 'invalid_claim', four(25, 'cb0071'), '203.0.113.0/25');
  nets('IPv6, a prefix too long', 'invalid_claim', six(64, '20010db8'), '2001:db8::/64');
  nets('a prefix longer than the address', 'invalid_claim', four(33, 'cb007109'), '203.0.113.9/33');
  nets('a negative prefix', 'invalid_claim', four(-1, '00'), '0.0.0.0/-1');
  nets('a fractional prefix', 'invalid_claim', four(8.5, 'cb'), '203.0.0.0/8.5');
  nets('bits beyond the prefix', 'invalid_claim', four(8, 'cb0071'), '203.0.113.0/8');
  nets('too many bytes', 'invalid_claim', four(24, 'cb00710000'), '203.0.113.0.0/24');
  nets('too few parts', 'invalid_claim', new Tagged(52, bytes('cb0071')), '203.0.113/24');
  nets('a text, or an address without a prefix', 'invalid_claim', '203.0.113.0/24', '203.0.113.9');
  nets(
    'an address with its prefix, the wrong way round',
    'invalid_claim',
    new Tagged(52, [bytes('cb0071'), 24]),
    '24/203.0.113.0',
  );
  nets(
    'IPv4 mapped into IPv6, for a claim of IPv4',
    'network_mismatch',
    four(24, 'cb0071'),
    '203.0.113.0/24',
    'ip=::ffff:203.0.113.9',
  );
  nets(
    'IPv4 in hexadecimal within IPv6',
    'network_mismatch',
    four(24, 'cb0071'),
    '203.0.113.0/24',
    'ip=::ffff:cb00:7109',
  );
  nets('an IPv6 zone', 'network_mismatch', six(56, '20010db8'), '2001:db8::/56', 'ip=2001:db8::1%eth0');
  nets('the neighbouring network', 'network_mismatch', six(56, '20010db8'), '2001:db8::/56', 'ip=2001:db8:0:100::1');
  nets('a negative network number', 'invalid_claim', -1, -1);
  nets('a fractional network number', 'invalid_claim', 64500.5, 64500.5);
  family.both('no network at all', 'invalid_claim', same({ catnip: [] }));
  const country = (name: string, expected: Outcome, code: unknown, viewer = ''): Family =>
    family.both(name, expected, same({ catgeoiso3166: [code] }), viewer ? { viewer } : {});
  country('a country in small letters', 'admitted', 'us');
  country('a region', 'admitted', 'us-ca');
  country("a region's number in another country", 'country_mismatch', 'US-CA', 'country=MX; region=CA');
  country('a region where none is known', 'country_mismatch', 'US-CA', 'country=US; region=');
  country('a code that is not assigned', 'invalid_claim', 'UK');
  country('three letters', 'invalid_claim', 'USA');
  country('a country and a hyphen', 'invalid_claim', 'US-');
  country('a line break behind', 'invalid_claim', 'US\nX');
  country('letters that become others in capitals', 'invalid_claim', 'u\u017f');
  country('a list within', 'invalid_claim', ['US']);
  country('a code that is a number', 'invalid_claim', 1);
  return family
    .both('an exact place in the clear', 'invalid_claim', same({ catgeocoord: [[37, -122, 10]] }))
    .both('an altitude', 'invalid_claim', same({ catgeoalt: [0, 1] }))
    .both('a cell', 'admitted', same({ geohash: '9q8y' }))
    .both('another cell', 'geo_mismatch', same({ geohash: '9q8z' }))
    .both('a cell as small as a house', 'invalid_claim', same({ geohash: '9q8yyk' }))
    .both('letters that no cell has', 'invalid_claim', same({ geohash: 'ail' }));
}

function patterns(): Family {
  const family = new Family('regular expressions');
  const regex = (name: string, expected: Outcome, pattern: string, path?: string): Family =>
    family.both(
      name,
      expected,
      [{ catu: map([3, map([4, [pattern]])]) }, { catu: { path: { regex: [pattern] } } }],
      path ? { path } : {},
    );
  regex('one that is bounded', 'admitted', '^/echo/[a-z0-9]+/.*[.]ts$');
  const as = `/echo/${'a'.repeat(200)}`;
  for (const pattern of [
    '^(a+)+$',
    '(a|a)*b',
    '(a|aa)+b',
    '(.*)*x',
    '(.*a){20}',
    'a*a*a*a*b',
    '.*.*.*.*x',
    'x{99}{99}',
    '((((a))))*',
  ])
    regex(`that explodes: ${pattern}`, 'unsupported_claim', pattern, as);
  for (const pattern of ['(?=a)', '(?i)ECHO', '(a)\\1', '\\d', '[[.a.]]', '(?>a)', 'a++', '\\x2f', '(*UTF8)', '[a'])
    regex(`of another language: ${pattern}`, 'unsupported_claim', pattern);
  regex('longer than any need be', 'unsupported_claim', 'a'.repeat(257));
  regex('on a text longer than any is run on', 'uri_mismatch', '^/echo/', `/echo/${'a'.repeat(520)}`);
  regex('whose end another line could meet', 'uri_mismatch', '^/echo/a$', '/echo/ab');
  return family;
}

function answers(): Family {
  const family = new Family("a token's own answers");
  const answer = (entry: unknown[], claims: Claims = {}): Claims => ({ catif: map([4, entry]), ...claims });
  const named = (name: string, value: unknown): readonly [Claims, Claims] => [
    { catif: map([4, [302, map([name, value])]]) },
    { catif: { exp: [302, { [name]: value }] } },
  ];
  const renewal = (rules: [unknown, unknown][], inJwt: Claims, more: Claims = {}): readonly [Claims, Claims] => [
    { exp: NOW + 5, catr: map(...rules), ...more },
    { exp: NOW + 5, catr: inJwt, ...more },
  ];
  const edgeOnly = 'the function renews';
  const kept = (name: string, claims: readonly [Claims, Claims], more: Extra = {}): Family =>
    family.both(name, 'admitted', claims, { renews: false, edgeOnly, ...more });
  family
    .both('an answer that is not needed', 'admitted', named('Location', 'https://login.example/'))
    .both('a line break in a value', 'invalid_claim', named('Location', 'x\r\nSet-Cookie: a=b'))
    .both('a line break in a part of a value', 'invalid_claim', named('Location', ['x', 'y\n']))
    .both('a NUL in a value', 'invalid_claim', named('X', '\0'))
    .both('a letter beyond ASCII in a value', 'invalid_claim', named('X', '\u010a'))
    .both('a colon in a name', 'invalid_claim', named('Set-Cookie: a', 'b'))
    .both('a line break in a name', 'invalid_claim', named('X\r\nY', 'b'))
    .token('a status that is none', 'invalid_claim', cat(answer([99])))
    .token('a status with a fraction', 'invalid_claim', cat(answer([302.5])))
    .token('a status that lets pass', 'invalid_claim', cat(answer([100])))
    .token('a status as a text', 'invalid_claim', cat(answer(['302'])))
    .token(
      'an answer of a forged token',
      'bad_signature',
      cat(answer([302, map(['Location', 'https://evil.example/'])]), { mac: Buffer.alloc(32) }),
    )
    .token(
      'an answer of a malformed token',
      'invalid_claim',
      cat({ ...answer([302, map(['Location', 'https://evil.example/'])]), exp: 'x' }),
    );
  family
    .both(
      'renewal by redirect',
      'admitted',
      renewal(
        [
          [0, 3],
          [1, 3600],
          [2, 60],
        ],
        { type: 'redirect', expext: 3600, deadline: 60 },
      ),
      { edgeOnly, renews: true },
    )
    .both(
      'renewal in a cookie',
      'admitted',
      renewal(
        [
          [0, 1],
          [1, 3600],
        ],
        { type: 'cookie', expext: 3600 },
      ),
      { edgeOnly, renews: true },
    );
  kept(
    'renewal into the past',
    renewal(
      [
        [0, 1],
        [1, -60],
      ],
      { type: 'cookie', expext: -60 },
    ),
    { expected: 'invalid_claim' },
  );
  kept(
    'a redirect of a POST',
    renewal(
      [
        [0, 3],
        [1, 3600],
        [2, 60],
      ],
      { type: 'redirect', expext: 3600, deadline: 60 },
    ),
    { method: 'POST' },
  );
  kept(
    'before its deadline',
    renewal(
      [
        [0, 1],
        [1, 3600],
        [2, 1],
      ],
      { type: 'cookie', expext: 3600, deadline: 1 },
    ),
  );
  kept(
    "a cookie's name that ends it",
    renewal(
      [
        [0, 1],
        [1, 60],
        [3, 'a=b; x'],
      ],
      { type: 'cookie', expext: 60, cookieName: 'a=b; x' },
    ),
  );
  kept(
    'a line break in the parameters of a cookie',
    renewal(
      [
        [0, 1],
        [1, 60],
        [5, ['Path=/\r\nX: y']],
      ],
      { type: 'cookie', expext: 60, cookieParams: ['Path=/\r\nX: y'] },
    ),
  );
  kept(
    "a line break in a header's name",
    renewal(
      [
        [0, 2],
        [1, 60],
        [4, 'a\r\nb'],
      ],
      { type: 'header', expext: 60, headerName: 'a\r\nb' },
    ),
  );
  kept(
    "a cookie's words for a header",
    renewal(
      [
        [0, 2],
        [1, 60],
        [3, 'x'],
      ],
      { type: 'header', expext: 60, cookieName: 'x' },
    ),
  );
  kept(
    "not beyond the session's end",
    renewal(
      [
        [0, 1],
        [1, 3600],
      ],
      { type: 'cookie', expext: 3600 },
      { sxp: NOW + 5 },
    ),
  );
  kept(
    'after the session',
    renewal(
      [
        [0, 1],
        [1, 3600],
      ],
      { type: 'cookie', expext: 3600 },
      { sxp: NOW },
    ),
    { expected: 'session_ended' },
  );
  kept(
    'of an expired token',
    renewal(
      [
        [0, 1],
        [1, 3600],
      ],
      { type: 'cookie', expext: 3600 },
      { exp: NOW },
    ),
    { expected: 'expired' },
  );
  const redirecting = cat(
    renewal(
      [
        [0, 3],
        [1, 3600],
        [2, 60],
      ],
      {},
    )[0],
  );
  return family
    .token('a redirect to another host', 'ambiguous_path', redirecting, {
      path: '//evil.example/x',
      renews: false,
    })
    .token('a redirect to another host by a backslash', 'ambiguous_path', redirecting, {
      path: '/\\evil.example/x',
      renews: false,
    })
    .token('a redirect to another host by an escaped slash', 'ambiguous_path', redirecting, {
      path: '/%2fevil.example/x',
      renews: false,
    })
    .request(
      'a redirect to another host, the token a parameter before it',
      'ambiguous_path',
      `/;CAT=${redirecting}/evil.example/x`,
      { renews: false },
    )
    .request(
      'a redirect to another host, the token in the query',
      'ambiguous_path',
      `//evil.example/x?CAT=${redirecting}`,
      { renews: false },
    )
    .token('a redirect with a line break', 'ambiguous_path', redirecting, {
      path: '/echo/%0d%0aSet-Cookie:a=b',
      renews: false,
    });
}

function policies(): Family {
  const family = new Family('the policy');
  const edgeOnly = 'what is attacked is the policy';
  const framed = '/echo/framed/x.ts';
  const from = (name: string, expected: Outcome, headers: [string, string][]): Family =>
    family.token(`embedded ${name}`, expected, good, { path: framed, headers, edgeOnly });
  from('by the page that may', 'admitted', [['Origin', 'https://player.example']]);
  from('by a page of the site that may', 'admitted', [['Referer', 'https://player.example/watch?v=1']]);
  from('by another page', 'origin_mismatch', [['Origin', 'https://evil.example']]);
  from('by a longer name', 'origin_mismatch', [['Origin', 'https://player.example.evil.example']]);
  from('by a name in front of an @', 'origin_mismatch', [['Referer', 'https://player.example@evil.example/']]);
  from('without TLS', 'origin_mismatch', [['Origin', 'http://player.example']]);
  from('from another port', 'origin_mismatch', [['Origin', 'https://player.example:8443']]);
  from('by nobody', 'origin_mismatch', []);
  from('by a page without an origin', 'origin_mismatch', [
    ['Origin', 'null'],
    ['Referer', 'https://player.example/'],
  ]);
  const agent = (name: string, expected: Outcome, text: string, target = '/echo/old/x.ts', later = 0): Family =>
    family.request(`an old client: ${name}`, expected, target, {
      headers: [['User-Agent', text]],
      edgeOnly,
      later,
      forwarded: target,
    });
  agent('as it is', 'admitted', 'OldTV/1.2 (x)');
  agent('on another path', 'missing_token', 'OldTV/1.2', PATH);
  agent('on a path that begins alike', 'missing_token', 'OldTV/1.2', '/echo/older/x.ts');
  agent('behind dots', 'ambiguous_path', 'OldTV/1.2', '/echo/old/../ch1/x.ts');
  agent('its name further on', 'missing_token', 'Mozilla/5.0 OldTV/1.2');
  agent('after its day', 'missing_token', 'OldTV/1.2', '/echo/old/x.ts', 3600);
  family
    .token('an old client that brings a bad token', 'bad_signature', forged, {
      path: '/echo/old/x.ts',
      headers: [['User-Agent', 'OldTV/1.2']],
      edgeOnly,
    })
    .request('a public path', 'admitted', '/public/logo.png', { edgeOnly, forwarded: '/public/logo.png' })
    .token('a public path with a forged token', 'admitted', forged, { path: '/public/logo.png', edgeOnly });
  for (const [name, path, expected] of [
    ['dots behind it', '/public/../echo/x', 'ambiguous_path'],
    ['escaped dots behind it', '/public/%2e%2e/echo/x', 'ambiguous_path'],
    ['an escaped slash behind it', '/public%2f..%2fecho/x', 'ambiguous_path'],
    ['a parameter behind it', '/public;/../echo/x', 'ambiguous_path'],
    ['a longer name', '/publicity/x', 'missing_token'],
    ['capitals', '/PUBLIC/x', 'missing_token'],
    ['further on', '/echo/public/x', 'missing_token'],
    ['in the query', `${PATH}?/public/`, 'missing_token'],
  ] as const)
    family.request(`a public path: ${name}`, expected, path, { edgeOnly });
  return family
    .both('the dice against it', 'probabilistic_refusal', [{ catpor: [1, Buffer.from('x')] }, { catpor: [1, 'eA'] }])
    .both('the dice for it', 'admitted', [{ catpor: [0, Buffer.from('x')] }, { catpor: [0, 'eA'] }])
    .both('a chance beyond all', 'invalid_claim', [{ catpor: [-1, Buffer.from('x')] }, { catpor: [-1, 'eA'] }])
    .both('a replay rule that is none', 'invalid_claim', same({ catreplay: 3 }))
    .both('an audience that is not ours', 'admitted', same({ aud: ['anyone'] }))
    .both('an audience of nobody', 'invalid_claim', same({ aud: [] }));
}

/** Every attack, and for each family the honest requests beside it. */
export const attacks: readonly Attack[] = [
  encodings(),
  structures(),
  algorithms(),
  signatures(),
  keyIds(),
  prototypes(),
  paths(),
  hosts(),
  places(),
  several(),
  methods(),
  moments(),
  tenants(),
  records(),
  revocations(),
  blackouts(),
  forgedHeaders(),
  networks(),
  patterns(),
  answers(),
  policies(),
].flatMap(({ rows }) => rows);
