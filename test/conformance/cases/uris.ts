import { createHash } from 'node:crypto';
import { PATH } from '../../verdicts/requests.js';
import { forms, map, onlyCat, onlyJwt, same, table, type Forms, type Row } from '../case.js';

const components = ['scheme', 'host', 'port', 'path', 'query', 'parent', 'filename', 'stem', 'extension'] as const;
const matches = ['exact', 'prefix', 'suffix', 'contains', 'regex'] as const;
type Component = (typeof components)[number];
type Match = (typeof matches)[number];

const uri = (component: Component, match: Match, value: unknown): Forms =>
  forms(
    { catu: map([components.indexOf(component), map([matches.indexOf(match), value])]) },
    { catu: { [component]: { [match]: value } } },
  );
const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();
const hashed = (component: Component, text: string): Forms =>
  forms(
    { catu: map([components.indexOf(component), map([-1, sha256(text)])]) },
    { catu: { [component]: { sha256: sha256(text).toString('base64url') } } },
  );
const regex = (...entries: unknown[]): Forms => uri('path', 'regex', entries);
const at = (path: string): { readonly path: string } => ({ path });

/** What every component of `https://video.example.com/echo/ch1/seg.ts?a=1` is, and what it is not. */
const parts: readonly (readonly [Component, is: string, not: string])[] = [
  ['scheme', 'https', 'http'],
  ['host', 'video.example.com', 'example.com'],
  ['port', '', '443'],
  ['path', '/echo/ch1/seg.ts', '/echo/ch1/seg'],
  ['query', 'a=1', 'a=2'],
  ['parent', '/echo/ch1', '/echo/ch1/'],
  ['filename', 'seg.ts', 'seg'],
  ['stem', 'seg', 'seg.ts'],
  ['extension', '.ts', 'ts'],
];

const componentRows = parts.flatMap(([component, is, not]): Row[] => [
  [`the ${component} is "${is}"`, uri(component, 'exact', is), 'admitted', { query: 'a=1' }],
  [`the ${component} is not "${not}"`, uri(component, 'exact', not), 'uri_mismatch', { query: 'a=1' }],
  [`the ${component} by its SHA-256`, hashed(component, is), 'admitted', { query: 'a=1' }],
]);

const matchRows: Row[] = [
  ['exact: no more', uri('path', 'exact', '/echo/ch1/seg.t'), 'uri_mismatch'],
  ['exact: case-sensitive', uri('path', 'exact', '/Echo/ch1/seg.ts'), 'uri_mismatch'],
  ['prefix', uri('path', 'prefix', '/echo/'), 'admitted'],
  [
    'prefix: does not end at a segment by itself',
    uri('path', 'prefix', '/echo/ch'),
    'admitted',
    at('/echo/ch-secret/a'),
  ],
  ['prefix: empty', uri('path', 'prefix', ''), 'admitted'],
  ['prefix: all of it', uri('path', 'prefix', PATH), 'admitted'],
  ['prefix: elsewhere in the path', uri('path', 'prefix', '/ch1/'), 'uri_mismatch'],
  ['prefix: longer than the path', uri('path', 'prefix', `${PATH}x`), 'uri_mismatch'],
  ['suffix', uri('filename', 'suffix', '.ts'), 'admitted'],
  ['suffix: of a host', uri('host', 'suffix', '.example.com'), 'admitted'],
  ['suffix: of another host', uri('host', 'suffix', '.example.com'), 'uri_mismatch', { host: 'badexample.com' }],
  ['suffix: longer than the text', uri('extension', 'suffix', 'seg.ts'), 'uri_mismatch'],
  ['contains', uri('path', 'contains', '/ch1/'), 'admitted'],
  ['contains not', uri('path', 'contains', '/ch2/'), 'uri_mismatch'],
  ['SHA-256 of another text', hashed('path', '/echo/ch1/seg.t'), 'uri_mismatch'],
  [
    'SHA-512/256, whose support is optional',
    forms({ catu: map([3, map([-2, sha256(PATH)])]) }, { catu: { path: { 'sha512-256': 'AA' } } }),
    'unsupported_claim',
  ],
  [
    'two matches, both hold',
    forms({ catu: map([3, map([1, '/echo/'], [2, '.ts'])]) }, { catu: { path: { prefix: '/echo/', suffix: '.ts' } } }),
    'admitted',
  ],
  [
    'two matches, one holds',
    forms(
      { catu: map([3, map([1, '/echo/'], [2, '.mp4'])]) },
      { catu: { path: { prefix: '/echo/', suffix: '.mp4' } } },
    ),
    'uri_mismatch',
  ],
  [
    'two components, both hold',
    forms(
      { catu: map([1, map([0, 'video.example.com'])], [8, map([0, '.ts'])]) },
      { catu: { host: { exact: 'video.example.com' }, extension: { exact: '.ts' } } },
    ),
    'admitted',
  ],
  [
    'two components, one holds',
    forms(
      { catu: map([1, map([0, 'video.example.com'])], [8, map([0, '.mp4'])]) },
      { catu: { host: { exact: 'video.example.com' }, extension: { exact: '.mp4' } } },
    ),
    'uri_mismatch',
  ],
];

const normalRows: Row[] = [
  [
    'the host in lower case (RFC 3986 6.2.2.1)',
    uri('host', 'exact', 'video.example.com'),
    'admitted',
    { host: 'VIDEO.Example.COM' },
  ],
  [
    'the default port is none (RFC 9110 4.2.3)',
    uri('port', 'exact', ''),
    'admitted',
    { host: 'video.example.com:443' },
  ],
  ['443 never matches', uri('port', 'exact', '443'), 'uri_mismatch', { host: 'video.example.com:443' }],
  ['80 is not the default of https', uri('port', 'exact', '80'), 'admitted', { host: 'video.example.com:80' }],
  [
    '80 is the default of http',
    uri('port', 'exact', ''),
    'admitted',
    { host: 'video.example.com:80', viewer: 'proto=http' },
  ],
  ['another port', uri('port', 'exact', '8443'), 'admitted', { host: 'video.example.com:8443' }],
  [
    'a port is no part of the host',
    uri('host', 'exact', 'video.example.com'),
    'admitted',
    { host: 'video.example.com:8443' },
  ],
  ['the scheme that the viewer used', uri('scheme', 'exact', 'http'), 'admitted', { viewer: 'proto=http' }],
  [
    'unreserved characters unescaped (6.2.2.2)',
    uri('path', 'exact', '/echo/~a-Z_0.ts'),
    'admitted',
    at('/echo/%7Ea%2DZ%5f%30%2Ets'),
  ],
  ['escapes in upper case (6.2.2.1)', uri('path', 'exact', '/echo/caf%C3%A9'), 'admitted', at('/echo/caf%c3%a9')],
  ['reserved characters stay escaped', uri('path', 'exact', '/echo/a:b'), 'uri_mismatch', at('/echo/a%3Ab')],
  ['reserved characters stay plain', uri('path', 'exact', '/echo/a%3Ab'), 'uri_mismatch', at('/echo/a:b')],
  ['an escaped letter cannot leave a prefix', uri('path', 'prefix', '/echo/'), 'admitted', at('/ech%6f/a')],
  ['dot segments are refused, not removed', uri('path', 'prefix', '/echo/'), 'ambiguous_path', at('/echo/../secret')],
  ['escaped dot segments', uri('path', 'prefix', '/echo/'), 'ambiguous_path', at('/echo/%2e%2E/secret')],
  ['an empty path is /', uri('path', 'exact', '/'), 'admitted', at('/')],
  ['the query without the token', uri('query', 'exact', 'a=1&b=2'), 'admitted', { place: 'query', query: 'a=1&b=2' }],
  ['no query but the token\u2019s', uri('query', 'exact', ''), 'admitted', { place: 'query' }],
  ['the query unescaped as the path is', uri('query', 'exact', 'a=~%2F'), 'admitted', { query: 'a=%7e%2f' }],
  ['the path without the token before it', uri('path', 'exact', PATH), 'admitted', { place: 'path' }],
  ['an extension begins at the last dot', uri('extension', 'exact', '.gz'), 'admitted', at('/echo/content.tar.gz')],
  ['a stem ends at the last dot', uri('stem', 'exact', 'content.tar'), 'admitted', at('/echo/content.tar.gz')],
  ['no dot, no extension', uri('extension', 'exact', ''), 'admitted', at('/echo/init')],
  ['no dot, all stem', uri('stem', 'exact', 'init'), 'admitted', at('/echo/init')],
  ['a dot in a folder is no extension', uri('extension', 'exact', ''), 'admitted', at('/echo/v1.0/init')],
  ['a dot first: no stem', uri('stem', 'exact', ''), 'admitted', at('/echo/.hidden')],
  ['a dot first: all extension', uri('extension', 'exact', '.hidden'), 'admitted', at('/echo/.hidden')],
  ['a dot last is the extension', uri('extension', 'exact', '.'), 'admitted', at('/echo/a.')],
  ['a folder has no filename', uri('filename', 'exact', ''), 'admitted', at('/echo/ch1/')],
  [
    'the parent of a folder\u2019s URI is the folder',
    uri('parent', 'exact', '/echo/ch1'),
    'admitted',
    at('/echo/ch1/'),
  ],
  ['the parent of what is at the top', uri('parent', 'exact', ''), 'admitted', at('/top.ts')],
];

/** Extended regular expressions (IEEE 1003.1 9.4). */
const regexRows: Row[] = [
  ['regex: found anywhere', regex('ch[0-9]'), 'admitted'],
  ['regex: anchored', regex('^/echo/ch1/seg\\.ts$'), 'admitted'],
  ['regex: anchored, and more behind', regex('^/echo/ch1/seg$'), 'uri_mismatch'],
  ['regex: an escaped dot is a dot', regex('seg\\.ts'), 'uri_mismatch', at('/echo/ch1/segxts')],
  ['regex: alternation', regex('\\.(mp4|ts)$'), 'admitted'],
  ['regex: alternation of the whole', regex('^/vod/|^/echo/'), 'admitted'],
  ['regex: repeats', regex('^/ec?ho{1,2}/[a-z]+[0-9]*/'), 'admitted'],
  ['regex: a bound not reached', regex('s{2}eg'), 'uri_mismatch'],
  ['regex: a bound without end', regex('e{1,}cho'), 'admitted'],
  ['regex: a character class', regex('ch[[:digit:]]/[[:alpha:]]{3}\\.'), 'admitted'],
  ['regex: not of a class', regex('/ch[^[:digit:]]/'), 'uri_mismatch'],
  ['regex: a bracket that holds a bracket', regex('ch[]1]/'), 'admitted'],
  ['regex: a bracket that holds all but brackets', regex('ch[^]]/'), 'admitted'],
  ['regex: a backslash in a bracket, which engines read in their own ways', regex('ch[\\1]/'), 'unsupported_claim'],
  ['regex: a group that equals', regex('/(ch[0-9])/', 'ch1'), 'admitted'],
  ['regex: a group that does not equal', regex('/(ch[0-9])/', 'ch2'), 'uri_mismatch'],
  ['regex: null stands for any group', regex('/(echo)/(ch[0-9])/', null, 'ch1'), 'admitted'],
  ['regex: fewer entries than groups', regex('/(echo)/(ch[0-9])/', 'echo'), 'admitted'],
  ['regex: more entries than groups', regex('/(echo)/', 'echo', null), 'uri_mismatch'],
  ['regex: an entry for no group', regex('/echo/', null), 'uri_mismatch'],
  ['regex: of another component', uri('host', 'regex', ['^[a-z]+\\.example\\.com$']), 'admitted'],
  ['regex: in which a repeat could explode', regex('^/((e|c|h|o)+)+x$'), 'unsupported_claim'],
  ['regex: alternatives that multiply', regex(`^/${'(a|aa)?'.repeat(20)}$`), 'unsupported_claim'],
  [
    'regex: alternatives that multiply without anything optional',
    regex(`^/${'(e|e)'.repeat(20)}x`),
    'unsupported_claim',
  ],
  ['regex: optional parts that multiply', regex(`^/${'e?'.repeat(20)}${'e'.repeat(20)}$`), 'unsupported_claim'],
  [
    'regex: many alternatives in one place',
    regex(`^/(${Array.from({ length: 40 }, (_, i) => `v${i}`).join('|')}|echo)/`),
    'admitted',
  ],
  [
    'regex: alternatives in three places',
    regex('^/(live|vod|echo)/(ch1|ch2)/[a-z]+[.](m3u8|mpd|m4s|mp4|ts)$'),
    'admitted',
  ],
  ['regex: of more repeats than are taken', regex('a*b*c*d*e*'), 'unsupported_claim'],
  [
    'regex: as many repeats as are taken, over as long a text',
    onlyCat(regex('^.*.*.*x$').cat!),
    'uri_mismatch',
    at(`/echo/${'a'.repeat(506)}`),
  ],
  ['regex: the same without an anchor', onlyCat(regex('.*.*x$').cat!), 'uri_mismatch', at(`/echo/${'a'.repeat(506)}`)],
  [
    'regex: alternatives and repeats that multiply',
    regex(`${'(a|a)?'.repeat(4)}.*.*x$`),
    'unsupported_claim',
    at(`/echo/${'a'.repeat(506)}`),
  ],
  ['regex: four repeats', regex('^/[a-z]+/[a-z]+[0-9]+/.{3}\\.(m3u8|mpd|m4s|ts)$'), 'unsupported_claim'],
  ['regex: three repeats, and four alternatives', regex('^/[a-z]+/[a-z]+[0-9]+/seg\\.(m3u8|mpd|m4s|ts)$'), 'admitted'],
  [
    'regex: three repeats, and five alternatives',
    regex('^/[a-z]+/[a-z]+[0-9]+/seg\\.(m3u8|mpd|m4s|mp4|ts)$'),
    'unsupported_claim',
  ],
  ['regex: longer than is taken', regex(`^${'a'.repeat(256)}`), 'unsupported_claim'],
  ['regex: on a longer text than is taken', regex('^/echo/'), 'uri_mismatch', at(`/echo/${'a'.repeat(512)}`)],
  ['regex: a back reference, which is none of ERE', regex('(e)cho\\1'), 'unsupported_claim'],
  ['regex: a lookahead, which is none of ERE', regex('(?=/echo)'), 'unsupported_claim'],
  ['regex: a lazy repeat, which is none of ERE', regex('^/e.*?o/'), 'unsupported_claim'],
  ['regex: a word class, which is none of ERE', regex('\\w'), 'unsupported_claim'],
  ['regex: a group without end', regex('(echo'), 'invalid_claim'],
  ['regex: a bracket without end', regex('[a-z'), 'unsupported_claim'],
  ['regex: no list', uri('path', 'regex', '^/echo/'), 'invalid_claim'],
  ['regex: a list of nothing', regex(), 'invalid_claim'],
  ['regex: a pattern that is null', regex(null), 'invalid_claim'],
  ['regex: a group that is a number', regex('(1)', 1), 'invalid_claim'],
];

const malformedRows: Row[] = [
  ['no map', same({ catu: 5 }), 'invalid_claim'],
  ['a text', same({ catu: '/echo/' }), 'invalid_claim'],
  ['a list', same({ catu: [3] }), 'invalid_claim'],
  ['no component', forms({ catu: map() }, { catu: {} }), 'invalid_claim'],
  [
    'an unknown component',
    forms({ catu: map([9, map([0, ''])]) }, { catu: { fragment: { exact: '' } } }),
    'invalid_claim',
  ],
  ['a negative component', onlyCat({ catu: map([-1, map([0, ''])]) }), 'invalid_claim'],
  [
    'a component by the other format\u2019s key',
    forms({ catu: map(['path', map([1, '/'])]) }, { catu: { 3: { prefix: '/' } } }),
    'invalid_claim',
  ],
  ['a name of what every object inherits', onlyJwt({ catu: { constructor: { prefix: '' } } }), 'invalid_claim'],
  ['a match that is no map', forms({ catu: map([3, '/echo/']) }, { catu: { path: '/echo/' } }), 'invalid_claim'],
  ['no match', forms({ catu: map([3, map()]) }, { catu: { path: {} } }), 'invalid_claim'],
  [
    'an unknown match beside one that holds',
    forms({ catu: map([3, map([1, '/echo/'], [9, ''])]) }, { catu: { path: { prefix: '/echo/', like: '' } } }),
    'invalid_claim',
  ],
  [
    'an empty name beside the usual prefix',
    onlyJwt({ catu: { path: { prefix: '/echo/' }, '': { exact: 'x' } } }),
    'invalid_claim',
  ],
  ['an empty match beside the usual one', onlyJwt({ catu: { path: { prefix: '/echo/', '': 'x' } } }), 'invalid_claim'],
  ['an unknown match -3', onlyCat({ catu: map([3, map([-3, Buffer.alloc(32)])]) }), 'invalid_claim'],
  ["a JWT's name of a match in a CAT", onlyCat({ catu: map([3, map(['exact', PATH])]) }), 'invalid_claim'],
  ['a match that is a number', uri('path', 'prefix', 1), 'invalid_claim'],
  ['a match that is null', uri('path', 'prefix', null), 'invalid_claim'],
  ['bytes where a text is asked', onlyCat({ catu: map([3, map([1, Buffer.from('/echo/')])]) }), 'invalid_claim'],
  ['a text where bytes are asked', onlyCat({ catu: map([3, map([-1, 'abc'])]) }), 'invalid_claim'],
  [
    'a malformed match behind one that fails',
    forms({ catu: map([3, map([1, '/none/'], [2, 5])]) }, { catu: { path: { prefix: '/none/', suffix: 5 } } }),
    'invalid_claim',
  ],
  [
    'the same component twice (RFC 8949 5.6)',
    onlyCat({
      catu: new Map<unknown, unknown>([
        [3, map([1, '/echo/'])],
        [3n, map([1, '/'])],
      ]),
    }),
    'malformed_token',
  ],
];

export const uris = table('4.6.10', 'catu', [
  ...componentRows,
  ...matchRows,
  ...normalRows,
  ...regexRows,
  ...malformedRows,
]);
