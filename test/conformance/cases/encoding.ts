import { cbor, cborMap, Float, makeCat, makeJwt, Raw, Tagged } from '../../engine/token-maker.js';
import { cat, jwt, NOW, PATH, secretOf, type Expected } from '../../verdicts/requests.js';
import { map, request, type ConformanceCase } from '../case.js';

const sent = (section: string, what: string, token: string, expected: Expected): ConformanceCase =>
  // In the query, where any text counts as a token: a path segment that does not look like one is content.
  request(section, what, `${PATH}?CAT=${token}`, expected, {}, { forwarded: PATH });
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const payload = (text: string): string => cat({}, { payload: hex(text) });
/** A claim that nobody knows, with whatever value: what is read of it is its form alone. */
const unknown = (value: unknown): string => cat({ 1000: value });
const exp = `1a${(NOW + 60).toString(16)}`;
/** A claim that nobody knows, of 24 bytes. */
const filler = `19 03e8 74 ${'61'.repeat(20)}`;
const nested = (depth: number, value: unknown = 0): unknown => (depth > 0 ? [nested(depth - 1, value)] : value);
const kid = Buffer.from('main');

const claimSets = [
  sent('4.5', 'map keys in any order', payload(`a2 06 01 04 ${exp}`), 'admitted'),
  sent('4.5', 'map keys in the order of their bytes', payload(`a2 04 ${exp} 06 01`), 'admitted'),
  sent('4.5', 'no claim at all', payload('a0'), 'admitted'),
  sent('4.5', 'a claim twice (RFC 8949 5.6)', payload(`a2 04 ${exp} 04 ${exp}`), 'malformed_token'),
  sent(
    '4.5',
    'an unknown claim twice',
    cat(
      {},
      {
        payload: cborMap([
          ['x', 1],
          ['x', 1],
        ]),
      },
    ),
    'malformed_token',
  ),
  sent(
    '4.5',
    'a key twice within a claim',
    unknown(
      new Raw(
        cborMap([
          [1, 1],
          [1, 2],
        ]),
      ),
    ),
    'malformed_token',
  ),
  // Builds read claims of this length by a way of their own.
  ...(['everything', 'leftOut'] as const).flatMap((build) => [
    request(
      '4.5',
      `a claim whose key is NaN, in the build ${build}`,
      `${PATH}?CAT=${payload(`a3 04 ${exp} f97e00 01 ${filler}`)}`,
      'malformed_token',
      { build },
    ),
    request(
      '4.5',
      `a claim whose key is null, in the build ${build}`,
      `${PATH}?CAT=${payload(`a3 04 ${exp} f6 01 ${filler}`)}`,
      'malformed_token',
      { build },
    ),
    request(
      '4.5',
      `a claim whose key is bytes, in the build ${build}`,
      `${PATH}?CAT=${payload(`a3 04 ${exp} 41 01 01 ${filler}`)}`,
      'malformed_token',
      { build },
    ),
    request(
      '4.5',
      `a claim twice among others, in the build ${build}`,
      `${PATH}?CAT=${payload(`a4 04 ${exp} 61 61 01 61 61 01 ${filler}`)}`,
      'malformed_token',
      { build },
    ),
  ]),
  sent('4.5', 'claims that are no map', payload('80'), 'malformed_token'),
  sent('4.5', 'claims that are a byte string', payload('40'), 'malformed_token'),
  sent('4.5', 'claims that are nothing', payload(''), 'malformed_token'),
  sent('4.5', 'claims in a tag', payload(`c1 a1 04 ${exp}`), 'malformed_token'),
  sent('4.5', 'a tag on a claim', cat({ exp: new Tagged(1, NOW + 60) }), 'malformed_token'),
  sent('4.5', 'a tag on an unknown claim', unknown(new Tagged(1, 1)), 'malformed_token'),
  sent('4.5', "catnip's tag on another claim", unknown([new Tagged(52, [24, hex('cb0071')])]), 'malformed_token'),
  sent(
    '4.5',
    'a tag before the claims of catnip are reached',
    cat({ 1000: [new Tagged(52, [24, hex('cb0071')])], catnip: [64500] }),
    'malformed_token',
  ),
  sent('4.5', 'NaN', unknown(new Float(NaN, 2)), 'malformed_token'),
  sent('4.5', 'NaN in eight bytes', unknown(new Float(NaN, 8)), 'malformed_token'),
  sent('4.5', '-0.0', unknown(-0), 'malformed_token'),
  sent('4.5', '0 as a float', unknown(new Float(0, 2)), 'malformed_token'),
  sent('4.5', 'an integer as a float', unknown(new Float(5, 2)), 'malformed_token'),
  sent('4.5', 'a negative integer as a float', unknown(new Float(-5, 8)), 'malformed_token'),
  sent('4.5', 'an unknown claim by number', unknown('x'), 'admitted'),
  sent('4.5', 'an unknown claim by a negative number', cat({ '-70000': 'x' }), 'admitted'),
  sent('4.5', 'an unknown claim by text', cat({ 'com.example.x': map([1, [2, 'y']]) }), 'admitted'),
  sent('4.5', 'a text that spells a known claim', cat({ exp: NOW + 60, $4: 1 }, {}), 'admitted'),
  sent(
    '4.5',
    'texts that every object inherits',
    cat(
      {},
      {
        payload: cborMap([
          ['__proto__', map([4, 0])],
          ['constructor', 1],
          [4, NOW + 60],
        ]),
      },
    ),
    'admitted',
  ),
  sent('4.5', 'a claim by a byte string', cat({}, { payload: cborMap([[hex('04'), 1]]) }), 'malformed_token'),
  sent('4.5', 'a claim by null', cat({}, { payload: cborMap([[null, 1]]) }), 'malformed_token'),
];

const numbers = [
  sent('RFC 8949 4.2.1', 'an argument in one byte that needs none', unknown(new Raw('1817')), 'malformed_token'),
  sent('RFC 8949 4.2.1', 'an argument in two bytes that needs one', unknown(new Raw('1900ff')), 'malformed_token'),
  sent('RFC 8949 4.2.1', 'an argument in four bytes that needs two', unknown(new Raw('1a0000ffff')), 'malformed_token'),
  sent(
    'RFC 8949 4.2.1',
    'an argument in eight bytes that needs four',
    unknown(new Raw('1b00000000ffffffff')),
    'malformed_token',
  ),
  sent(
    'RFC 8949 4.2.1',
    'arguments at their bounds',
    unknown([23, 24, 255, 256, 65535, 65536, 4294967295, 4294967296]),
    'admitted',
  ),
  sent(
    'RFC 8949 4.2.1',
    'negative numbers at their bounds',
    unknown([-24, -25, -256, -257, -65536, -65537]),
    'admitted',
  ),
  sent(
    'RFC 8949 4.2.1',
    'the length of a text in more bytes than needed',
    unknown(new Raw('780161')),
    'malformed_token',
  ),
  sent(
    'RFC 8949 4.2.1',
    'the length of a list in more bytes than needed',
    unknown(new Raw('980101')),
    'malformed_token',
  ),
  sent('RFC 8949 4.2.1', 'a float of eight bytes that fits four', unknown(new Float(100000.5, 8)), 'malformed_token'),
  sent('RFC 8949 4.2.1', 'a float of four bytes that fits two', unknown(new Float(1.5, 4)), 'malformed_token'),
  sent(
    'RFC 8949 4.2.1',
    'floats of two, four and eight bytes',
    unknown([1.5, 100000.5, 1.1, -0.25, 5.960464477539063e-8]),
    'admitted',
  ),
  sent('RFC 8949 3.2', 'a map without a length', payload(`bf 04 ${exp} ff`), 'malformed_token'),
  sent('RFC 8949 3.2', 'a list without a length', unknown(new Raw('9f01ff')), 'malformed_token'),
  sent('RFC 8949 3.2', 'a text in pieces', unknown(new Raw('7f6161ff')), 'malformed_token'),
  sent('RFC 8949 3.2', 'a byte string in pieces', unknown(new Raw('5f4161ff')), 'malformed_token'),
  sent('RFC 8949 3', 'reserved argument sizes', unknown(new Raw('1c')), 'malformed_token'),
  sent('RFC 8949 3', 'a text that runs over the end', unknown(new Raw('7903e861')), 'malformed_token'),
  sent(
    'RFC 8949 3',
    'a list that promises more than there is',
    unknown(new Raw('9b00000000ffffffff')),
    'malformed_token',
  ),
  sent(
    'RFC 8949 3',
    'a map that promises more than there is',
    payload(`bb7fffffffffffffff 04 ${exp}`),
    'malformed_token',
  ),
  sent('RFC 8949 3', 'something behind the claims', payload(`a1 04 ${exp} 00`), 'malformed_token'),
  sent('RFC 8949 3.1', 'a text that is not UTF-8', unknown(new Raw('62c328')), 'malformed_token'),
  sent('RFC 8949 3.1', 'half a surrogate pair in UTF-8', unknown(new Raw('63eda080')), 'malformed_token'),
  sent('RFC 8949 3.3', 'true, false and null', unknown([true, false, null]), 'admitted'),
  sent('RFC 8949 3.3', 'a simple value of one byte', unknown(new Raw('f820')), 'malformed_token'),
  sent('RFC 8949 3.3', 'a lone end', unknown(new Raw('ff')), 'malformed_token'),
  sent('4.10', 'nesting as deep as catif needs', unknown(nested(9)), 'admitted'),
  sent('4.10', 'nesting deeper than any claim needs', unknown(nested(40)), 'malformed_token'),
  sent(
    '4.10',
    'a list of more items than any claim needs',
    unknown(Array.from({ length: 1000 }, () => 0)),
    'malformed_token',
  ),
];

const cose = [
  sent('RFC 9052 6.2', 'COSE_Mac0 under its tag', cat({}, { tags: [17] }), 'admitted'),
  sent('RFC 8392 6', 'the CWT tag around it', cat({}, { tags: [61, 17] }), 'admitted'),
  sent('RFC 9052 6.2', 'no tag', cat({}, { tags: [] }), 'malformed_token'),
  sent('RFC 8392 6', 'the CWT tag alone', cat({}, { tags: [61] }), 'malformed_token'),
  sent('RFC 8392 6', 'the CWT tag twice', cat({}, { tags: [61, 61, 17] }), 'malformed_token'),
  sent('RFC 8392 6', 'the CWT tag inside', cat({}, { tags: [17, 61] }), 'malformed_token'),
  sent('RFC 9052 2', 'the tag of COSE_Mac', cat({}, { tags: [97] }), 'malformed_token'),
  sent('RFC 9052 2', 'the tag of COSE_Encrypt0', cat({}, { tags: [16] }), 'malformed_token'),
  sent('RFC 9052 4.2', 'the tag of COSE_Sign1 over a MAC', cat({}, { tags: [18] }), 'unsupported_algorithm'),
  sent(
    'RFC 9052 6.2',
    'three elements',
    cbor(new Tagged(17, [hex('a10105'), new Map(), hex('a0')])).toString('base64url'),
    'malformed_token',
  ),
  sent('RFC 9052 6.2', 'five elements', cat({}, { more: [0] }), 'malformed_token'),
  sent('RFC 9052 6.2', 'something behind it', cat({}, { trailing: hex('00') }), 'malformed_token'),
  sent('RFC 9052 6.2', 'no payload: one that is elsewhere', cat({}, { payload: null }), 'malformed_token'),
  sent(
    'RFC 9052 3',
    'a protected header that is a map without its byte string',
    cbor(new Tagged(17, [map([1, 5]), new Map(), hex('a0'), Buffer.alloc(32)])).toString('base64url'),
    'malformed_token',
  ),
  sent(
    'RFC 9052 3',
    'no protected header',
    makeCat({
      claims: { exp: NOW + 60 },
      key: secretOf('main'),
      protectedHeader: new Raw(''),
      unprotectedHeader: map([1, 5], [4, kid]),
    }),
    'admitted',
  ),
  sent(
    'RFC 9052 3',
    'an empty map as protected header, MACed as no bytes',
    makeCat({ claims: { exp: NOW + 60 }, key: secretOf('main'), alg: null, unprotectedHeader: map([1, 5], [4, kid]) }),
    'admitted',
  ),
  sent(
    'RFC 9052 3',
    'a protected header that is a list',
    cat({}, { protectedHeader: new Raw('80') }),
    'malformed_token',
  ),
  sent(
    'RFC 9052 3',
    'an unprotected header that is no map',
    cat({}, { unprotectedHeader: new Raw('80') }),
    'malformed_token',
  ),
  sent('RFC 9052 3.1', 'alg and kid in the protected header', cat(), 'admitted'),
  sent(
    'RFC 9052 3.1',
    'kid in the unprotected header',
    makeCat({ claims: { exp: NOW + 60 }, key: secretOf('main'), unprotectedHeader: map([4, kid]) }),
    'admitted',
  ),
  sent('RFC 9052 3.1', 'critical headers', cat({}, { protectedHeader: map([2, [1]]) }), 'malformed_token'),
  sent(
    'RFC 9052 3.1',
    'a content type, which says nothing to us',
    cat({}, { protectedHeader: map([3, 'application/cwt']) }),
    'admitted',
  ),
  sent('4.3.1.1.1', 'no alg: the key decides', cat({}, { alg: null }), 'admitted'),
  sent('4.3.1.1.1', 'HMAC 256/64', cat({}, { alg: 4 }), 'unsupported_algorithm'),
  sent('4.3.1.1.1', 'HMAC 384/384', cat({}, { alg: 6 }), 'unsupported_algorithm'),
  sent('4.3.1.1.1', 'HMAC 512/512', cat({}, { alg: 7 }), 'unsupported_algorithm'),
  sent('4.3.1.1.1', 'ES256 in a MAC', cat({}, { alg: -7 }), 'unsupported_algorithm'),
  sent('4.3.1.1.1', 'an algorithm by name', cat({}, { alg: 'HS256' }), 'unsupported_algorithm'),
  sent(
    '4.3.1.1.1',
    'ES256 under a key that is a secret',
    cat({}, { alg: -7, tags: [18], context: 'Signature1' }),
    'unsupported_algorithm',
  ),
  sent(
    '4.3.1.1.1',
    'PS256 under a key that is a secret',
    cat({}, { alg: -37, tags: [18], context: 'Signature1' }),
    'unsupported_algorithm',
  ),
  sent('4.3.1.1.1', 'a kid that nobody knows', cat({}, { kid: 'nobody' }), 'unknown_key'),
  sent(
    '4.3.1.1.1',
    'a kid that is a text',
    cat(
      {},
      {
        protectedHeader: new Raw(
          cborMap([
            [1, 5],
            [4, 'main'],
          ]),
        ),
      },
    ),
    'malformed_token',
  ),
  sent('4.3.1.1.1', "another key's kid", cat({}, { kid: 'edge', key: secretOf('main') }), 'bad_signature'),
  sent('RFC 9052 6.3', 'a MAC over another context', cat({}, { context: 'MAC' }), 'bad_signature'),
  sent('RFC 9052 6.3', 'a MAC over external data', cat({}, { externalAad: hex('00') }), 'bad_signature'),
  sent('RFC 9052 6.3', 'a MAC that is cut', cat({}, { mac: (mac) => mac.subarray(0, 31) }), 'bad_signature'),
  sent(
    'RFC 9052 6.3',
    'a MAC that goes on',
    cat({}, { mac: (mac) => Buffer.concat([mac, hex('00')]) }),
    'bad_signature',
  ),
  sent('RFC 9052 6.3', 'a MAC of nothing', cat({}, { mac: Buffer.alloc(0) }), 'bad_signature'),
  sent(
    'RFC 9052 6.3',
    'a MAC whose last bit differs',
    cat({}, { mac: (mac) => Buffer.concat([mac.subarray(0, 31), Buffer.of(mac[31]! ^ 1)]) }),
    'bad_signature',
  ),
  sent(
    'RFC 9052 6.3',
    'a MAC that is a text',
    cbor(new Tagged(17, [hex('a10105'), new Map(), hex('a0'), 'x'.repeat(32)])).toString('base64url'),
    'malformed_token',
  ),
];

const written = (text: string): string => jwt({}, { payloadText: text });
const [head = '', body = '', signature = ''] = jwt().split('.');
const encoded = (text: string): string => Buffer.from(text).toString('base64url');
/** Node's vm keeps what both njs and `verify` refuse; it stands for no host of ours. */
const notInVm = (one: ConformanceCase): ConformanceCase => ({ ...one, asked: { ...one.asked, notInVm: true } });
const jose = [
  sent('RFC 7515 7.1', 'three parts', jwt(), 'admitted'),
  sent('RFC 7515 7.1', 'two parts', `${head}.${body}`, 'malformed_token'),
  sent('RFC 7515 7.1', 'four parts', `${head}.${body}.${signature}.`, 'malformed_token'),
  sent('RFC 7515 5.2', 'no signature', `${head}.${body}.`, 'bad_signature'),
  sent(
    'RFC 7515 5.2',
    'another header under the signature',
    `${encoded('{"alg":"HS256","kid":"main"}')}.${body}.${signature}`,
    'bad_signature',
  ),
  sent(
    'RFC 7515 5.2',
    'other claims under the signature',
    `${head}.${encoded(`{"exp":${NOW + 600}}`)}.${signature}`,
    'bad_signature',
  ),
  sent('RFC 7515 4.1.1', 'alg none', `${encoded('{"alg":"none","kid":"main"}')}.${body}.`, 'unsupported_algorithm'),
  sent(
    'RFC 7515 4.1.1',
    'alg none in mixed case',
    `${encoded('{"alg":"nOnE","kid":"main"}')}.${body}.`,
    'unsupported_algorithm',
  ),
  sent('RFC 7515 4.1.1', 'alg HS384', jwt({}, { header: { alg: 'HS384' }, hash: 'sha384' }), 'unsupported_algorithm'),
  sent('RFC 7515 4.1.1', 'alg HS512', jwt({}, { header: { alg: 'HS512' }, hash: 'sha512' }), 'unsupported_algorithm'),
  sent(
    'RFC 7515 4.1.1',
    'alg RS256 under a key that is a secret',
    jwt({}, { header: { alg: 'RS256' } }),
    'unsupported_algorithm',
  ),
  sent('RFC 7515 4.1.1', 'alg in lower case', jwt({}, { header: { alg: 'hs256' } }), 'unsupported_algorithm'),
  sent('RFC 7515 4.1.1', 'no alg', jwt({}, { header: { alg: undefined } }), 'unsupported_algorithm'),
  sent(
    'RFC 7515 4.1.4',
    'no kid: the key without one',
    makeJwt({ claims: { exp: NOW + 60 }, key: secretOf('') }),
    'admitted',
  ),
  sent('RFC 7515 4.1.4', 'a kid that nobody knows', jwt({}, { kid: 'nobody' }), 'unknown_key'),
  sent('RFC 7515 4.1.4', 'a kid that is a number', jwt({}, { header: { kid: 5 } }), 'malformed_token'),
  sent('RFC 7515 4.1.4', 'a kid that is a list', jwt({}, { header: { kid: ['main'] } }), 'malformed_token'),
  sent('RFC 7515 4.1.11', 'critical headers', jwt({}, { header: { crit: ['exp'], exp: 1 } }), 'malformed_token'),
  sent(
    'RFC 7515 4.1.11',
    'a critical b64 (RFC 7797 6)',
    jwt({}, { header: { crit: ['b64'], b64: false } }),
    'malformed_token',
  ),
  sent('RFC 7515 4', 'unknown headers', jwt({}, { header: { jku: 'https://evil.example/keys', x: [1] } }), 'admitted'),
  sent(
    'RFC 7515 4',
    'a header name twice',
    jwt({}, { headerText: '{"alg":"HS256","kid":"nobody","kid":"main"}' }),
    'malformed_token',
  ),
  sent('RFC 7515 4', 'a header that is no object', jwt({}, { headerText: '["HS256"]' }), 'malformed_token'),
  sent('RFC 7519 5.1', 'typ JWT', jwt({}, { header: { typ: 'JWT' } }), 'admitted'),
  sent('RFC 7519 5.1', 'typ in lower case', jwt({}, { header: { typ: 'jwt' } }), 'admitted'),
  sent('RFC 7519 5.1', 'no typ', jwt({}, { header: { typ: undefined } }), 'admitted'),
  sent('RFC 7519 5.1', 'typ as a media type', jwt({}, { header: { typ: 'application/jwt' } }), 'admitted'),
  sent('RFC 9068 2.1', 'typ of an access token', jwt({}, { header: { typ: 'at+jwt' } }), 'admitted'),
  sent('RFC 8725 3.11', 'typ of a proof of possession', jwt({}, { header: { typ: 'dpop+jwt' } }), 'malformed_token'),
  sent('RFC 8725 3.11', 'typ of a logout token', jwt({}, { header: { typ: 'logout+jwt' } }), 'malformed_token'),
  sent('RFC 8725 3.11', 'a typ that only ends like one', jwt({}, { header: { typ: 'nojwt' } }), 'malformed_token'),
  sent('RFC 8725 3.11', 'a typ that is no token', jwt({}, { header: { typ: 'secevent' } }), 'malformed_token'),
  sent('RFC 7519 4', 'a claim twice', written(`{"exp":${NOW + 60},"exp":${NOW + 90}}`), 'malformed_token'),
  sent(
    'RFC 7519 4',
    'a name twice within a claim',
    written(`{"exp":${NOW + 60},"catu":{"path":{"prefix":"/vod/"},"path":{"prefix":"/"}}}`),
    'malformed_token',
  ),
  sent(
    'RFC 7519 4',
    'a claim twice, once in escapes',
    written(`{"exp":${NOW - 60},"\\u0065xp":${NOW + 60}}`),
    'malformed_token',
  ),
  sent('RFC 7519 4', 'a claim in escapes', written(`{"\\u0065xp":${NOW - 60}}`), 'expired'),
  sent('RFC 7519 4', 'a claim by its number in a CWT is an unknown one', written(`{"4":${NOW - 60}}`), 'admitted'),
  sent('RFC 7519 4', 'unknown claims', jwt({ 'https://example.com/x': { y: [1, null] } }), 'admitted'),
  sent(
    'RFC 7519 4',
    'claims under __proto__',
    written(`{"exp":${NOW - 60},"__proto__":{"exp":${NOW + 60}}}`),
    'expired',
  ),
  sent('RFC 7519 7.2', 'claims that are a list', written('[]'), 'malformed_token'),
  sent('RFC 7519 7.2', 'claims that are null', written('null'), 'malformed_token'),
  sent('RFC 7519 7.2', 'claims that are nothing', written(''), 'malformed_token'),
  sent('RFC 7519 7.2', 'no claim at all', written('{}'), 'admitted'),
  sent('RFC 8259 2', 'spaces between', written(` { "exp" : ${NOW + 60} }\n`.trim()), 'admitted'),
  sent('RFC 8259 2', 'something behind', written('{}x'), 'malformed_token'),
  sent('RFC 8259 6', 'a number with a zero first', written('{"iat":01}'), 'malformed_token'),
  sent('RFC 8259 6', 'a number without a digit before its point', written('{"iat":.5}'), 'malformed_token'),
  sent('RFC 8259 6', 'a number without a digit behind its point', written('{"iat":1.}'), 'malformed_token'),
  sent('RFC 8259 6', 'an exponent', written(`{"exp":1.9e9}`), 'admitted'),
  sent(
    'RFC 8259 8.1',
    'bytes that are not UTF-8',
    jwt({}, { payloadText: Buffer.concat([Buffer.from('{"sub":"'), hex('ff'), Buffer.from('"}')]) }),
    'malformed_token',
  ),
  notInVm(sent('RFC 8259 8.2', 'half a surrogate pair', written('{"sub":"\\ud800"}'), 'malformed_token')),
  notInVm(
    sent(
      'RFC 8725 3.10',
      'an object deeper than any claim needs',
      written(`{"x":${'['.repeat(40)}${']'.repeat(40)}}`),
      'malformed_token',
    ),
  ),
  sent('RFC 4648 5', 'a character of plain base64', `${head}.${body}.${signature.slice(0, -1)}+`, 'malformed_token'),
  sent('RFC 4648 5', 'a space', `${head}.${body}%20.${signature}`, 'malformed_token'),
];

const junk = [
  sent('4.3.1.1', 'a character that base64url has not', 'abc*', 'malformed_token'),
  sent('4.3.1.1', 'a length that base64url has not', cat().slice(0, 5), 'malformed_token'),
  sent('4.3.1.1', 'one character', 'A', 'malformed_token'),
  sent('4.3.1.1', 'a token that is cut', cat().slice(0, -8), 'malformed_token'),
];

export const encoding: readonly ConformanceCase[] = [...claimSets, ...numbers, ...cose, ...jose, ...junk];
