import { forms, map, onlyCat, onlyJwt, same, table, type Forms } from '../case.js';
import { CERTIFICATE, TLS_KEY } from '../store.js';

const methods = (count: number): string[] => Array.from({ length: count }, (_, i) => `M${i}`);
const protocols = (...names: string[]): Forms =>
  forms({ catalpn: names.map((name) => Buffer.from(name)) }, { catalpn: names });
const header = (name: string, ...pairs: (readonly [number, string, unknown])[]): Forms =>
  forms(
    { cath: map([name, map(...pairs.map(([number, , value]) => [number, value] as const))]) },
    { cath: { [name]: Object.fromEntries(pairs.map(([, match, value]) => [match, value])) } },
  );
const app = (value: string, name = 'X-App'): { readonly headers: readonly (readonly [string, string])[] } => ({
  headers: [[name, value]],
});
const certificate = (sha256: string): { readonly headers: readonly (readonly [string, string])[] } => ({
  headers: [['CloudFront-Viewer-Cert-SHA256', sha256]],
});
const tlsKey = (key: Buffer): Forms => forms({ cattpk: key }, { cattpk: key.toString('base64url') });

export const connection = [
  ...table('4.6.11', 'catm', [
    ['the request\u2019s method', same({ catm: ['GET'] }), 'admitted'],
    ['one of several', same({ catm: ['POST', 'HEAD'] }), 'admitted', { method: 'HEAD' }],
    ['fifty methods, the last one the request\u2019s', same({ catm: [...methods(49), 'GET'] }), 'admitted'],
    ['another method', same({ catm: ['POST'] }), 'method_mismatch'],
    ['HEAD is not GET', same({ catm: ['GET'] }), 'method_mismatch', { method: 'HEAD' }],
    ['methods are case-sensitive', same({ catm: ['get'] }), 'method_mismatch'],
    ['a method that begins alike', same({ catm: ['GETX', 'GE'] }), 'method_mismatch'],
    ['a text alone', same({ catm: 'GET' }), 'invalid_claim'],
    ['a list of nothing', same({ catm: [] }), 'invalid_claim'],
    ['a number beside the right method', same({ catm: ['GET', 1] }), 'invalid_claim'],
    ['a byte string', onlyCat({ catm: [Buffer.from('GET')] }), 'invalid_claim'],
    ['a map', forms({ catm: map([0, 'GET']) }, { catm: { 0: 'GET' } }), 'invalid_claim'],
  ]),
  ...table('4.6.12', 'catalpn', [
    ['HTTP/2', protocols('h2'), 'admitted'],
    ['HTTP/1.1', protocols('h2', 'http/1.1'), 'admitted', { viewer: 'http=1.1' }],
    ['HTTP/3', protocols('h3'), 'admitted', { viewer: 'http=3.0' }],
    ['another protocol', protocols('h3', 'http/1.1'), 'alpn_mismatch'],
    ['a protocol in another case', protocols('H2'), 'alpn_mismatch'],
    ['no TLS, so no ALPN', protocols('h2'), 'alpn_mismatch', { viewer: 'tls=' }],
    ['a version that is not known', protocols('h2'), 'alpn_mismatch', { viewer: 'http=' }],
    ['a version that has no protocol id here', protocols('h2'), 'alpn_mismatch', { viewer: 'http=9.9' }],
    [
      'not known, where the deployment lets it pass',
      protocols('h2'),
      'admitted',
      { viewer: 'http=', build: 'lenient' },
      { log: { u: [314] } },
    ],
    [
      'known and another, where the deployment lets unknown ones pass',
      protocols('h3'),
      'alpn_mismatch',
      { build: 'lenient' },
    ],
    ['a text in a CAT, a number in a JWT', forms({ catalpn: ['h2'] }, { catalpn: [2] }), 'invalid_claim'],
    ['no list', forms({ catalpn: Buffer.from('h2') }, { catalpn: 'h2' }), 'invalid_claim'],
    ['a list of nothing', same({ catalpn: [] }), 'invalid_claim'],
  ]),
  ...table('4.6.13', 'cath', [
    ['a header that equals', header('x-app', [0, 'exact', 'tv']), 'admitted', app('tv')],
    ['a name in another case', header('X-APP', [0, 'exact', 'tv']), 'admitted', app('tv')],
    ['a header that begins so', header('x-app', [1, 'prefix', 'tv/']), 'admitted', app('tv/2.1')],
    ['a header that ends so', header('x-app', [2, 'suffix', '2.1']), 'admitted', app('tv/2.1')],
    ['a header that contains', header('x-app', [3, 'contains', '/2']), 'admitted', app('tv/2.1')],
    ['a header by a pattern', header('x-app', [4, 'regex', ['^tv/([0-9])', '2']]), 'admitted', app('tv/2.1')],
    [
      'several lines joined (RFC 9110 5.2)',
      header('x-app', [0, 'exact', 'tv, 2.1']),
      'admitted',
      {
        headers: [
          ['X-App', 'tv'],
          ['x-app', '2.1'],
        ],
      },
    ],
    ['an empty header that begins with nothing', header('x-app', [1, 'prefix', '']), 'admitted', app('')],
    [
      'two headers that hold',
      forms(
        { cath: map(['x-app', map([0, 'tv'])], ['x-two', map([0, '2'])]) },
        { cath: { 'x-app': { exact: 'tv' }, 'x-two': { exact: '2' } } },
      ),
      'admitted',
      {
        headers: [
          ['X-App', 'tv'],
          ['X-Two', '2'],
        ],
      },
    ],
    ['the user agent', header('user-agent', [3, 'contains', 'Player']), 'admitted', app('OurPlayer/3', 'User-Agent')],
    ['another value', header('x-app', [0, 'exact', 'tv']), 'header_mismatch', app('phone')],
    ['values are case-sensitive', header('x-app', [0, 'exact', 'tv']), 'header_mismatch', app('TV')],
    [
      'the first of two lines alone',
      header('x-app', [0, 'exact', 'tv']),
      'header_mismatch',
      {
        headers: [
          ['X-App', 'tv'],
          ['X-App', '2.1'],
        ],
      },
    ],
    ['a missing header never matches', header('x-app', [1, 'prefix', '']), 'header_mismatch'],
    ['a missing header does not equal nothing', header('x-app', [0, 'exact', '']), 'header_mismatch'],
    [
      'one of two holds',
      forms(
        { cath: map(['x-app', map([0, 'tv'])], ['x-two', map([0, '2'])]) },
        { cath: { 'x-app': { exact: 'tv' }, 'x-two': { exact: '2' } } },
      ),
      'header_mismatch',
      app('tv'),
    ],
    ['a name that every object inherits', header('constructor', [1, 'prefix', '']), 'header_mismatch'],
    ['an unknown match', header('x-app', [9, 'like', 'tv']), 'invalid_claim', app('tv')],
    ['an unknown match for a missing header', header('x-app', [9, 'like', 'tv']), 'invalid_claim'],
    ['no map', same({ cath: 'x-app' }), 'invalid_claim'],
    ['no header', forms({ cath: map() }, { cath: {} }), 'invalid_claim'],
    ['a name that is a number', onlyCat({ cath: map([1, map([0, 'tv'])]) }), 'invalid_claim'],
    ['a name that is bytes', onlyCat({ cath: map([Buffer.from('x-app'), map([0, 'tv'])]) }), 'malformed_token'],
    [
      'a match that is a text',
      forms({ cath: map(['x-app', 'tv']) }, { cath: { 'x-app': 'tv' } }),
      'invalid_claim',
      app('tv'),
    ],
    ['a value that is a number', header('x-app', [0, 'exact', 5]), 'invalid_claim', app('5')],
  ]),
  ...table('4.6.18', 'cattpk', [
    ['the key of the certificate that the viewer showed', tlsKey(TLS_KEY), 'admitted', certificate(CERTIFICATE)],
    ['another key', tlsKey(Buffer.from('another key')), 'tls_key_mismatch', certificate(CERTIFICATE)],
    ['a certificate that nobody knows', tlsKey(TLS_KEY), 'tls_key_mismatch', certificate('00'.repeat(32))],
    ['no certificate', tlsKey(TLS_KEY), 'tls_key_mismatch'],
    ['no key at all', forms({ cattpk: Buffer.alloc(0) }, { cattpk: '' }), 'tls_key_mismatch'],
    [
      'a text in a CAT, a number in a JWT',
      forms({ cattpk: TLS_KEY.toString('base64url') }, { cattpk: 5 }),
      'invalid_claim',
      certificate(CERTIFICATE),
    ],
    [
      'a list',
      forms({ cattpk: [TLS_KEY] }, { cattpk: [TLS_KEY.toString('base64url')] }),
      'invalid_claim',
      certificate(CERTIFICATE),
    ],
    ['null', onlyJwt({ cattpk: null }), 'invalid_claim'],
  ]),
];
